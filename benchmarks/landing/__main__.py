"""`make bench-landing`: rows a second, CPU and memory beside the connectors that we replace."""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.landing import contenders
from benchmarks.landing.connect import debezium
from benchmarks.landing.measure import Usage
from benchmarks.landing.world import World


def main() -> None:
    """Runs the contenders one after another."""
    parser = argparse.ArgumentParser(prog="make bench-landing", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ours", action="store_true", help="only ours and the ceiling")
    chosen = parser.parse_args()
    found: dict[str, Usage] = {}
    with TemporaryDirectory(prefix="bench-landing-") as folder, World(Path(folder)) as world:
        size = world.fill(chosen.events, chosen.seed)
        print(f"{chosen.events} events of {size / chosen.events:.0f} bytes", file=sys.stderr)
        for sinks in ("both", "ods", "lake"):
            found[f"ours {sinks}"], ods = contenders.ours(world, sinks, chosen.events)
            print(sinks, found[f"ours {sinks}"], file=sys.stderr)
            if sinks == "both":
                source = ods
        found["ceiling"] = contenders.ceiling(world, source)
        print("ceiling", found["ceiling"], file=sys.stderr)
        if not chosen.ours:
            found["Quix Streams"] = contenders.quix(world, chosen.events)
            print("quix", found["Quix Streams"], file=sys.stderr)
            found["Debezium"] = debezium(world, chosen.events)
    show(found, chosen.events)


def show(found: dict[str, Usage], events: int) -> None:
    """Prints one line a contender."""
    table = Table("", "rows/s", "client CPU-s/M", "Postgres CPU-s/M", "memory MB")
    for name, usage in found.items():
        table.add_row(
            name,
            f"{events / usage.seconds:,.0f}",
            f"{usage.client_cpu_s * 1e6 / events:.1f}",
            f"{usage.server_cpu_s * 1e6 / events:.1f}",
            f"{usage.client_memory_mb:.0f}",
        )
    Console().print(table)
    print(json.dumps({name: usage.__dict__ for name, usage in found.items()}), file=sys.stderr)


if __name__ == "__main__":
    main()
