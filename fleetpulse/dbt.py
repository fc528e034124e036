"""`fleetpulse dbt parse`: checks and unites the rules, and makes what Dagster knows models from."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from fleetpulse import rules
from fleetpulse.errors import CommandError
from fleetpulse.paths import DBT_PROJECT

app = typer.Typer(help="The dbt project.", no_args_is_help=True)

TARGET = DBT_PROJECT / "target"
FILES = ("partial_parse.msgpack", "manifest.json")
"""What `orchestration.resources.dbt` reads."""

_OFFLINE = {
    "FLEETPULSE_ODS__HOST": "127.0.0.1",
    "FLEETPULSE_ODS__PORT": "5432",
    "FLEETPULSE_ODS__DATABASE": "fleetpulse",
    "FLEETPULSE_ODS__PASSWORDS__DBT": "",
}
"""Parsing connects to nothing, but renders the profile: where nothing is set, this will do."""


class ParseError(CommandError):
    """dbt could not parse its project."""


@app.callback()
def dbt() -> None:
    """The dbt project."""


@app.command()
def parse() -> None:
    """Check the rules, unite them, and parse the dbt project for Dagster.

    Again whenever a model has changed.
    """
    prepare()


def prepare() -> None:
    """Parses the dbt project and puts its manifest in place, in one step for each file.

    Raises:
        RulesError: A rule is not as it must be; dbt was not asked.
        ParseError: dbt could not parse it; the message is dbt's.
    """
    rules.unite(DBT_PROJECT)
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TARGET, prefix="parse-") as folder:
        where = ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
        leave = ["--target-path", folder, "--log-path", folder]
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "--quiet", "parse", *where, *leave],
            env={**_OFFLINE, **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ParseError(f"dbt could not parse {DBT_PROJECT}:\n{done.stdout.strip()}")
        for name in FILES:
            Path(folder, name).replace(TARGET / name)
