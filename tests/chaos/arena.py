"""Three consumers of one group at work, and what can be done to them and to their systems."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from sandbox.postgres import Postgres
from tests.chaos import victim
from tests.chaos.proxy import HOST, Proxy
from tests.chaos.steps import Order
from tests.integration.landing.process import Process
from tests.integration.landing.scene import Scene

SLOTS = 3
LEAVE_WITHIN_S = 40
FILE_MAX_MB = "0.002"
"""About ten records: then files close while the lake is filled in recovery, too."""
LOOK_EVERY_S = 0.05
READ_ONLY = "default_transaction_read_only"
DISK_FULL = """
create function public.no_space() returns trigger language plpgsql as $$
begin
    raise disk_full using message = 'could not extend file: No space left on device';
end
$$;
create trigger no_space before update on landing.offsets
    for each statement execute function public.no_space()
"""


def pause(seconds: float) -> None:
    Event().wait(seconds)


def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Waits for a condition, up to a time; returns whether it holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause(LOOK_EVERY_S)
    return True


class Arena:
    """One round's consumers and systems."""

    def __init__(
        self, scene: Scene, postgres: Postgres, protocol: str, seed: int, folder: Path
    ) -> None:
        self.scene = scene
        port = urlsplit(scene.environment["FLEETPULSE_LAKE__ENDPOINT_URL"]).port
        assert port is not None
        self.proxy = Proxy(port, seed)
        self._postgres = postgres
        self._orders = folder / "orders"
        self._order_ids = count(1)
        self._all: list[Process] = []
        self._asked: list[Process] = []
        self._settings = {
            "KAFKA__GROUP_PROTOCOL": protocol,
            "LAKE__ENDPOINT_URL": f"http://{HOST}:{self.proxy.port}",
            "LANDING__FILE_MAX_AGE_S": "1",
            "LANDING__FILE_MAX_MB": FILE_MAX_MB,
        }
        self.crew = [self._started() for _ in range(SLOTS)]

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.crew:
            process.kill()
        self.proxy.close()

    # Consumers ----------------------------------------------------------------------------------

    def _started(self) -> Process:
        start = partial(victim.begin, self._orders)
        self._all.append(self.scene.begin("victim", start, **self._settings))
        return self._all[-1]

    def start(self, slot: int) -> Process:
        self.crew[slot] = self._started()
        return self.crew[slot]

    def kill_all(self) -> None:
        """Kills all; the next ones are another group, so that they need not wait.

        What Kafka knows of a group is only a hint.
        """
        for slot in range(SLOTS):
            self.kill(slot)
        self._settings["KAFKA__GROUP_ID"] = f"{self.scene.lake_name}-{uuid4().hex[:8]}"

    def kill(self, slot: int) -> None:
        self.crew[slot].kill()
        self.check()

    def leave(self, slot: int) -> None:
        """Has a consumer leave, and expects that it does so well, in time."""
        self.ask_to_leave(slot)
        code = self.crew[slot].wait(LEAVE_WITHIN_S)
        assert code == 0, self.crew[slot].output[-3000:]

    def ask_to_leave(self, slot: int) -> None:
        process = self.ready(slot)
        self._asked.append(process)
        process.send(signal.SIGTERM)

    def ready(self, slot: int) -> Process:
        """Returns a consumer that minds signals."""
        process = self.crew[slot]
        self.scene.wait_for(lambda: "chaos: ready" in process.output)
        return process

    def carry_out(
        self, order: Order, within_s: float, provoke: Callable[[], None] = lambda: None
    ) -> Process | None:
        """Gives an order to all; returns the consumer that has carried it out, if any in time."""
        order = order._replace(id=next(self._order_ids))
        order.give(self._orders)
        provoke()
        until(lambda: self._says(order) is not None, within_s)
        self._orders.unlink(missing_ok=True)
        process = self._says(order)
        if process is not None and order.deed == "kill":
            process.wait()
        return process

    def _says(self, order: Order) -> Process | None:
        return next((each for each in self._all if order.words in each.output), None)

    def revive(self) -> None:
        """Starts those that are dead."""
        self.check()
        for slot, process in enumerate(self.crew):
            if not process.running:
                self.start(slot)

    def check(self) -> None:
        """Asserts that none has ended but by a kill, or because it was asked."""
        for process in self.crew:
            fine = {None, -signal.SIGKILL, 0 if process in self._asked else None}
            assert process.code in fine, process.output[-3000:]

    def told(self, name: str, words: str = "") -> int:
        """Returns how often consumers, dead ones too, have logged an event with these words."""
        return sum(words in str(event) for process in self._all for event in process.events(name))

    # Systems ------------------------------------------------------------------------------------

    @contextmanager
    def without(self, server: str, how: signal.Signals = signal.SIGKILL) -> Iterator[None]:
        self.scene.stop_server(server, how)
        try:
            yield
        finally:
            self.scene.start_servers()

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        with self.superuser() as connection:
            connection.execute(DISK_FULL)
        try:
            yield
        finally:
            with self.superuser() as connection:
                connection.execute("drop function public.no_space cascade")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        with self.superuser() as connection:
            connection.execute(f"alter system set {READ_ONLY} = on")
            connection.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            with self.superuser() as connection:
                connection.execute(f"alter system reset {READ_ONLY}")
                connection.execute("select pg_reload_conf()")

    @contextmanager
    def tormented(self, fault: str) -> Iterator[None]:
        self.proxy.torment(fault)
        try:
            yield
        finally:
            self.proxy.heal()

    def terminate_sessions(self) -> int:
        """Ends the consumers' sessions in the database; returns how many."""
        with self.superuser() as connection:
            rows = connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'fleetpulse-consumer'"
            ).fetchall()
        return len(rows)

    def superuser(self) -> psycopg.Connection:
        return self._postgres.superuser(self.scene.ods.database)
