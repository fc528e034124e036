"""`fleetpulse quarantine`: what broke its contract, why, and what to do about it."""

import base64
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetpulse import settings
from fleetpulse.quarantine_options import (
    AsJson,
    By,
    Note,
    Reason,
    Record,
    Since,
    Topic,
    Yes,
    named,
    writing,
)
from fleetpulse.redrive import redrive
from streaming import quarantine as core
from streaming import redrive as redriving
from streaming.errors import SettingError
from streaming.quarantine import Filter, Quarantined, State

app = typer.Typer(help="Records that broke their contract.", no_args_is_help=True)


class Shown(StrEnum):
    """Which records a list shows."""

    HELD = "held"
    REDRIVEN = "redriven"
    DROPPED = "dropped"
    ALL = "all"


@app.command("list")
def list_(
    topic: Topic = None,
    reason: Reason = None,
    since: Since = None,
    state: Annotated[Shown, typer.Option(help="Only in this state.")] = Shown.HELD,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List records in quarantine, the newest first."""
    only = None if state is Shown.ALL else State(state)
    with _reading() as connection:
        found = core.find(connection, Filter(topic, reason, since, only), limit=limit)
        counts = core.count_by_reason(connection, only)
        waiting = redriving.waiting(connection)
    if as_json:
        for each in found:
            typer.echo(json.dumps(_plain(each)))
        return
    table = Table()
    table.add_column("record", no_wrap=True)  # to be copied
    for name in ("state", "reason", "detail", "bytes", "quarantined (UTC)"):
        table.add_column(name)
    for each in found:
        size = "–" if each.payload is None else str(len(each.payload))
        table.add_row(
            str(each.record),
            each.state,
            each.reason,
            Text(each.detail),  # text of events is data here too: no markup
            size,
            f"{each.quarantined_at:%Y-%m-%d %H:%M:%S}",
        )
    console = Console()
    if found:
        console.print(table)
    summary = ", ".join(f"{number} {name} in {of} ({was})" for of, name, was, number in counts)
    console.print(f"in quarantine: {summary}" if counts else f"nothing is in quarantine ({state})")
    if waiting:
        console.print(f"{waiting} redriven records wait until the lake is told of them")


@app.command()
def show(
    record: Record,
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the payload's exact bytes.")] = False,
) -> None:
    """Show one record in quarantine with its exact bytes, and what was done about it."""
    with _reading() as connection:
        found = core.get(connection, record)
        history = core.history(connection, record)
    if raw:
        sys.stdout.buffer.write(found.payload or b"")
    elif as_json:
        typer.echo(json.dumps(_plain(found) | {"history": [_entry(each) for each in history]}))
    else:
        for name, value in _plain(found).items():
            typer.echo(f"{name + ':':<16}{value}")
        typer.echo(f"{'as text:':<16}{_text(found.payload)}")
        for each in history:
            note = f" ({each.note})" if each.note else ""
            typer.echo(f"\n{each.action} by {each.done_by} at {each.done_at.isoformat()}{note}")
            if each.payload is not None:
                typer.echo(f"{'as text:':<16}{_text(each.payload)}")


@app.command()
def repair(
    record: Record,
    payload_file: Annotated[
        Path,
        typer.Option(allow_dash=True, help="The payload as it ought to have been; - for stdin."),
    ],
    by: By = None,
    note: Note = None,
) -> None:
    """Keep a repaired payload beside the record's own, for `redrive`. The newest repair counts."""
    try:
        stdin = str(payload_file) == "-"
        payload = sys.stdin.buffer.read() if stdin else payload_file.read_bytes()
    except OSError as error:
        raise SettingError(f"{payload_file} cannot be read: {error.strerror}") from error
    who = named(by)
    with writing() as database, database.transaction() as connection:
        core.repair(connection, record, payload, by=who, note=note)
        broken = redriving.judge(connection, record)
    if broken is None:
        typer.echo(f"kept: `fleetpulse quarantine redrive {record}` lands it")
    else:
        typer.echo(f"kept, but it still breaks its contract: {broken}", err=True)


@app.command()
def drop(
    record: Record,
    why: Annotated[str, typer.Option(help="Why nobody will repair it.")],
    by: By = None,
    yes: Yes = False,
) -> None:
    """Mark a record as one that nobody will repair. Its bytes stay; a redrive takes it back."""
    if not why.strip():
        raise typer.BadParameter("is empty", param_hint="--why")
    who = named(by)
    if not yes:
        typer.confirm(f"Drop {record}?", abort=True)
    with writing() as database, database.transaction() as connection:
        core.drop(connection, record, by=who, why=why)
    typer.echo(f"{record} is dropped")


app.command()(redrive)


def _reading() -> psycopg.Connection:
    ods = settings.require(settings.load().ods, "ods")
    return psycopg.connect(ods.url("orchestrator"), options="-c timezone=UTC")


def _plain(each: Quarantined) -> dict[str, Any]:
    return {
        "record": str(each.record),
        "state": each.state,
        "reason": each.reason,
        "detail": each.detail,
        "kafka_ts": each.kafka_ts.isoformat(),
        "quarantined_at": each.quarantined_at.isoformat(),
        "key_base64": _base64(each.key),
        "headers_base64": each.headers,
        "payload_base64": _base64(each.payload),
    }


def _entry(each: core.Entry) -> dict[str, Any]:
    return {
        "action": each.action,
        "by": each.done_by,
        "at": each.done_at.isoformat(),
        "note": each.note,
        "payload_base64": _base64(each.payload),
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _text(payload: bytes | None) -> str:
    return (payload or b"").decode("utf-8", "backslashreplace")
