"""`fleetpulse reference`: devices, sites, limits and maintenance."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import instant
from streaming import reference

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
    as_json: Annotated[bool, typer.Option("--json", help="Print the changes as JSON.")] = False,
) -> None:
    """Make the files' rows the current versions: all files, or none where one is wrong.

    Rows that a file lacks stay as they are. First versions are valid from ever, a device's from
    its commissioning.
    """
    tables = reference.read_files(files)
    ods = settings.require(settings.load().ods, "ods")
    with psycopg.connect(ods.url("reference")) as connection:
        changes = reference.load(connection, tables, as_of or datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({table: asdict(change) for table, change in changes.items()}))
        return
    view = Table("table", "added", "changed", "unchanged")
    for table, change in changes.items():
        view.add_row(table, *(f"{count:,}" for count in asdict(change).values()))
    Console().print(view)
