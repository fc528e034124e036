"""`fleetpulse watermark`: how far event time has come, what holds it, and ending that."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import user
from streaming import watermark_holds
from streaming.watermark import FLEET_SHARE, RETURN_SHARE
from streaming.watermark_holds import Holds

app = typer.Typer(
    help="How far event time has come, what holds it, and ending that.", no_args_is_help=True
)


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the watermark, partition by partition, and what holds it. Exit code 1 while it is held.

    It is as the sensor `landed_data` last left it.
    """
    tolerance = timedelta(seconds=settings.load().insights.late_tolerance_s)
    with _ods() as connection:
        holds = watermark_holds.look(connection, tolerance)
    if as_json:
        typer.echo(json.dumps(_plain(holds), default=_text))
    else:
        _print(holds, datetime.now(UTC))
    if holds.state.held_since is not None:
        raise typer.Exit(1)


@app.command()
def release(
    why: Annotated[str, typer.Option(help="Why the hold is wrong; it is written down.")],
    by: Annotated[str | None, typer.Option(help="Who ends it; default: your user name.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a hold: windows close although devices are not heard, and who is silent is told of.

    It lasts until the fleet is heard and data land; then the watermark is guarded again.
    """
    if not why.strip():
        raise typer.BadParameter("say why", param_hint="--why")
    with _ods() as connection:
        if not yes:
            tolerance = timedelta(seconds=settings.load().insights.late_tolerance_s)
            _print(watermark_holds.look(connection, tolerance), datetime.now(UTC))
            typer.confirm("Let the watermark move on, and incidents open?", abort=True)
        was = watermark_holds.release(connection, by or user(), why)
    typer.echo(f"released: it was held since {_text(was.held_since)}: {was.held_reason}")


@contextmanager
def _ods() -> Iterator[psycopg.Connection]:
    ods = settings.require(settings.load().ods, "ods")
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        yield connection


def _plain(holds: Holds) -> dict[str, Any]:
    state = holds.state
    return {
        "watermark": state.watermark,
        "held_since": state.held_since,
        "held_reason": state.held_reason,
        "released_at": state.released_at,
        "devices_expected": state.devices_expected,
        "devices_heard": state.devices_heard,
        "returning": holds.returned and {"of": holds.returned[0], "heard": holds.returned[1]},
        "last_landed": holds.moved_at,
        "partitions": [
            {
                "topic": part.progress.topic,
                "epoch": part.progress.epoch,
                "partition": part.progress.partition,
                "watermark": part.progress.watermark,
                "first_term": part.first_term,
                "second_term": part.second_term,
                "next_offset": part.progress.next_offset,
                "end_offset": part.progress.end_offset,
                "end_asked_at": part.progress.end_asked_at,
            }
            for part in holds.parts
        ],
    }


def _print(holds: Holds, now: datetime) -> None:
    state = holds.state
    console = Console(highlight=False)
    facts = Table.grid(padding=(0, 2))
    facts.add_row("watermark", _age(state.watermark, now))
    if state.held_since is not None:
        facts.add_row("held since", _age(state.held_since, now))
        facts.add_row("because", state.held_reason)
    if state.released_at is not None:
        facts.add_row("released", f"{_age(state.released_at, now)}, until all is well")
    facts.add_row("heard", _share(state.devices_heard, state.devices_expected, FLEET_SHARE))
    if holds.returned is not None:
        before, again = holds.returned
        facts.add_row("heard again", _share(again, before, RETURN_SHARE))
    facts.add_row("last landed", _age(holds.moved_at, now))
    console.print(facts)
    table = Table("partition", "own watermark", "by the newest seen", "by the end read", box=None)
    for part in holds.parts:
        log = part.progress
        terms = (log.watermark, part.first_term, part.second_term)
        behind = "" if log.end_offset is None else f"{max(log.end_offset - log.next_offset, 0):,}"
        shown = [_clock(term) for term in terms]
        if part.second_term is None and behind:
            shown[-1] = f"– ({behind} behind)"
        table.add_row(f"{log.topic}[{log.partition}]", *shown)
    console.print(table)


def _share(count: int, of: int, needed: float) -> str:
    return f"{count} of {of} devices; {needed:.0%} are needed"


def _age(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "–"
    return f"{_text(moment)}, {(now - moment).total_seconds():,.0f} s ago"


def _clock(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment.astimezone(UTC):%H:%M:%S}"


def _text(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
