"""Connections to the ODS, each as a role."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg

from orchestration.errors import BatchBusyError
from streaming.settings import OdsSettings

Role = Literal["orchestrator", "ticketing", "dbt"]

_BATCH_LOCK = "fleetpulse.insights_batch"


class Ods:
    """The operational data store."""

    def __init__(self, settings: OdsSettings) -> None:
        self._settings = settings

    @contextmanager
    def connect(self, role: Role) -> Iterator[psycopg.Connection]:
        """Opens a connection in autocommit mode, and closes it at the end.

        Raises:
            SettingError: The role's password is not set.
            psycopg.OperationalError: The ODS does not answer.
        """
        with psycopg.connect(self._settings.url(role), autocommit=True) as connection:
            yield connection

    @contextmanager
    def batch_lock(self, patience_s: float = 60) -> Iterator[None]:
        """Keeps every other run from working on a micro-batch meanwhile.

        Raises:
            BatchBusyError: Another run has held the lock for all of `patience_s`.
        """
        with self.connect("orchestrator") as connection:
            connection.execute(
                "select set_config('lock_timeout', %s, false)", [f"{patience_s * 1000:.0f}ms"]
            )
            try:
                connection.execute("select pg_advisory_lock(hashtext(%s))", [_BATCH_LOCK])
            except psycopg.errors.LockNotAvailable:
                raise BatchBusyError(
                    f"another run has worked on the batch for {patience_s:.0f} s: wait for it, "
                    "or end it in Dagster"
                ) from None
            yield
