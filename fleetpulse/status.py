"""`fleetpulse status`: is landing well, and how far has it come?"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from streaming import status as core
from streaming.object_store import open_store


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask Kafka, the consumers, the ODS and the lake how they are. Exit code 1 if one is not well.

    Being behind is no fault by itself; a consumer that waits out an outage tells of it in its log
    and its metrics, and the system that it waits for is the one that is not well here.
    """
    tree = settings.load()
    with Console(stderr=True).status("asking"):
        found = core.look(
            settings.require(tree.kafka, "kafka"),
            tree.landing.topics,
            settings.require(tree.ods, "ods"),
            open_store(settings.require(tree.lake, "lake")),
        )
    if as_json:
        typer.echo(json.dumps({"well": found.well, **asdict(found)}, default=str))
    else:
        _print(found)
    if not found.well:
        raise typer.Exit(1)


def _print(found: core.Status) -> None:
    console = Console()
    systems = Table.grid(padding=(0, 2))
    for each in found.systems:
        words = "well" if each.well else "[bold red]not well[/]"
        systems.add_row(each.name, words, each.words)
    console.print(systems)
    if not found.partitions:
        return
    table = Table("partition", box=None)
    for name in ("log end", "behind: ODS", "lake", "last landed"):
        table.add_column(name, justify="right")
    now = datetime.now(UTC)
    for part in found.partitions:
        where = f"{part.partition.topic}[{part.partition.partition}]"
        if part.partition.epoch:
            where += f" epoch {part.partition.epoch}"
        table.add_row(
            where,
            *(
                "?" if number is None else str(number)
                for number in (part.log_end, part.behind_ods, part.behind_lake)
            ),
            f"{(now - part.moved_at).total_seconds():.0f} s ago",
        )
    console.print(table)
