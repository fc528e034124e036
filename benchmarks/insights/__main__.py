"""What a micro-batch costs: `make bench-insights`.

A fleet with a history behind it sends for ten seconds, a batch is cut, and dbt works it off, as in
production: staging, twelve rules, episodes, transitions. Wall time, and CPU-seconds of dbt and of
Postgres, by batch; those that close a quarter of an hour apart from the others.

`history_ratio`: two ODSs with a smaller fleet, one with ten times the other's history, take turns;
the ratio of their median CPU-seconds.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

from benchmarks.insights.fleet import MODELS, Fleet
from benchmarks.measure import cpu_s
from sandbox.process import Daemon
from tests.fixtures.insights import server
from tests.fixtures.insights.warehouse import Warehouse
from tests.oracle.log import MINUTE, SECOND

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
BATCH_US = 10 * SECOND
TOLERANCE_US = 5 * SECOND
QUARTER_US = 15 * MINUTE
CATCH_UP_RECORDS = 1_000_000
SERVER = ["-c", "shared_buffers=2GB", "-c", "checkpoint_timeout=30min", "-c", "max_wal_size=16GB"]
"""As for a server of this size; the sandbox's own settings are for a laptop."""
RESULT = Path(__file__).resolve().parents[1] / "results" / "insights.json"


@dataclass(frozen=True)
class Run:
    """One batch.

    Attributes:
        records: How many it has.
        boundary: Whether it closes a quarter of an hour.
        seconds: Wall time of dbt's whole invocation.
        client_cpu_s: CPU-seconds of dbt.
        server_cpu_s: CPU-seconds of Postgres.
        models: Wall time of each model, in seconds.
    """

    records: int
    boundary: bool
    seconds: float
    client_cpu_s: float
    server_cpu_s: float
    models: dict[str, float]

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of both."""
        return self.client_cpu_s + self.server_cpu_s


class World:
    """One ODS with a fleet that goes on sending.

    Args:
        warehouse: The ODS.
        postgres_pid: Its server's process.
        devices: Size of the fleet.
        history_us: For how long it has sent before the first batch that is measured.
    """

    def __init__(
        self, warehouse: Warehouse, postgres_pid: int, devices: int, history_us: int
    ) -> None:
        self._warehouse = warehouse
        self._postgres_pid = postgres_pid
        self._profile = {
            name: value for name, value in os.environ.items() if name.startswith("FLEETPULSE_ODS")
        }
        self._now_us = int(START.timestamp()) * SECOND - history_us
        self._fleet = Fleet(devices, self._now_us)
        warehouse.register(self._fleet.registry, dict.fromkeys(MODELS, 8.0))

    def catch_up(self) -> None:
        """Brings the fleet to the start, in large batches."""
        start_us = int(START.timestamp()) * SECOND
        step_us = CATCH_UP_RECORDS * MINUTE // (2 * self._fleet.devices) // MINUTE * MINUTE
        while self._now_us < start_us:
            run = self.batch(min(step_us, start_us - self._now_us), late=False)
            left = (start_us - self._now_us) / MINUTE
            tell(f"  {run.records} records in {run.seconds:.1f} s; {left:.0f} min of history left")
        self._warehouse.execute("vacuum (analyze)")

    def batch(self, span_us: int = BATCH_US, *, late: bool = True) -> Run:
        """Lets the fleet send for so long, and works it off."""
        before_us, self._now_us = self._now_us - TOLERANCE_US, self._now_us + span_us
        records = self._fleet.send(self._warehouse.connection, self._now_us, late=late)
        watermark_us = self._now_us - TOLERANCE_US
        self._warehouse.cut(self._fleet.ends, watermark_us)
        server_s, client_s, began = cpu_s(self._postgres_pid), time.process_time(), time.monotonic()
        with mock.patch.dict(os.environ, self._profile):  # two worlds may take turns
            result = self._warehouse.dbt("run", "--selector", "insights_batch")
        return Run(
            records,
            before_us // QUARTER_US < watermark_us // QUARTER_US,
            time.monotonic() - began,
            time.process_time() - client_s,
            cpu_s(self._postgres_pid) - server_s,
            {each.node.name: each.execution_time for each in result.result},
        )


def main() -> None:
    """Measures, and shows."""
    arguments = _arguments()
    result: dict[str, Any] = {}
    with _world(arguments.devices, arguments.history * MINUTE) as world:
        runs = [world.batch() for _ in _counted(arguments.batches)]
    result["batches"] = {
        "ordinary": _summary([run for run in runs if not run.boundary]),
        "quarter-hour": _summary([run for run in runs if run.boundary]),
    }
    result["runs"] = [asdict(run) for run in runs]
    _show(result["batches"])
    if arguments.ratio_devices:
        result["history_ratio"] = _history_ratio(arguments)
        print({"history_ratio": result["history_ratio"]})
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1))
    print(f"written to {RESULT}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-insights", description=__doc__)
    parser.add_argument("--devices", type=int, default=50_000)
    parser.add_argument("--history", type=int, default=120, metavar="MINUTES")
    parser.add_argument("--batches", type=int, default=93, help="93 hold two quarter-hours")
    parser.add_argument("--ratio-devices", type=int, default=5_000, help="0: no history_ratio")
    parser.add_argument("--ratio-batches", type=int, default=31, help="of each ODS")
    return parser.parse_args()


@contextmanager
def _world(devices: int, history_us: int) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="bench-insights-") as folder:
        home = Path(folder)
        with server.warehouse(home, SERVER) as warehouse:
            warehouse.execute("alter role current_user reset synchronous_commit")
            identity = Daemon("postgres", home).identity()
            if identity is None:
                raise RuntimeError("Postgres is not running")
            tell(f"{devices} devices, {history_us // MINUTE} minutes of history")
            warehouse.dbt("run")
            world = World(warehouse, identity.pid, devices, history_us)
            world.catch_up()
            yield world


def _history_ratio(arguments: argparse.Namespace) -> float:
    devices, history_us = arguments.ratio_devices, arguments.history * MINUTE
    with _world(devices, history_us) as short, _world(devices, 10 * history_us) as long:
        runs = [(short.batch(), long.batch()) for _ in _counted(arguments.ratio_batches)]
    costs = [statistics.median(run.cpu_s for run in of_one) for of_one in zip(*runs, strict=True)]
    return round(costs[1] / costs[0], 2)


def _counted(count: int) -> Iterator[int]:
    for number in range(count):
        yield number
        tell(f"  batch {number + 1} of {count}")


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    def median(figure: str) -> float:
        return round(statistics.median(getattr(run, figure) for run in runs), 2)

    if not runs:
        return {"batches": 0}
    models = {
        name: round(statistics.median(run.models[name] for run in runs), 3)
        for name in runs[0].models
    }
    return {
        "batches": len(runs),
        "records": median("records"),
        "seconds": median("seconds"),
        "slowest": round(max(run.seconds for run in runs), 2),
        "client_cpu_s": median("client_cpu_s"),
        "server_cpu_s": median("server_cpu_s"),
        "models": dict(sorted(models.items(), key=lambda each: -each[1])),
    }


def _show(summaries: dict[str, dict[str, Any]]) -> None:
    console = Console()
    table = Table("batch", "n", "records", "median s", "slowest s", "dbt CPU-s", "Postgres CPU-s")
    figures = ("batches", "records", "seconds", "slowest", "client_cpu_s", "server_cpu_s")
    for name, summary in summaries.items():
        table.add_row(name, *(str(summary.get(figure, "")) for figure in figures))
    console.print(table)
    models = Table("model", *(f"{name}, s" for name in summaries))
    for model in next(iter(summaries.values())).get("models", {}):
        models.add_row(
            model, *(str(each.get("models", {}).get(model, "")) for each in summaries.values())
        )
    console.print(models)


def tell(words: str) -> None:
    """Says on stderr what is being done."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
