"""`fleetpulse reference`: devices, sites, limits and maintenance."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import instant
from streaming import reference
from streaming.reference import Changes, WrongFilesError, said

MOST_NAMED = 20

app = typer.Typer(help="Devices, sites, limits and maintenance.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `load` a subcommand: typer would fold a group of one command into its parent."""


@app.command()
def load(
    files: Annotated[
        list[Path], typer.Argument(help="devices.csv, sites.csv, model_limits.csv, maintenance.csv")
    ],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            parser=instant, metavar="INSTANT", help="From when changes are valid; default now."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The files are complete: end what they lack.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the changes, or the problems, as JSON.")
    ] = False,
) -> None:
    """Load new versions from the files: all of them, or none where anything is wrong.

    What is wrong is told at once, with file, line and column; then the exit code is 1. Rows that a
    file lacks stay as they are, unless it is --full. First versions are valid from ever, a device's
    from its commissioning; a file may say it itself by valid_from and valid_to.
    """
    try:
        with Console(stderr=True).status("reading the files"):
            tables = reference.read_files(files)
        ods = settings.require(settings.load().ods, "ods")
        with (
            Console(stderr=True).status("comparing with what is loaded"),
            psycopg.connect(ods.url("reference")) as connection,
        ):
            changes = reference.load(
                connection, tables, as_of or datetime.now(UTC), full=full, dry_run=dry_run
            )
    except WrongFilesError as error:
        if not as_json:
            raise
        problems = [asdict(problem) for problem in error.problems]
        typer.echo(json.dumps({"problems": problems, "left_out": error.left_out}))
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({table: _plain(change) for table, change in changes.items()}))
    else:
        _print(changes, dry_run=dry_run)


def _plain(changes: Changes) -> dict[str, Any]:
    return {
        "added": changes.added,
        "changed": [
            {
                "thing": change.thing,
                "valid_from": said(change.since),
                "columns": {
                    name: [_said(old), _said(new)] for name, (old, new) in change.columns.items()
                },
            }
            for change in changes.changed
        ],
        "ended": [{"thing": each.thing, "at": said(each.at)} for each in changes.ended],
        "unchanged": changes.unchanged,
    }


def _print(tables: Mapping[str, Changes], *, dry_run: bool) -> None:
    console = Console(highlight=False)
    view = Table("table", "added", "changed", "ended", "unchanged")
    for table, changes in tables.items():
        counts = len(changes.added), len(changes.changed), len(changes.ended), changes.unchanged
        view.add_row(table, *(f"{count:,}" for count in counts))
    console.print(view)
    for table, changes in tables.items():
        lines = [f"{table}: {thing} added" for thing in changes.added]
        lines += [
            f"{table}: {change.thing} from {said(change.since)}: "
            + ", ".join(
                f"{name} {_shown(old)} → {_shown(new)}"
                for name, (old, new) in change.columns.items()
            )
            for change in changes.changed
        ]
        lines += [f"{table}: {each.thing} ended at {said(each.at)}" for each in changes.ended]
        for line in lines[:MOST_NAMED]:
            console.print(line, markup=False, soft_wrap=True)
        if len(lines) > MOST_NAMED:
            console.print(f"{table}: … and {len(lines) - MOST_NAMED:,} more; --json has all")
    if dry_run:
        console.print("nothing was written: this was a dry run")


def _said(value: object) -> object:
    """Returns a cell as a file would have it, an empty one as null."""
    return said(value) if isinstance(value, datetime) else value


def _shown(value: object) -> object:
    return "–" if value is None else _said(value)
