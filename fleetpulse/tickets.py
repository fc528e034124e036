"""`fleetpulse tickets`: the incidents, why they were opened, and what is still to be done."""

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetpulse import settings
from fleetpulse.options import duration
from ticketing import incident, register
from ticketing.session import open_worker
from ticketing.target import State

app = typer.Typer(help="Incidents, and why they were opened.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Shown(StrEnum):
    """Which incidents a list shows."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


_FINISHED = {Shown.OPEN: False, Shown.RESOLVED: True, Shown.ALL: None}


@app.command("list")
def list_(
    state: Annotated[Shown, typer.Option(help="Which incidents.")] = Shown.ALL,
    as_json: AsJson = False,
) -> None:
    """List the incidents, newest first."""
    with _ods() as connection:
        found = register.entries(connection, finished=_FINISHED[state])
    if as_json:
        _print_json([asdict(each) for each in found])
        return
    table = Table("number", "state", "opened (UTC)", "resolved (UTC)", "key", "episode")
    for each in found:
        table.add_row(
            each.number,
            _state(each.state),
            _moment(each.opened_at),
            _moment(each.resolved_at),
            Text(each.dedupe_key),
            str(each.episode_id),
        )
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NUMBER|EPISODE")], as_json: AsJson = False
) -> None:
    """Show why an incident was opened, and what became of it."""
    with _ods() as connection:
        found = register.history(connection, name)
    if as_json:
        _print_json(asdict(found))
        return
    console = Console(highlight=False)
    if found.entry is None:
        console.print("no incident: see the outcomes below\n")
    else:
        entry = found.entry
        adopted = ", adopted" if entry.adopted else ""
        console.print(f"{entry.number} ({entry.sys_id}): {_state(entry.state)}{adopted}\n")
    # Text of events is data here too: no markup.
    console.print(Text(incident.description(found.opening)))
    table = Table("no", "kind", "at (UTC)", "outcome", "tries", "done (UTC)", "problem")
    for step in found.steps:
        table.add_row(
            str(step.transition_no),
            step.kind,
            _moment(step.at),
            step.outcome or f"due {_moment(step.due_at)}",
            str(step.attempts),
            _moment(step.done_at),
            Text(step.problem or ""),
        )
    console.print(table)


@app.command()
def run(
    patience: Annotated[
        str, typer.Option("--for", help="How long to take new intents, at most.")
    ] = "2m",
    hold_opens: Annotated[
        bool, typer.Option("--hold-opens", help="Open no incidents now; do all else.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do once what is due in ServiceNow, the most severe first."""
    seconds = duration(patience, "--for").total_seconds()
    servicenow = settings.require(settings.load().servicenow, "servicenow")
    with _ods() as connection, open_worker(connection, servicenow) as worker:
        summary = worker.run_due(time.monotonic() + seconds, hold_opens=hold_opens)
        pause = register.pause(connection)
    if as_json:
        _print_json(asdict(summary))
        return
    typer.echo(", ".join(f"{count} {name}" for name, count in asdict(summary).items()))
    if pause is not None:
        typer.echo(f"ServiceNow is left alone until {_moment(pause.until)} UTC: {pause.reason}")


def _ods() -> psycopg.Connection[Any]:
    ods = settings.require(settings.load().ods, "ods")
    return psycopg.connect(ods.url("ticketing"), autocommit=True)


def _state(state: int) -> str:
    known = {int(each): each.name.lower().replace("_", " ") for each in State}
    return known.get(state, str(state))


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
