"""`fleetpulse retention`: days of landing that are older than what is kept."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import Topics, user
from fleetpulse.settings import Settings
from streaming import retention as core
from streaming.contracts import CONTRACTS
from streaming.object_store import open_store
from streaming.retention import Day, State

app = typer.Typer(
    help="Days of landing older than FLEETPULSE_LANDING__KEEP_DAYS; the lake keeps all.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object for each day.")]


@app.command("list")
def list_(topic: Topics = None, as_json: AsJson = False) -> None:
    """List the days that are older than what is kept, and whether they may be dropped.

    Exit code 1 where one is held: by records that the lake or the insights do not have yet.
    """
    tree = settings.load()
    topics, keep_days = _topics(topic, tree), tree.landing.keep_days
    with _connect(tree) as connection:
        _show(core.due(connection, topics, keep_days, datetime.now(UTC)), as_json)


@app.command()
def drop(
    topic: Topics = None,
    by: Annotated[str | None, typer.Option(help="Who does it; default: your user name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Drop the days that are older than what is kept, each as soon as nobody needs it any more.

    What is dropped stays in the lake, and is noted in landing.dropped. Exit code 1 where a day is
    held, or others are busy with it. It may be killed and repeated.
    """
    tree = settings.load()
    topics, keep_days = _topics(topic, tree), tree.landing.keep_days
    store = open_store(settings.require(tree.lake, "lake"))
    now, by = datetime.now(UTC), by or user()
    with _connect(tree) as connection:
        _show(core.drop_due(connection, store, topics, keep_days, now, by), as_json)


def _topics(topic: list[str] | None, tree: Settings) -> Sequence[str]:
    if unknown := [each for each in topic or () if each not in CONTRACTS]:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(CONTRACTS)}")
    return topic or tree.landing.topics


@contextmanager
def _connect(tree: Settings) -> Iterator[psycopg.Connection]:
    ods = settings.require(tree.ods, "ods")
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        yield connection


def _show(days: Iterable[Day], as_json: bool) -> None:
    found: list[Day] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for each in progress.track(days, total=None, description="looking at days"):
            found.append(each)
            if as_json:
                typer.echo(json.dumps({**asdict(each), "day": each.day.isoformat()}))
    if not as_json:
        _print(found)
    if any(each.state in (State.HELD, State.BUSY) for each in found):
        raise typer.Exit(1)


def _print(found: list[Day]) -> None:
    console = Console()
    if not found:
        console.print("nothing is older than what is kept")
        return
    table = Table("topic", "day (UTC)")
    table.add_column("records", justify="right")
    table.add_column("MB freed", justify="right")
    table.add_column("state")
    for each in found:
        state = f"{each.state}: {each.why}" if each.why else str(each.state)
        freed = f"{each.freed / 1_000_000:.1f}" if each.freed else ""
        table.add_row(each.topic, each.day.isoformat(), str(each.records), freed, state)
    console.print(table)
