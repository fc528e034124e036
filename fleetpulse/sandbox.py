"""`fleetpulse sandbox`: Kafka, Postgres, S3 and ServiceNow's stand-in on this machine."""

import json
import threading
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleetpulse import settings
from fleetpulse.migrate import owner_url, upgrade
from fleetpulse.paths import ENV_FILE, SANDBOX_HOME
from sandbox.environment import check_env_file, clear_env_file, write_env_file
from sandbox.sandbox import Health, Report, Sandbox, ServerStatus, silent
from streaming.settings import OdsPasswords, OdsSettings

app = typer.Typer(help=__doc__, no_args_is_help=True)
COLOURS = {Health.UP: "green", Health.DOWN: "dim", Health.DIED: "red", Health.SILENT: "red"}


def start(home: Path, report: Report = silent) -> dict[str, str]:
    """Brings a sandbox up and its ODS to the newest schema.

    Returns:
        The environment by which the project finds it.

    Raises:
        SandboxError: A server did not come up.
    """
    environment = Sandbox(home).up(report)
    report("schema", "migrating")
    ods = OdsSettings(
        host=environment["FLEETPULSE_ODS__HOST"],
        port=int(environment["FLEETPULSE_ODS__PORT"]),
        database=environment["FLEETPULSE_ODS__DATABASE"],
        passwords=OdsPasswords.model_validate(
            {"owner": environment["FLEETPULSE_ODS__PASSWORDS__OWNER"]}
        ),
    )
    upgrade(owner_url(ods))
    report("schema", "ready")
    return environment


@app.command()
def up() -> None:
    """Start what is not running, wait until it answers, and write `.env`."""
    home, env_file = _place()
    check_env_file(env_file)
    began = time.monotonic()
    with _Progress() as progress:
        environment = start(home, progress.report)
    if home == SANDBOX_HOME:
        # Not written: a checkout that is moved would go on using the old place.
        del environment["FLEETPULSE_SANDBOX__HOME"]
    write_env_file(env_file, environment)
    typer.echo(f"the sandbox is up ({time.monotonic() - began:.1f} s); settings in {env_file}")


@app.command()
def down() -> None:
    """Stop the servers; their data stay."""
    home, _ = _place()
    with _Progress() as progress:
        Sandbox(home).down(progress.report)
    typer.echo("the sandbox is down; its data stay")


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the servers and delete all their data."""
    home, env_file = _place()
    if not yes:
        typer.confirm(f"Delete all data in {home}?", abort=True)
    with _Progress() as progress:
        Sandbox(home).reset(progress.report)
    clear_env_file(env_file)
    typer.echo("the sandbox is empty")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each server. Exit code 1 if one that was started has died or does not answer."""
    home, _ = _place()
    found = Sandbox(home).status()
    if as_json:
        typer.echo(json.dumps([asdict(server) for server in found], default=_plain, indent=2))
    else:
        _print(found)
    if any(server.health in (Health.DIED, Health.SILENT) for server in found):
        raise typer.Exit(1)


def _place() -> tuple[Path, Path]:
    """Returns the sandbox's home, and the file that takes its settings."""
    chosen = settings.load().sandbox.home
    if chosen is None:
        return SANDBOX_HOME, ENV_FILE
    home = Path(chosen).expanduser().resolve()
    return (home, ENV_FILE) if home == SANDBOX_HOME else (home, home / ".env")


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print(found: list[ServerStatus]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("server", "state", "pid", "address", "memory", "since"):
        table.add_column(
            name, justify="right" if name in ("pid", "memory") else "left", no_wrap=True
        )
    for server in found:
        table.add_row(
            server.name,
            Text(server.health, style=COLOURS[server.health]),
            str(server.pid or ""),
            server.address,
            f"{server.memory_bytes / 1e6:.0f} MB" if server.memory_bytes else "",
            f"{server.since.astimezone():%d %b %H:%M:%S}" if server.since else "",
        )
    console = Console()
    console.print(table)
    for server in found:
        if server.health in (Health.DIED, Health.SILENT):
            title = f"{server.name} {server.health}; the end of {server.log}:"
            console.print(title, style="red", highlight=False, soft_wrap=True)
            console.print(server.log_tail, markup=False, highlight=False, soft_wrap=True)


class _Progress:
    """A line for each server while something is done to it; nothing where nobody looks."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._steps: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = Live(self, console=self._console, refresh_per_second=10)

    def report(self, server: str, step: str) -> None:
        """Shows what a server is doing; called from several threads."""
        with self._lock:
            self._steps[server] = step

    def __enter__(self) -> "_Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for server, step in self._steps.items():
                table.add_row(f"  {server}", step)
        yield table
