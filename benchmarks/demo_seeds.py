"""The demo with one seed after another: is everything found each time, and how fast?

`make bench-demo ARGS="--seeds 10 --report seeds.json"`; `--rules all` plays the faults of
every rule; what follows `--` goes to the demo.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.fleet import Faults

PROGRAM = "from fleetpulse.cli import main; main()"
COLUMNS = (
    *("seed", "exit", "produced", "landed", "quarantined", "lake", "recall", "precision"),
    *("opened", "resolved", "false", "first s", "p50 s", "p95 s", "runs", "failed", "killed with"),
)


def main() -> None:
    """Runs the demos, prints a table, and ends with 1 if one was not as promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--for", dest="live", default="120", help="live time of each")
    parser.add_argument("--report", type=Path, help="where the reports go, as one JSON list")
    parser.add_argument("--rules", choices=list(Faults), default=Faults.FEW, help="whose faults")
    parser.add_argument("demo", nargs="*", help="more options of the demo, after --")
    chosen = parser.parse_args()
    reports = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        reports.append(play(seed, chosen.live, ["--rules", chosen.rules, *chosen.demo]))
        if chosen.report is not None:
            chosen.report.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    show(reports)
    sys.exit(any(report["exit"] for report in reports))


def play(seed: int, live: str, more: list[str]) -> dict[str, Any]:
    """Runs one demo and returns its report, with the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ["--seed", str(seed), "--for", live, "--headless", "--report", str(report)]
        done = subprocess.run([sys.executable, "-c", PROGRAM, "demo", *options, *more], check=False)
        found: dict[str, Any] = {"seed": seed}
        if report.exists():
            found = json.loads(report.read_text(encoding="utf-8"))
    return {**found, "exit": done.returncode}


def show(reports: list[dict[str, Any]]) -> None:
    """Prints one line a seed."""
    table = Table(*COLUMNS)
    for report in reports:
        latency = report.get("latency_s") or {}
        runs = report.get("dagster", {})
        kills = ", ".join(str(kill["unacknowledged"]) for kill in report.get("chaos", []))
        values = [
            *(report.get(name) for name in ("seed", "exit", "produced", "landed", "quarantined")),
            *(report.get(name) for name in ("lake", "recall", "precision")),
            *(report.get(name) for name in ("opened", "resolved")),
            len(report["false_incidents"]) if "false_incidents" in report else None,
            *(report.get("first_incident_s"), latency.get("p50"), latency.get("p95")),
            *(runs.get("runs"), runs.get("failed"), kills),
        ]
        table.add_row(*("–" if value is None else str(value) for value in values))
    console = Console(width=180)
    console.print(table)
    console.print(by_rule(reports))


def by_rule(reports: list[dict[str, Any]]) -> Table:
    """Returns one line a rule: all seeds together, and the worst of them."""
    table = Table("rule", "due", "found", "false", "least recall", "least precision")
    shares: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for report in reports:
        for rule_id, share in report.get("rules", {}).items():
            shares[rule_id].append(share)
    for rule_id, each in sorted(shares.items()):
        sums = [sum(share[name] for share in each) for name in ("due", "found", "false")]
        least = [
            min((share[name] for share in each if share[name] is not None), default=None)
            for name in ("recall", "precision")
        ]
        table.add_row(
            rule_id, *map(str, sums), *("–" if value is None else f"{value:.3f}" for value in least)
        )
    return table


if __name__ == "__main__":
    main()
