"""`fleetpulse verify`: is every record exactly once in the ODS and in the lake?"""

import json
from datetime import datetime
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fleetpulse import settings
from fleetpulse.against import against as compare_with
from streaming import kafka
from streaming import verify as core
from streaming.contracts import CONTRACTS
from streaming.object_store import open_store

_PARALLEL = "A parallel run"


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEMA.TABLE",
            help="Compare a topic's view in ods with this table instead, field by field.",
            rich_help_panel=_PARALLEL,
        ),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="The topic of that table.", rich_help_panel=_PARALLEL)
    ] = None,
    key: Annotated[
        str,
        typer.Option(help="Says which rows belong together.", rich_help_panel=_PARALLEL),
    ] = "event_id",
    since: Annotated[
        datetime | None,
        typer.Option("--from", help="Only events from then (UTC) on.", rich_help_panel=_PARALLEL),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--to", help="Only events before then (UTC).", rich_help_panel=_PARALLEL),
    ] = None,
) -> None:
    """Compare Kafka, the ODS with its quarantine, and the lake, offset by offset.

    Exit code 1 on a gap, a double, or a record that Kafka does not have. With --against: on any
    difference from that table.
    """
    tree = settings.load()
    if against is not None:
        if topic not in CONTRACTS:
            raise typer.BadParameter(
                f"say which topic {against} is of: --topic {' | '.join(CONTRACTS)}"
            )
        ods = settings.require(tree.ods, "ods")
        if not compare_with(
            ods, topic, against, key=key, since=since, until=until, as_json=as_json
        ):
            raise typer.Exit(1)
        return
    kafka_settings = settings.require(tree.kafka, "kafka")
    ods = settings.require(tree.ods, "ods")
    store = open_store(settings.require(tree.lake, "lake"))
    topics = tree.landing.topics
    partitions = len(kafka.log_ends(kafka_settings, topics))
    with (
        psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        found = list(
            progress.track(
                core.verify(kafka_settings, topics, connection, store),
                total=partitions,
                description="comparing partitions",
            )
        )
    sound = all(each.sound for each in found)
    if as_json:
        typer.echo(json.dumps({"sound": sound, **core.total(found)}))
    else:
        _print(found, sound)
    if not sound:
        raise typer.Exit(1)


def _print(found: list[core.Comparison], sound: bool) -> None:
    table = Table(title="Kafka = ODS ∪ quarantine = lake?")
    for name in ("topic", "partition", "epoch", "offsets", "Kafka", "ODS", "lake"):
        table.add_column(name, justify="left" if name == "topic" else "right")
    for name in ("behind", "missing", "doubled", "foreign"):
        table.add_column(name, justify="right")
    for each in found:
        copies = (each.ods, each.lake)
        table.add_row(
            each.partition.topic,
            str(each.partition.partition),
            str(each.partition.epoch),
            f"{each.log_start}–{each.log_end}",
            str(each.kafka_records),
            str(each.ods.records),
            str(each.lake.records),
            str(each.behind),
            *(
                " / ".join(str(getattr(copy, name)) for copy in copies)
                for name in ("missing", "doubled", "foreign")
            ),
        )
    console = Console()
    console.print(table)
    for each in found:
        for name, copy in (("ODS", each.ods), ("lake", each.lake)):
            if copy.examples:
                console.print(f"{each.partition}: {name}: {', '.join(copy.examples)}")
    sums = core.total(found)
    if sound:
        late = f", {sums['behind']} not landed yet" if sums["behind"] else ""
        console.print(f"sound: {sums['produced']} records, each once in both{late}")
    else:
        console.print("not sound: see the offsets above (missing / doubled / foreign: ODS / lake)")
