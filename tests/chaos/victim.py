"""The consumer as in production, for which death waits at a named step (see `steps`).

Nothing of it is changed: its sinks are made by factories, and these wrap them; the libraries that
it calls tell what they do. SIGUSR1 and SIGUSR2 set its clock an hour ahead and behind, and a second
time right again.
"""

import datetime
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import botocore.auth
import confluent_kafka as ck
import psycopg

from fleetpulse import logs, settings
from streaming import kafka
from streaming.consumer import Consumer
from streaming.object_store import ObjectStore, open_store
from streaming.records import PartitionId, Slice
from streaming.settings import LandingSettings
from streaming.sinks import ods
from streaming.sinks.lake import LakePartition, LakeSink
from streaming.sinks.ods import InLake, Landed, OdsSink
from streaming.sinks.ods_rows import Packed
from tests.chaos.steps import Order
from tests.integration.landing.process import Process

SESSION_MS = 3_000
HOUR_S = 3_600


class Fate:
    """Knows the order, and counts how often each step is passed."""

    def __init__(self, orders: Path) -> None:
        self._orders = orders
        self._passed: Counter[Order] = Counter()
        self._doing = threading.local()

    def pass_by(self, step: str) -> None:
        """Dies, if this is the moment.

        Raises:
            psycopg.OperationalError: The order is to lose the database's answer.
        """
        order = Order.read(self._orders)
        if order is None or order.step != step:
            return
        self._passed[order] += 1
        if self._passed[order] < order.number or not order.take(self._orders):
            return
        os.write(2, order.words.encode())
        if order.deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()  # until the signal has come
        raise psycopg.OperationalError("the answer was lost")

    @contextmanager
    def around(self, before: str, after: str) -> Iterator[None]:
        self.pass_by(before)
        yield
        self.pass_by(after)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Says of this thread what it is doing."""
        previous, self.is_doing = self.is_doing, what
        try:
            yield
        finally:
            self.is_doing = previous

    @property
    def is_doing(self) -> str:
        return getattr(self._doing, "what", "")

    @is_doing.setter
    def is_doing(self, what: str) -> None:
        self._doing.what = what


class DoomedOds(OdsSink):
    def __init__(self, url: str, fate: Fate) -> None:
        super().__init__(url)
        self._fate = fate

    def open(self, *arguments: Any, **named: Any) -> Landed:
        with self._fate.around("before opening", "after opening"):
            return super().open(*arguments, **named)

    def land(self, packed: Packed) -> int:
        self._fate.pass_by("before the rows")
        with self._fate.doing("landing"):
            return super().land(packed)

    def read(self, partition: PartitionId, start: int, end: int, limit: int) -> Slice:
        if start >= end:
            return super().read(partition, start, end, limit)
        with self._fate.around("recovery: before reading", "recovery: after reading"):
            return super().read(partition, start, end, limit)

    def note_lake(self, proven: Mapping[PartitionId, InLake]) -> None:
        with self._fate.around("before the lake's note", "after the lake's note"):
            super().note_lake(proven)


class DoomedLake(LakeSink):
    def __init__(self, store: ObjectStore, settings: LandingSettings, fate: Fate) -> None:
        super().__init__(store, settings)
        self._fate = fate

    def open(self, *arguments: Any, **named: Any) -> LakePartition:
        with self._fate.doing("recovery: "):
            return super().open(*arguments, **named)


class DoomedStore:
    def __init__(self, store: ObjectStore, fate: Fate) -> None:
        self._store = store
        self._fate = fate
        self.get, self.exists, self.keys = store.get, store.exists, store.keys
        self.sizes, self.delete = store.sizes, store.delete

    def put_if_absent(self, key: str, body: bytes) -> bool:
        what = "the claim" if key.startswith("_claims/") else "the file"
        when = self._fate.is_doing
        with self._fate.around(f"{when}before {what}", f"{when}after {what}"):
            return self._store.put_if_absent(key, body)


def doom_postgres(fate: Fate) -> None:
    """Has psycopg tell when the rows of a landing are copied, and when it commits."""

    class Transaction(psycopg.Transaction):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            # A landing may also make the tables of a day, in a transaction of its own.
            deciding = fate.is_doing == "copied" and error is None and self._outer_transaction
            if deciding:
                fate.pass_by("before the database's commit")
            swallowed = super().__exit__(kind, error, trace)
            if deciding:
                fate.pass_by("after the database's commit")
            return swallowed

    class Copy(psycopg.Copy):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
            super().__exit__(kind, error, trace)
            if fate.is_doing in ("landing", "copied") and error is None:
                fate.is_doing = "copied"
                fate.pass_by("between rows and offsets")

    psycopg.connection.Transaction = Transaction
    psycopg.cursor.Copy = Copy


def doom_kafka(fate: Fate) -> None:
    """Has the Kafka client tell when it is called; sessions end soon, so that a round is short."""

    class DoomedConsumer(ck.Consumer):
        def consume(self, *arguments: Any, **named: Any) -> Any:
            messages = super().consume(*arguments, **named)
            if messages:
                fate.pass_by("after polling")
            return messages

        def commit(self, *arguments: Any, **named: Any) -> Any:
            with fate.around("before Kafka's commit", "after Kafka's commit"):
                return super().commit(*arguments, **named)

        def incremental_assign(self, partitions: Any) -> Any:
            if not partitions:
                return super().incremental_assign(partitions)
            with fate.around("before assigning", "after assigning"):
                return super().incremental_assign(partitions)

        def close(self) -> Any:
            with fate.around("before leaving", "after leaving"):
                return super().close()

    ck.Consumer = DoomedConsumer
    in_production = kafka.consumer_config

    def config(*arguments: Any, **named: Any) -> Any:
        properties = in_production(*arguments, **named)
        if properties["group.protocol"] == "classic":
            properties |= {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500}
        return properties

    kafka.consumer_config = config


def doom_clock() -> None:
    """Has SIGUSR1 and SIGUSR2 set the wall clock; the monotonic one never jumps."""
    shift = 0
    seconds = time.time

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=shift)

    def jump(by: int) -> Callable[..., None]:
        def handler(*_: object) -> None:
            nonlocal shift
            shift = 0 if shift else by
            os.write(2, b"chaos: the clock jumps\n")

        return handler

    time.time = lambda: seconds() + shift
    ods.datetime = Shifted
    botocore.auth.get_current_datetime = lambda: Shifted.now(datetime.UTC).replace(tzinfo=None)
    signal.signal(signal.SIGUSR1, jump(HOUR_S))
    signal.signal(signal.SIGUSR2, jump(-HOUR_S))


def land(orders: Path, environment: dict[str, str], log: Path) -> None:
    """Does what `fleetpulse consume` does, in a process that was made for it."""
    os.environ.clear()
    os.environ.update(environment)
    with log.open("wb") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    tree = settings.load()
    logs.configure(tree.log_level)
    fate = Fate(orders)
    store = DoomedStore(open_store(settings.require(tree.lake, "lake")), fate)
    doom_postgres(fate)
    doom_kafka(fate)
    doom_clock()
    consumer = Consumer(
        settings.require(tree.kafka, "kafka"),
        tree.landing,
        partial(DoomedOds, settings.require(tree.ods, "ods").url("consumer"), fate),
        partial(DoomedLake, store, tree.landing, fate),
    )
    signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
    os.write(2, b"chaos: ready\n")
    consumer.run()


# Forked from a process that has imported all this already: a start costs next to nothing.
_NURSERY = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload(["__main__", __name__])


class Victim:
    """A victim's process, as `Process` wants it."""

    def __init__(self, orders: Path, environment: dict[str, str], log: Path) -> None:
        log.touch()
        self._process = _NURSERY.Process(target=land, args=(orders, environment, log), daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"the victim has not ended within {timeout} s")
        return code

    def send_signal(self, sig: int) -> None:
        if self._process.exitcode is None:
            os.kill(cast(int, self._process.pid), sig)

    def kill(self) -> None:
        self._process.kill()


def begin(orders: Path, environment: dict[str, str], log: Path) -> Process:
    return Process(Victim(orders, environment, log), log)
