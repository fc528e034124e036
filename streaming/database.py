"""One connection to the ODS in a role, opened when needed and again after an outage."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from streaming.errors import FatalError, OutageError


class Database:
    """Transactions whose errors are typed by how one recovers. For one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """Begins a transaction, and commits it at the end.

        Raises:
            OutageError: The database cannot do it now, or its answer was lost.
            FatalError: It refused what we asked for.
        """
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._url, options="-c timezone=UTC -c statement_timeout=60s"
                )
            with self._connection.transaction():
                yield self._connection
        except psycopg.Error as error:
            broken = self._connection is None or self._connection.broken
            self.close()
            if broken or _passing(error):
                raise OutageError(f"the ODS does not serve us: {words(error)}") from error
            raise FatalError(
                f"the ODS refused us: {words(error)} ({error.sqlstate}). "
                "Is it migrated (`fleetpulse migrate`), and has the role fleetpulse_consumer "
                "its rights?"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def words(error: psycopg.Error) -> str:
    """Returns what the database says of an error."""
    return (error.diag.message_primary or str(error)).strip()


def _passing(error: psycopg.Error) -> bool:
    """Returns whether waiting can help: the server's state, not our statement, is the cause.

    08 connection, 25006 read-only, 40 rolled back, 53 resources, 55 locks, 57 operator, 58 system,
    28 not yet let in, 3D and XX: the database is away or damaged.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state[:2] in ("08", "40", "53", "55", "57", "58") or state == "25006"
