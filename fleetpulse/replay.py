"""`fleetpulse replay`: what the lake has, once more in Postgres."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import Progress

from fleetpulse import settings
from fleetpulse.options import From, To, instant
from streaming import kafka, redrive
from streaming import replay as core
from streaming.database import Database
from streaming.object_store import ObjectStore, open_store
from streaming.replay import EARLIER_EPOCH, Range
from streaming.retention import kept_from
from streaming.settings import OdsSettings
from streaming.sinks.ods import OdsSink


def replay(
    topic: Annotated[str, typer.Option(help="The topic.")],
    since: From = None,
    until: To = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="DATABASE.TABLE",
            help="Put exactly the range's records in this table, on the ODS' server.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Land a topic from the lake in an empty ODS (FLEETPULSE_ODS__DATABASE), bit for bit as it was.

    Killed, it goes on where it was when it is called again; a consumer may go on where it ends.
    With --from or --to an ODS gets whole files of the lake, by the hours of their greatest Kafka
    timestamps; a table gets exactly the records in the range. Where FLEETPULSE_LANDING__KEEP_DAYS
    is set, an ODS gets what it would keep, unless --from or --to asks for something else.
    """
    tree = settings.load()
    store = open_store(settings.require(tree.lake, "lake"))
    ods = settings.require(tree.ods, "ods")
    begins = instant(since) if since else None
    ends = instant(until) if until else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        if into is None:
            kafka_settings = settings.require(tree.kafka, "kafka")
            topic_id = kafka.topic_ids(kafka_settings, [topic])[topic]
            keep_days = tree.landing.keep_days
            with closing(OdsSink(ods.url("consumer"))) as sink:
                if begins is None and ends is None and keep_days is not None:
                    kept = kept_from(keep_days, datetime.now(UTC))
                    typer.echo(f"what landing keeps: from {kept:%Y-%m-%d} on", err=True)
                    ranges = core.kept_ranges(store, sink, topic, kept)
                else:
                    ranges = core.ranges(store, topic, begins, ends)
                records = _into_ods(store, sink, ranges, topic_id, progress)
            redriven = _redrive_again(store, ods, topic, progress)
        else:
            database, _, table = into.partition(".")
            if not database or not table:
                raise typer.BadParameter(f"{into!r} is not DATABASE.TABLE", param_hint="--into")
            url = ods.model_copy(update={"database": database}).url("owner")
            task = progress.add_task("putting records", total=None)
            records = redriven = 0
            with psycopg.connect(url, options="-c timezone=UTC") as connection:
                for count in core.into_table(store, connection, table, topic, begins, ends):
                    records += count
                    progress.update(task, advance=count, description=f"{records} records")
    if as_json:
        typer.echo(json.dumps({"topic": topic, "records": records, "redriven": redriven}))
    else:
        again = f", {redriven} redriven" if redriven else ""
        typer.echo(f"replayed {records} records of {topic}{again}")


def _into_ods(
    store: ObjectStore, sink: OdsSink, ranges: list[Range], topic_id: str, progress: Progress
) -> int:
    """Lands ranges; returns how many records."""
    total = sum(each.end - each.start for each in ranges)
    task = progress.add_task("landing offsets", total=total)
    newest = max((each.partition.epoch for each in ranges), default=0)
    records = 0
    for each in ranges:
        known = topic_id if each.partition.epoch == newest else EARLIER_EPOCH
        for offsets, landed in core.into_ods(store, sink, each, known):
            records += landed
            progress.advance(task, offsets)
    return records


def _redrive_again(store: ObjectStore, ods: OdsSettings, topic: str, progress: Progress) -> int:
    """Lands again what had been redriven; returns how many records."""
    task = progress.add_task("redriving", total=None)
    redriven = 0
    with closing(Database(ods.url("consumer"))) as database:
        for outcomes in redrive.restore(database, store, topic):
            for each in outcomes:
                if each.number is None:
                    typer.echo(f"{each.record} stays in quarantine: {each.why_not}", err=True)
            redriven += sum(each.number is not None for each in outcomes)
            progress.update(task, description=f"{redriven} redriven")
    return redriven
