"""Landing for a long time, with a kill every now and then: is memory flat, and is nothing lost?

`make bench-soak`: ten minutes at 20,000 events a second, a kill -9 every 30 s. For the latency at a
low rate: `make bench-soak ARGS="--rate 1000 --minutes 2 --kill-every 0"`.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import confluent_kafka as ck
import psycopg
from rich.console import Console
from rich.progress import Progress

from benchmarks.landing.contenders import environment
from benchmarks.landing.world import TOPIC, World, events_of
from benchmarks.measure import Memory
from sandbox.kafka import PARTITIONS
from streaming import kafka
from streaming.settings import OdsSettings

RESULT = Path(__file__).resolve().parents[1] / "results" / "soak.json"
CONSUME = [sys.executable, "-c", "from fleetpulse.cli import main; main()", "consume"]
VERIFY = [*CONSUME[:-1], "verify", "--json"]
TICK_S = 0.05
SAMPLED = 20
"""Of so many events, one tells how long it took to be in the ODS."""
STANDSTILL_S = 60


class Load(threading.Thread):
    """Produces events at an even rate; remembers when some of them were produced, and where."""

    def __init__(self, world: World, rate: int) -> None:
        super().__init__(name="load", daemon=True)
        self.produced = 0
        self.sampled: dict[int, deque[tuple[int, float]]] = defaultdict(deque)
        self._rate = rate
        self._ended = threading.Event()
        self._producer = ck.Producer({**world.kafka("soak").client(), "linger.ms": 5})

    def run(self) -> None:
        """See `Thread`."""
        # The same events again and again: landing does not care, and making them costs more.
        events = cycle(enumerate(events_of(100_000, 1)))
        began = time.monotonic()
        while not self._ended.wait(TICK_S):
            due = int((time.monotonic() - began) * self._rate) - self.produced
            for _ in range(due):
                self._produce(*next(events))
            self._producer.poll(0)

    def end(self) -> None:
        """Stops, once the broker has all."""
        self._ended.set()
        self.join()
        if self._producer.flush(60):
            raise RuntimeError("the broker has not taken all events within 60 s")

    def _produce(self, number: int, event: tuple[bytes, bytes]) -> None:
        key, payload = event
        partition = number % PARTITIONS
        now = time.monotonic()

        def delivered(_: ck.KafkaError | None, message: ck.Message) -> None:
            self.sampled[partition].append((message.offset() or 0, now))

        sampled = number // PARTITIONS % SAMPLED == 0
        while True:
            try:
                self._producer.produce(
                    TOPIC,
                    payload,
                    key,
                    partition=partition,
                    on_delivery=delivered if sampled else None,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self.produced += 1
                return


class Watch(threading.Thread):
    """Looks at the ODS' offsets all the time: when has it got what was sampled?"""

    def __init__(self, ods: OdsSettings, load: Load) -> None:
        super().__init__(name="watch", daemon=True)
        self.latencies_s: list[float] = []
        self._connection = psycopg.connect(ods.url("orchestrator"), autocommit=True)
        self._load = load
        self._ended = threading.Event()

    def run(self) -> None:
        """See `Thread`."""
        while not self._ended.wait(0.01):
            rows = self._connection.execute(
                'select "partition", next_offset from landing.offsets where topic = %s', [TOPIC]
            ).fetchall()
            now = time.monotonic()
            for partition, next_offset in rows:
                waiting = self._load.sampled[partition]
                while waiting and waiting[0][0] < next_offset:
                    self.latencies_s.append(now - waiting.popleft()[1])

    def end(self) -> None:
        """Stops."""
        self._ended.set()
        self.join()
        self._connection.close()


def main() -> None:
    """Runs, prints what was found, writes it, and ends with 1 if something is lost or doubled."""
    parser = argparse.ArgumentParser(prog="make bench-soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (%(default)s)")
    parser.add_argument("--rate", type=int, default=20_000, help="events a second (%(default)s)")
    parser.add_argument(
        "--kill-every", type=float, default=30, help="seconds between kills; 0: none (%(default)s)"
    )
    chosen = parser.parse_args()
    with (
        TemporaryDirectory(prefix="bench-soak-") as folder,
        World(Path(folder)) as world,
        world.ods() as ods,
    ):
        result = soak(world, ods, chosen.rate, chosen.minutes * 60, chosen.kill_every)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    Console().print_json(data=result)
    sys.exit(not result["verify"]["sound"])


def soak(
    world: World, ods: OdsSettings, rate: int, seconds: float, kill_every: float
) -> dict[str, Any]:
    """Lands for a time; returns what each life of the consumer took, and what `verify` says."""
    settings = environment(world, ods)
    load = Load(world, rate)
    watch = Watch(ods, load)
    lives: list[float] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("soaking", total=seconds)
        began = None
        while True:
            with consumer(settings) as process, Memory(process.pid) as memory:
                if began is None:
                    catch_up(world, ods)  # with nothing: until all partitions are open
                    load.start()
                    watch.start()
                    began = time.monotonic()
                left = began + seconds - time.monotonic()
                is_last = not 0 < kill_every < left
                live(process, left if is_last else kill_every)
                progress.update(task, completed=time.monotonic() - began)
                if is_last:
                    load.end()
                    ended = time.monotonic()
                    progress.update(task, description="catching up")
                    catch_up(world, ods)
                    behind_s = time.monotonic() - ended
                    process.send_signal(signal.SIGTERM)
                else:
                    os.kill(process.pid, signal.SIGKILL)
                process.wait(60)
            lives.append(memory.peak_mb)
            if is_last:
                break
    watch.end()
    checked = subprocess.run(VERIFY, env=settings, stdout=subprocess.PIPE, check=False)
    latencies = statistics.quantiles(watch.latencies_s, n=100)
    third = max(1, len(lives) // 3)
    return {
        "seconds": round(seconds),
        "rate": rate,
        "produced": load.produced,
        "kills": len(lives) - 1,
        "behind_at_the_end_s": round(behind_s, 1),
        "peak_memory_mb": [round(peak) for peak in lives],
        "memory_last_third_over_first": round(
            statistics.median(lives[-third:]) / statistics.median(lives[:third]), 2
        ),
        "latency_s": {"p50": round(latencies[49], 3), "p99": round(latencies[98], 3)},
        "verify": json.loads(checked.stdout),
    }


@contextmanager
def consumer(settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts a consumer; it does not outlive the block, also where the soak is interrupted."""
    process = subprocess.Popen(CONSUME, env=dict(settings), stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def live(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Lets a consumer live for a time.

    Raises:
        RuntimeError: It has ended by itself.
    """
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0, seconds))
        raise RuntimeError(f"the consumer has ended by itself, with {process.returncode}")


def catch_up(world: World, ods: OdsSettings) -> None:
    """Waits until all partitions are open and the ODS is at their ends, on a slow machine too.

    Raises:
        TimeoutError: It is not there, and has not moved for a minute.
    """
    ends = kafka.log_ends(world.kafka("soak"), [TOPIC])
    reached: dict[int, int] = {}
    moved = time.monotonic()
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        while any(reached.get(number, -1) < end for (_, number), end in ends.items()):
            time.sleep(0.2)
            rows = connection.execute(
                'select "partition", next_offset from landing.offsets where topic = %s', [TOPIC]
            ).fetchall()
            if dict(rows) != reached:
                reached, moved = dict(rows), time.monotonic()
            elif time.monotonic() - moved > STANDSTILL_S:
                raise TimeoutError(f"the ODS is not at the end, and still for {STANDSTILL_S} s")


if __name__ == "__main__":
    main()
