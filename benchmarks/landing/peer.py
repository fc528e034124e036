"""A peer that lands for ever, into one table: when has it landed all, and what did that take?"""

import time
from collections.abc import Callable

from benchmarks.landing.world import World
from benchmarks.measure import Memory, Usage, cpu_s
from streaming.settings import OdsSettings

TABLE = "landed"
SIZE = "select coalesce(pg_relation_size(to_regclass('public.landed')), 0)"
COUNT = "select count(*) from public.landed"
LANDED_WITHIN_S = 300
LOOK_S = 0.2
QUIET_S = 1.0


class Peer:
    """Measures a process from entering the block on, until its table has all rows."""

    def __init__(self, world: World, ods: OdsSettings, pid: int) -> None:
        self._world = world
        self._ods = ods
        self._pid = pid
        self._memory = Memory(pid)

    def __enter__(self) -> "Peer":
        self._began = time.monotonic()
        self._client, self._server = self._cpu_s()
        self._memory.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.__exit__()

    def land(self, events: int, check: Callable[[], None]) -> Usage:
        """Waits until all are landed; the last growth of the table is taken for the end.

        The server's own count of inserted rows can be 10 s late, and counting them costs CPU: so
        they are counted when the table has not grown for a second, and that is not measured.

        Args:
            events: How many rows there must be.
            check: Raises if the peer has failed.

        Raises:
            RuntimeError: There are more rows, or not all in time.
        """
        size, grown = 0, self._began
        with self._world.superuser(self._ods.database) as connection:
            while time.monotonic() < self._began + LANDED_WITHIN_S:
                time.sleep(LOOK_S)
                check()
                ((found,),) = connection.execute(SIZE).fetchall()
                now = time.monotonic()
                if found != size:
                    size, grown = found, now
                elif size and now - grown > QUIET_S:
                    client, server = self._cpu_s()
                    ((rows,),) = connection.execute(COUNT).fetchall()
                    if rows > events:
                        raise RuntimeError(f"{rows} rows were landed of {events} records")
                    if rows == events:
                        return Usage(
                            grown - self._began,
                            client - self._client,
                            server - self._server,
                            self._memory.peak_mb,
                        )
        raise RuntimeError(f"not all records were landed within {LANDED_WITHIN_S} s")

    def _cpu_s(self) -> tuple[float, float]:
        return cpu_s(self._pid), cpu_s(self._world.postgres_pid())
