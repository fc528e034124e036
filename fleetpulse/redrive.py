"""`fleetpulse quarantine redrive`: land what was quarantined, repaired or not."""

import json
from collections import Counter
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from fleetpulse import settings
from fleetpulse.quarantine_options import (
    AsJson,
    By,
    Note,
    Reason,
    Since,
    Topic,
    Yes,
    named,
    record_id,
    writing,
)
from streaming import quarantine
from streaming import redrive as core
from streaming.database import Database
from streaming.errors import OutageError
from streaming.object_store import open_store
from streaming.quarantine import Filter, State
from streaming.records import RecordId

_TOLD = 10


def redrive(
    record: Annotated[
        RecordId | None,
        typer.Argument(parser=record_id, metavar="[RECORD]", help="TOPIC/EPOCH/PARTITION/OFFSET."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that are held, of the topic, reason and time given.")
    ] = False,
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    by: By = None,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Land a record with its newest repair, or as it is where its contract has been loosened.

    It lands under its own identity, once. What still breaks its contract stays where it is: exit
    code 1.
    """
    wanted = Filter(topic, reason, since, State.HELD)
    if (record is None) != every:
        raise typer.BadParameter("name a RECORD, or say --all (not both)")
    if record is not None and (topic, reason, since) != (None, None, None):
        raise typer.BadParameter("--topic, --reason and --since narrow --all, not a RECORD")
    who = named(by)
    with writing() as database:
        if record is None:
            counts = _redrive_all(database, wanted, who, note, as_json=as_json, yes=yes)
        else:
            with database.transaction() as connection:
                outcomes = core.redrive(connection, [record], by=who, note=note)
            counts = Counter()
            _tell(outcomes, counts, as_json=as_json)
        if not as_json:
            typer.echo(f"{counts['landed']} landed, {counts['broken']} not")
        if (waiting := _put_in_lake(database)) is not None:
            typer.echo(f"the lake is told later: {waiting}", err=True)
    if counts["broken"]:
        raise typer.Exit(1)


def _redrive_all(
    database: Database, wanted: Filter, by: str, note: str | None, *, as_json: bool, yes: bool
) -> Counter[str]:
    ods = settings.require(settings.load().ods, "ods")
    counts: Counter[str] = Counter()
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        total = quarantine.count(connection, wanted)
        if total and not yes:
            typer.confirm(f"Redrive {total:,} records?", abort=True)
        with _progress() as progress:
            task = progress.add_task("redriving", total=total)
            for page in quarantine.pages(connection, wanted, core.AT_ONCE):
                with database.transaction() as writing:
                    outcomes = core.redrive(writing, page, by=by, note=note)
                _tell(outcomes, counts, as_json=as_json)
                progress.advance(task, len(page))
    return counts


def _tell(outcomes: list[core.Outcome], counts: Counter[str], *, as_json: bool) -> None:
    for each in outcomes:
        landed = each.number is not None
        counts["landed" if landed else "broken"] += 1
        if as_json:
            told = {"record": str(each.record), "number": each.number, "why_not": each.why_not}
            typer.echo(json.dumps(told))
        elif not landed and counts["broken"] <= _TOLD:
            typer.echo(f"{each.record} has not landed: {each.why_not}", err=True)


def _put_in_lake(database: Database) -> OutageError | None:
    """Tells the lake what it has not been told of; an outage is no failure: `consume` does it."""
    store = open_store(settings.require(settings.load().lake, "lake"))
    try:
        with database.transaction() as connection:
            total = core.waiting(connection)
        with _progress() as progress:
            task = progress.add_task("telling the lake", total=total)
            core.put_in_lake(database, store, lambda count: progress.advance(task, count))
    except OutageError as error:
        return error
    return None


def _progress() -> Progress:
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
