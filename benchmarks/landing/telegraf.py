"""Telegraf from Kafka to Postgres: what a user would run who asks for no more than speed.

Built from the Go module proxy with the three plugins that it needs; Go keeps what it has built.
"""

import shutil
import subprocess
from pathlib import Path

from benchmarks.landing.peer import Peer
from benchmarks.landing.world import TOPIC, World
from benchmarks.measure import Usage

MODULE = Path(__file__).parent / "telegraf"
PLUGINS = "inputs.kafka_consumer,parsers.value,outputs.postgresql"


class BuildError(Exception):
    """Go is not there, or cannot build Telegraf."""


def build(folder: Path) -> Path:
    """Returns Telegraf's program; the first time compiling it takes minutes.

    Raises:
        BuildError: No `go` on the PATH, or it cannot build.
    """
    if (go := shutil.which("go")) is None:
        raise BuildError(
            "Telegraf is built with Go, and there is no `go` on the PATH: install it "
            "(https://go.dev/dl), or run without WITH=telegraf"
        )
    program = folder / "telegraf"
    package = "github.com/influxdata/telegraf/cmd/telegraf"
    command = [go, "build", "-tags", f"custom,{PLUGINS}", "-o", str(program), package]
    built = subprocess.run(command, cwd=MODULE, check=False)
    if built.returncode:
        raise BuildError(f"`{' '.join(command)}` failed in {MODULE}: see what it said")
    return program


def telegraf(world: World, program: Path, events: int) -> Usage:
    """Lands the topic with Telegraf; its start, well below a second, is counted."""
    kafka = world.kafka("telegraf")
    log = world.home / "telegraf.log"
    with world.ods() as ods, log.open("w") as output:
        process = subprocess.Popen(
            [program, "--config", MODULE / "telegraf.conf"],
            env={
                **world.subprocess_environment,
                "BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "TOPIC": TOPIC,
                "GROUP_ID": kafka.group_id,
                "PGHOST": ods.host,
                "PGPORT": str(ods.port),
                "PGDATABASE": ods.database,
                "PGUSER": "fleetpulse_owner",
                "PGPASSWORD": ods.password("owner"),
            },
            stdout=output,
            stderr=output,
        )

        def check() -> None:
            if process.poll() is not None:
                words = "\n".join(log.read_text().splitlines()[-20:])
                raise RuntimeError(f"Telegraf has ended by itself:\n{words}")

        try:
            with Peer(world, ods, process.pid) as peer:
                return peer.land(events, check)
        finally:
            process.kill()
            process.wait()
