"""`fleetpulse`: the one command line. Each command group is a file of this package."""

import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, cast

import psycopg
import typer
from dotenv import load_dotenv
from typer.core import TyperGroup

from fleetpulse import settings
from fleetpulse.errors import CommandError
from fleetpulse.paths import ENV_FILE
from orchestration.errors import OrchestrationError
from sandbox.errors import SandboxError
from streaming.errors import StreamingError
from ticketing.errors import TicketingError

_COMMANDS = {
    "demo": "fleetpulse.demo.command:demo",
    "sandbox": "fleetpulse.sandbox:app",
    "migrate": "fleetpulse.migrate:migrate",
    "reference": "fleetpulse.reference:app",
    "fleet": "fleetpulse.fleet:app",
    "consume": "fleetpulse.consume:consume",
    "status": "fleetpulse.status:status",
    "verify": "fleetpulse.verify:verify",
    "watermark": "fleetpulse.watermark:app",
    "epochs": "fleetpulse.epochs:app",
    "quarantine": "fleetpulse.quarantine:app",
    "lake": "fleetpulse.lake:app",
    "compact": "fleetpulse.compact:compact",
    "retention": "fleetpulse.retention:app",
    "replay": "fleetpulse.replay:replay",
    "dbt": "fleetpulse.dbt:app",
    "insights": "fleetpulse.insights.command:app",
    "tickets": "fleetpulse.tickets:app",
    "score": "fleetpulse.score.command:score",
}
"""Where each command or group is, in the order of the help."""


class _Commands(Mapping[str, Any]):
    """Imports a command when it is used: a consumer needs no Dagster and no alembic in memory."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = _COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command()(function)
        command = typer.main.get_command(found)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Group(TyperGroup):
    """A group of those commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast(MutableMapping[str, Any], _Commands())  # nobody adds to it


app = typer.Typer(
    name="fleetpulse",
    cls=_Group,
    help="From a vending machine's event to a ServiceNow incident and a mart.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _every_command() -> None:
    """Nothing comes before a command; Typer wants this to make a group of no commands."""


ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}
"""Arrow reads this when it is imported. Its own choice keeps some 20 MB more of what was freed."""


def main() -> None:
    """Runs a command. Exit codes: 0 done, 1 failed or found something wrong, 2 wrong usage."""
    os.environ.update({**ALLOCATOR, **os.environ})
    if "FLEETPULSE_SANDBOX__HOME" not in os.environ:
        # Who names another sandbox brings that one's whole environment.
        load_dotenv(ENV_FILE)
    try:
        settings.refuse_unknown(os.environ)
        app(prog_name="fleetpulse")
    except (
        CommandError,
        OrchestrationError,
        SandboxError,
        StreamingError,
        TicketingError,
    ) as error:
        _fail(str(error))
    except psycopg.OperationalError as error:
        _fail(f"the ODS does not answer: {str(error).strip()}")


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
