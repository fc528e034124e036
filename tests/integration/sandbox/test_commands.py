"""`fleetpulse sandbox …`, run as people run it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from sandbox.process import Identity, still_there
from sandbox.sandbox import Sandbox

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    Sandbox(tmp_path / "home").reset()


@pytest.fixture
def run(home: Path) -> Run:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["FLEETPULSE_SANDBOX__HOME"] = str(home)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("fleetpulse")
        return subprocess.run(
            [program, "sandbox", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run


def test_a_sandbox_from_up_to_reset(run: Run, home: Path) -> None:
    up = run("up")
    assert (up.returncode, up.stderr) == (0, "")
    settings = dotenv_values(home / ".env")
    assert settings["FLEETPULSE_SANDBOX__HOME"] == str(home)
    assert (home / "dagster" / "dagster.yaml").exists()

    status = run("status", "--json")
    assert status.returncode == 0
    servers = {server["name"]: server for server in json.loads(status.stdout)}
    assert {server["health"] for server in servers.values()} == {"up"}
    assert servers["kafka"]["address"] == settings["FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"]

    victim = Identity.of(servers["kafka"]["pid"])
    os.kill(victim.pid, signal.SIGKILL)
    assert still_there([victim], patience_s=10) == []
    status = run("status")
    assert status.returncode == 1
    assert "kafka died; the end of" in status.stdout
    assert "Kafka Server started" in status.stdout

    assert run("reset").returncode == 1  # nobody has said yes
    assert servers["postgres"]["pid"] == Identity.of(servers["postgres"]["pid"]).pid
    assert run("down").returncode == 0
    assert run("status").returncode == 0
    assert run("reset", "--yes").returncode == 0
    assert [path.name for path in home.iterdir()] == ["lock"]


def test_a_foreign_env_file_is_refused_before_anything_starts(run: Run, home: Path) -> None:
    home.mkdir()
    (home / ".env").write_text("FLEETPULSE_ODS__HOST=production\n")
    up = run("up")
    assert up.returncode == 1
    assert up.stderr.startswith(f"error: {home}/.env was not written by the sandbox")
    assert [path.name for path in home.iterdir()] == [".env"]
