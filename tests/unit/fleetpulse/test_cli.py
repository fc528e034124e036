"""The command line as people meet it: help, exit codes, errors that name what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fleetpulse.cli import app, main
from fleetpulse.settings import PREFIX

Run = Callable[..., int]
NOWHERE = {
    "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "FLEETPULSE_ODS__HOST": "127.0.0.1",
    "FLEETPULSE_ODS__PORT": "1",
    "FLEETPULSE_ODS__PASSWORDS__OWNER": "secret",
    "FLEETPULSE_ODS__PASSWORDS__ORCHESTRATOR": "secret",
    "FLEETPULSE_ODS__PASSWORDS__CONSUMER": "secret",
    "FLEETPULSE_LAKE__URL": "file:///nowhere",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with these settings and no other; returns its exit code."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    # Who names a sandbox is not given the `.env` of the checkout.
    monkeypatch.setenv("FLEETPULSE_SANDBOX__HOME", "elsewhere")

    def run(*arguments: str, **settings: str) -> int:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["fleetpulse", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = list(commands(get_command(app)))


def test_there_are_the_commands_that_the_readme_names() -> None:
    assert {
        *[("sandbox", name) for name in ("up", "down", "status", "reset")],
        *[("fleet", "run"), ("reference", "load"), ("migrate",), ("consume",), ("verify",)],
        *[("quarantine", "list"), ("quarantine", "show"), ("demo",)],
    } <= {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_tells_what_it_does(
    run: Run, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert run(*command, "--help") == 0
    assert f"Usage: fleetpulse {' '.join(command)}".strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["verify", "--fast"],
        ["quarantine", "show", "x"],
        ["demo", "--rules", "all", "--devices", "100"],
        ["insights", "backfill", "--from", "2026-03-01T12:00:00", "--to", "2026-03-02T12:00:00Z"],
        [
            *("insights", "backfill", "--tickets"),
            *("--from", "2026-03-01T12:00:00Z", "--to", "2026-03-02T12:00:00Z"),
        ],
    ],
)
def test_wrong_usage_ends_with_2(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(*arguments, **NOWHERE) == 2
    assert "Usage: fleetpulse" in capsys.readouterr().err


def test_an_unknown_setting_is_named_before_anything_starts(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("consume", FLEETPULSE_KAFAK__GROUP_ID="g") == 1
    assert capsys.readouterr().err == "error: unknown setting FLEETPULSE_KAFAK__GROUP_ID\n"


@pytest.mark.parametrize("command", ["consume", "verify", "migrate"])
def test_a_wrong_setting_is_named_before_anything_starts(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(command, **NOWHERE | {"FLEETPULSE_ODS__PORT": "many"}) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: wrong settings\n  FLEETPULSE_ODS__PORT: ")


@pytest.mark.parametrize("command", ["consume", "verify"])
def test_a_missing_setting_is_named_with_its_remedy(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(command) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: FLEETPULSE_KAFKA__* is not set: run `fleetpulse sandbox up`")


@pytest.mark.parametrize("command", ["quarantine list", "migrate"])
def test_an_ods_that_does_not_answer_is_an_error_in_words(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(*command.split(), **NOWHERE) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the ODS does not answer: ")
    assert "secret" not in error


def test_a_command_imports_only_what_it_needs() -> None:
    program = (
        "import sys; sys.argv = ['fleetpulse', 'consume', '--help']\n"
        "from fleetpulse.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    loaded = set(done.stdout.split())

    assert "streaming.consumer" in loaded
    assert not loaded & {"alembic", "dagster", "requests", "sqlalchemy", "sandbox.kafka"}


def test_a_misspelt_command_is_guessed() -> None:
    done = CliRunner().invoke(app, ["quarantin"])

    assert done.exit_code == 2
    assert "Did you mean 'quarantine'?" in done.output
