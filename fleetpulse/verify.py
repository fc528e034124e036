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
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Compare bytes, headers and timestamps too, by hash."),
    ] = False,
    incremental: Annotated[
        bool,
        typer.Option("--incremental", help="Do not read again what was found sound before."),
    ] = False,
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

    Exit code 1 on a gap, a double, a record that Kafka does not have or, with --deep, one that is
    not the same everywhere. With --against: on any difference from that table.
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
        known = core.verified(connection, deep=deep) if incremental else {}
        found = []
        compared = core.verify(kafka_settings, topics, connection, store, deep=deep, since=known)
        for each in progress.track(compared, total=partitions, description="comparing partitions"):
            if each.sound:
                core.note_verified(connection, each, deep=deep)
            found.append(each)
    sound = all(each.sound for each in found)
    if as_json:
        typer.echo(json.dumps({"sound": sound, **core.total(found)}))
    else:
        _print(found, sound)
    if not sound:
        raise typer.Exit(1)


def _print(found: list[core.Comparison], sound: bool) -> None:
    table = Table("partition", title="Kafka = ODS ∪ quarantine = lake?")
    sums = core.total(found)
    counts = ["from", "Kafka", "ODS", *(["dropped"] if sums["dropped"] else []), "lake", "behind"]
    for name in counts:
        table.add_column(name, justify="right")
    table.add_column("wrong")
    for each in found:
        where = each.partition
        name = f"{where.topic}[{where.partition}]"
        table.add_row(
            f"{name} e{where.epoch}" if where.epoch else name,
            *map(
                str,
                (
                    each.start,
                    each.kafka_records,
                    each.ods.records,
                    *([each.ods.dropped] if sums["dropped"] else []),
                    each.lake.records,
                    each.behind,
                ),
            ),
            "; ".join([*_faults("ODS", each.ods), *_faults("lake", each.lake)]),
        )
    console = Console()
    console.print(table)
    for each in found:
        for name, copy in (("ODS", each.ods), ("lake", each.lake)):
            if copy.examples:
                console.print(f"{each.partition}: {name}: {', '.join(copy.examples)}")
    if sound:
        late = f", {sums['behind']} not landed yet" if sums["behind"] else ""
        gone = f", {sums['dropped']} of them by now in the lake alone" if sums["dropped"] else ""
        console.print(f"sound: {sums['produced']} records, each once in both{gone}{late}")
    else:
        console.print("not sound: see the offsets above")


def _faults(name: str, copy: core.Copy) -> list[str]:
    counts = {kind: getattr(copy, kind) for kind in ("missing", "doubled", "foreign", "altered")}
    return [f"{count} {kind} in {name}" for kind, count in counts.items() if count]
