"""`fleetpulse verify --against`: the difference between landing and the table of another flow."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from streaming.against import Findings, compare
from streaming.settings import OdsSettings


def against(
    ods: OdsSettings,
    topic: str,
    table: str,
    *,
    key: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> bool:
    """Compares, prints what differs, and returns whether all is equal."""
    console = Console(stderr=True)
    with (
        psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection,
        console.status(f"comparing {topic} with {table}"),
    ):
        found = compare(connection, topic, table, key=key, since=_utc(since), until=_utc(until))
    if as_json:
        typer.echo(json.dumps({"equal": found.equal, **asdict(found)}))
    else:
        _print(found, table)
    return found.equal


def _print(found: Findings, table: str) -> None:
    console = Console()
    for kind, names in (
        ("landing", found.columns_only_ours),
        (table, found.columns_only_theirs),
    ):
        if names:
            console.print(f"only {kind} has, so not compared: {', '.join(names)}")
    for name, kind in found.other_types.items():
        console.print(f"{name} is {kind} in {table}: compared as landing's type")
    if found.examples:
        examples = Table("key", "column", "landing", table)
        for each in found.examples:
            nothing = "–" if each.column is None else "null"
            examples.add_row(
                each.key, each.column or "", each.ours or nothing, each.theirs or nothing
            )
        console.print(examples)
    differing = [f"{name} in {count}" for name, count in found.differing.items() if count]
    verdict = "equal" if found.equal else "not equal"
    console.print(
        f"{verdict}: {found.compared} rows in both; {found.only_ours} only in landing, "
        f"{found.only_theirs} only in {table}; differing: {', '.join(differing) or 'none'}"
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)
