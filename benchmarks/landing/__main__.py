"""Rows a second, CPU and memory of landing, beside the connectors that it replaces.

All contenders land the same topic, one after another, on one machine. Starting up is not counted
for ours and Debezium's, which run for ever; it is for Quix Streams, and for Telegraf (it is short).
"""

import argparse
import json
import os
import statistics
import sys
from collections import defaultdict
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.landing import contenders
from benchmarks.landing.connect import debezium
from benchmarks.landing.telegraf import BuildError, build, telegraf
from benchmarks.landing.world import World
from benchmarks.measure import Usage

RESULT = Path(__file__).resolve().parents[1] / "results" / "landing.json"
BUSY = 1.0
"""The load above which wall times say more about the others than about us."""


def main() -> None:
    """Runs the contenders, prints a table, and writes the result."""
    parser = argparse.ArgumentParser(prog="make bench-landing", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="how many records (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the records (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often ours and the ceiling run (%(default)s)"
    )
    parser.add_argument("--ours", action="store_true", help="only ours and the ceiling")
    parser.add_argument(
        "--with",
        dest="extra",
        choices=["telegraf"],
        help="one more contender (it is built with Go; make's WITH)",
    )
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    if load > BUSY:
        tell(f"this machine is busy (load {load:.1f}): believe the CPU-seconds, not the rows/s")
    with TemporaryDirectory(prefix="bench-landing-") as folder:
        program = None
        if chosen.extra:
            tell("building Telegraf (minutes the first time)")
            try:
                program = build(Path(folder))
            except BuildError as error:
                parser.error(str(error))
        with World(Path(folder)) as world:
            tell(f"producing {chosen.events} events")
            size = world.fill(chosen.events, chosen.seed)
            found = alternate(world, chosen.events, chosen.rounds)
            if not chosen.ours:
                found |= peers(world, chosen.events)
            if program:
                tell("Telegraf")
                found["Telegraf"] = [telegraf(world, program, chosen.events)]
    result = {
        "events": chosen.events,
        "bytes_per_event": round(size / chosen.events),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "contenders": {
            name: {
                **per_million(median(runs), chosen.events),
                "runs": [per_million(run, chosen.events) for run in runs],
            }
            for name, runs in found.items()
        },
        "ratios": ratios({name: median(runs) for name, runs in found.items()}),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result, note="" if program else "without Telegraf; WITH=telegraf adds it (needs Go)")


def alternate(world: World, events: int, rounds: int) -> dict[str, list[Usage]]:
    """Returns what ours and the ceiling have cost, run by run.

    They take turns, so that a machine that gets slower or faster does it to all of them.
    """
    found: dict[str, list[Usage]] = defaultdict(list)
    for number in range(1, rounds + 1):
        tell(
            f"round {number} of {rounds}: ours, both sinks; the server's own COPY; ours, each sink"
        )
        with world.ods() as ods:
            found["ours"].append(contenders.ours(world, ods, "both", events))
            found["server-side COPY"].append(contenders.ceiling(world, ods))
        for sink in ("ods", "lake"):
            with world.ods() as ods:
                usage = contenders.ours(world, ods, sink, events)
                found[f"ours, {sink} alone"].append(usage)
    return dict(found)


def peers(world: World, events: int) -> dict[str, list[Usage]]:
    """Returns what the connectors have cost, each run once: CPU, their ratio, varies little."""
    tell("Quix Streams")
    found = {"Quix Streams to S3": [contenders.quix(world, events)]}
    tell("Debezium")
    return {**found, "Debezium JDBC": [debezium(world, events)]}


def median(runs: list[Usage]) -> Usage:
    """Returns the middle of each figure by itself."""
    return Usage(*(statistics.median(values) for values in zip(*map(astuple, runs), strict=True)))


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
        compared["debezium_jdbc_cpu"] = peer.cpu_s / ods.cpu_s
        compared["debezium_jdbc_memory"] = peer.client_memory_mb / ours.client_memory_mb
    if peer := found.get("Quix Streams to S3"):
        compared["quix_s3_cpu"] = peer.client_cpu_s / lake.client_cpu_s
    if peer := found.get("Telegraf"):
        compared["telegraf_cpu"] = peer.cpu_s / ods.cpu_s
    return {name: round(ratio, 2) for name, ratio in compared.items()}


def show(result: dict[str, Any], note: str) -> None:
    """Prints one line a contender, with the slowest and the fastest of its runs, and the ratios."""
    table = Table("", "rows/s", "runs", "client CPU-s/M", "Postgres CPU-s/M", "memory MB")
    table.columns[0].no_wrap = table.columns[2].no_wrap = True
    for name, usage in result["contenders"].items():
        rates = [run["rows_per_s"] / 1000 for run in usage["runs"]]
        spread = f"{min(rates):.0f}-{max(rates):.0f} k" if len(rates) > 1 else ""
        rate, *costs = (f"{usage[figure]:,}" for figure in usage if figure != "runs")
        table.add_row(name, rate, spread, *costs)
    console = Console()
    console.print(table)
    if note:
        console.print(note)
    console.print(result["ratios"])
    console.print(f"written to {RESULT}", highlight=False)


def tell(words: str) -> None:
    """Says on stderr what is being done."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
