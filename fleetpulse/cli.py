"""`fleetpulse`: the one command line. Each command group is a file of this package."""

import os
import sys

import psycopg
import sqlalchemy.exc
import typer
from dotenv import load_dotenv

from fleetpulse import dbt, fleet, quarantine, reference, rules, sandbox, settings, tickets
from fleetpulse.consume import consume
from fleetpulse.dbt import ParseError
from fleetpulse.demo.command import demo
from fleetpulse.demo.errors import DemoError
from fleetpulse.migrate import migrate
from fleetpulse.paths import ENV_FILE
from fleetpulse.rules import RulesError
from fleetpulse.status import status
from fleetpulse.verify import verify
from sandbox.errors import SandboxError
from streaming.errors import StreamingError
from ticketing.errors import TicketingError

app = typer.Typer(
    name="fleetpulse",
    help="From a vending machine's event to a ServiceNow incident and a mart.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.add_typer(sandbox.app, name="sandbox")
app.command()(migrate)
app.add_typer(reference.app, name="reference")
app.add_typer(fleet.app, name="fleet")
app.command()(consume)
app.command()(status)
app.command()(verify)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(dbt.app, name="dbt")
app.add_typer(rules.app, name="rules")
app.add_typer(tickets.app, name="tickets")


def main() -> None:
    """Runs a command. Exit codes: 0 done, 1 failed or found something wrong, 2 wrong usage."""
    if "FLEETPULSE_SANDBOX__HOME" not in os.environ:
        # Who names another sandbox brings that one's whole environment.
        load_dotenv(ENV_FILE)
    try:
        settings.refuse_unknown(os.environ)
        app(prog_name="fleetpulse")
    except (
        *(DemoError, ParseError, RulesError),
        *(StreamingError, TicketingError, SandboxError),
    ) as error:
        _fail(str(error))
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        cause = getattr(error, "orig", error)  # sqlalchemy's is wrapped
        _fail(f"the ODS does not answer: {str(cause).strip()}")


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
