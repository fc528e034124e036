"""`fleetpulse quarantine`: what broke its contract, and why."""

import base64
import json
import sys
from datetime import datetime
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from streaming import quarantine as core
from streaming.errors import SettingError
from streaming.records import PartitionId

app = typer.Typer(help="Records that broke their contract.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


@app.command("list")
def list_(
    topic: Annotated[str | None, typer.Option(help="Only of this topic.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this moment (UTC) on.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List records in quarantine, the newest first."""
    with _connect() as connection:
        found = core.find(connection, topic=topic, reason=reason, since=since, limit=limit)
        counts = core.count_by_reason(connection)
    if as_json:
        for each in found:
            typer.echo(json.dumps(_plain(each)))
        return
    table = Table("record", "reason", "detail", "bytes", "quarantined")
    for each in found:
        size = "–" if each.payload is None else str(len(each.payload))
        moment = f"{each.quarantined_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(_name(each), each.reason, each.detail, size, moment)
    console = Console()
    if found:
        console.print(table)
    summary = ", ".join(f"{number} {name} in {of}" for of, name, number in counts)
    console.print(f"in quarantine: {summary}" if counts else "nothing is in quarantine")


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="TOPIC/EPOCH/PARTITION/OFFSET, as in the list.")],
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the payload's exact bytes.")] = False,
) -> None:
    """Show one record in quarantine with its exact bytes."""
    try:
        topic, epoch, partition, offset = record.rsplit("/", 3)
        where = PartitionId(topic, int(epoch), int(partition))
        number = int(offset)
    except ValueError:
        raise typer.BadParameter(f"{record} is not TOPIC/EPOCH/PARTITION/OFFSET") from None
    with _connect() as connection:
        found = core.get(connection, where, number)
    if found is None:
        raise SettingError(f"{record} is not in quarantine: see `fleetpulse quarantine list`")
    if raw:
        sys.stdout.buffer.write(found.payload or b"")
    elif as_json:
        typer.echo(json.dumps(_plain(found)))
    else:
        for name, value in _plain(found).items():
            typer.echo(f"{name + ':':<16}{value}")
        typer.echo(f"{'as text:':<16}{(found.payload or b'').decode('utf-8', 'backslashreplace')}")


def _connect() -> psycopg.Connection:
    ods = settings.require(settings.load().ods, "ods")
    return psycopg.connect(ods.url("orchestrator"))


def _name(each: core.Quarantined) -> str:
    return f"{each.topic}/{each.epoch}/{each.partition}/{each.offset}"


def _plain(each: core.Quarantined) -> dict[str, Any]:
    return {
        "record": _name(each),
        "reason": each.reason,
        "detail": each.detail,
        "kafka_ts": each.kafka_ts.isoformat(),
        "quarantined_at": each.quarantined_at.isoformat(),
        "key_base64": _base64(each.key),
        "headers_base64": each.headers,
        "payload_base64": _base64(each.payload),
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
