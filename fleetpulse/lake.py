"""`fleetpulse lake`: what is in the lake, for other tools."""

import json
from typing import Annotated
from urllib.parse import urlsplit

import typer

from fleetpulse import settings
from fleetpulse.options import From, To, Topics, instant
from streaming.lake_reader import LakeReader
from streaming.object_store import open_store

app = typer.Typer(help="The lake.", no_args_is_help=True)


@app.callback()
def lake() -> None:
    """The lake."""


@app.command()
def files(
    topic: Topics = None,
    since: From = None,
    until: To = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print a table function for DuckDB's `from`.")
    ] = False,
) -> None:
    """List the Parquet objects to read, one address a line: each record is once in them.

    A range of Kafka timestamps leaves out objects that have none of it; the others hold records
    from outside of it too. What is listed stays for FLEETPULSE_COMPACTION__GRACE_S after compaction
    has replaced it.
    """
    if as_json and as_sql:
        raise typer.BadParameter("give --json or --sql, not both")
    tree = settings.load()
    lake_settings = settings.require(tree.lake, "lake")
    reader = LakeReader(open_store(lake_settings))
    begins = instant(since) if since else None
    ends = instant(until) if until else None
    found = [
        address(lake_settings.url, key)
        for each in topic or tree.landing.topics
        for key in reader.objects(each, begins, ends)
    ]
    if as_json:
        typer.echo(json.dumps(found))
    elif as_sql:
        quoted = ", ".join("'{}'".format(each.replace("'", "''")) for each in found)
        typer.echo(f"read_parquet([{quoted}], hive_partitioning = false)")
    else:
        for each in found:
            typer.echo(each)


def address(url: str, key: str) -> str:
    """Returns where an object is: an S3 address, or a path."""
    parts = urlsplit(url)
    return f"{parts.path if parts.scheme == 'file' else url}/{key}"
