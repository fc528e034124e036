"""Rows a second, CPU and memory of landing, beside the connectors that it replaces.

All contenders land the same topic, one after another, on one machine. What starting up costs is
not counted for those that run for ever (ours, Debezium's), and is for Quix Streams.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.landing import contenders
from benchmarks.landing.connect import debezium
from benchmarks.landing.measure import Usage
from benchmarks.landing.world import World

RESULT = Path(__file__).resolve().parents[1] / "results" / "landing.json"


def main() -> None:
    """Runs the contenders, prints a table, and writes the result."""
    parser = argparse.ArgumentParser(prog="make bench-landing", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="how many records (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the records (%(default)s)")
    parser.add_argument("--ours", action="store_true", help="only ours and the ceiling")
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="bench-landing-") as folder, World(Path(folder)) as world:
        tell(f"producing {chosen.events} events")
        size = world.fill(chosen.events, chosen.seed)
        found = run(world, chosen.events, only_ours=chosen.ours)
    result = {
        "events": chosen.events,
        "bytes_per_event": round(size / chosen.events),
        "contenders": {name: per_million(usage, chosen.events) for name, usage in found.items()},
        "ratios": ratios(found),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)


def run(world: World, events: int, *, only_ours: bool) -> dict[str, Usage]:
    """Returns what each contender has cost, by name."""
    found: dict[str, Usage] = {}
    tell("ours, both sinks")
    found["ours"], landed = contenders.ours(world, "both", events)
    for sink in ("ods", "lake"):
        tell(f"ours, {sink} alone")
        found[f"ours, {sink} alone"], _ = contenders.ours(world, sink, events)
    tell("the server's own COPY")
    found["server-side COPY"] = contenders.ceiling(world, landed)
    if not only_ours:
        tell("Quix Streams")
        found["Quix Streams to S3"] = contenders.quix(world, events)
        tell("Debezium")
        found["Debezium JDBC"] = debezium(world, events)
    return found


def per_million(usage: Usage, events: int) -> dict[str, float]:
    """Returns rates, and CPU-seconds for a million rows."""
    return {
        "rows_per_s": round(events / usage.seconds),
        "client_cpu_s": round(usage.client_cpu_s * 1e6 / events, 2),
        "server_cpu_s": round(usage.server_cpu_s * 1e6 / events, 2),
        "client_memory_mb": round(usage.client_memory_mb),
    }


def ratios(found: dict[str, Usage]) -> dict[str, float]:
    """Returns how we compare, within this one run: larger is better for us."""
    ours, ods, lake = found["ours"], found["ours, ods alone"], found["ours, lake alone"]
    compared = {"of_copy_ceiling": found["server-side COPY"].seconds / ours.seconds}
    if peer := found.get("Debezium JDBC"):
        theirs, own = (each.client_cpu_s + each.server_cpu_s for each in (peer, ods))
        compared["debezium_jdbc_cpu"] = theirs / own
        compared["debezium_jdbc_memory"] = peer.client_memory_mb / ours.client_memory_mb
    if peer := found.get("Quix Streams to S3"):
        compared["quix_s3_cpu"] = peer.client_cpu_s / lake.client_cpu_s
    return {name: round(ratio, 2) for name, ratio in compared.items()}


def show(result: dict[str, Any]) -> None:
    """Prints one line a contender, and the ratios."""
    table = Table("", "rows/s", "client CPU-s/M", "Postgres CPU-s/M", "memory MB")
    for name, usage in result["contenders"].items():
        table.add_row(name, *(f"{value:,}" for value in usage.values()))
    console = Console()
    console.print(table)
    console.print(result["ratios"])
    console.print(f"written to {RESULT}", highlight=False)


def tell(words: str) -> None:
    """Says on stderr what is being done."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
