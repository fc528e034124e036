"""Each contender lands the whole topic once; here is how each is run and measured."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer

from psycopg import sql

from benchmarks.landing.world import TOPIC, World, timed
from benchmarks.measure import Memory, Usage, cpu_s
from fleetpulse.cli import ALLOCATOR
from streaming.settings import OdsSettings
from streaming.sinks.ods import table_of

PROJECT = Path(__file__).resolve().parents[2]
LIMIT_S = 300


def ours(world: World, ods: OdsSettings, sinks: str, events: int) -> Usage:
    """Our consumer, its start not counted: with `both` sinks, or with `ods` or `lake` alone."""
    command = [sys.executable, "-m", "benchmarks.landing.ours", sinks, str(events)]
    usage, output = run(world, command, environment(world, ods))
    return replace(usage, **json.loads(output))


def environment(world: World, ods: OdsSettings) -> dict[str, str]:
    """Returns the settings of a consumer of ours, with a lake and a group of this ODS' own."""
    return {
        **{
            key: value
            for key, value in world.environment.items()
            if key.startswith(("FLEETPULSE_KAFKA", "FLEETPULSE_ODS", "FLEETPULSE_LAKE"))
        },
        **ALLOCATOR,
        "FLEETPULSE_LOG_LEVEL": "WARNING",
        "PATH": os.defpath,
        "PYTHONPATH": str(PROJECT),
        "FLEETPULSE_ODS__DATABASE": ods.database,
        "FLEETPULSE_LAKE__URL": world.lake(ods.database).url,
        "FLEETPULSE_KAFKA__GROUP_ID": world.kafka(ods.database).group_id,
        "FLEETPULSE_LANDING__TOPICS": json.dumps([TOPIC]),
    }


def quix(world: World, events: int) -> Usage:
    """Quix Streams' file sink, in an environment that is made for it; its start included."""
    folder = world.home / "quix"
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    here = Path(__file__).parent / "quix"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
    subprocess.run([*sync, "--python", python, here / "requirements.lock"], check=True)
    lake, kafka = world.lake("quix"), world.kafka("quix")
    bucket, _, directory = lake.url.removeprefix("s3://").partition("/")
    secret = lake.secret_access_key
    given = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "group_id": kafka.group_id,
        "topic": TOPIC,
        "records": events,
        "bucket": bucket,
        "directory": directory.replace("-", "_"),
        "endpoint_url": lake.endpoint_url,
        "region": lake.region,
        "access_key_id": lake.access_key_id,
        "secret_access_key": secret and secret.get_secret_value(),
    }
    command = [str(python), str(here / "archive.py"), json.dumps(given)]
    usage, _ = run(world, command, world.subprocess_environment)
    return usage


def ceiling(world: World, source: OdsSettings) -> Usage:
    """The server's own COPY of the rows that `ours` has landed, into the same table."""
    table = sql.Identifier(table_of(TOPIC))
    file = world.home / "postgres" / "ceiling.copy"
    with world.superuser(source.database) as connection:
        connection.execute(
            sql.SQL("copy (select * from landing.{}) to {} (format binary)").format(
                table, sql.Literal(str(file))
            )
        )
        days = connection.execute(
            sql.SQL("select distinct (kafka_ts at time zone 'UTC')::date from landing.{}").format(
                table
            )
        ).fetchall()
    try:
        with world.ods() as target, world.superuser(target.database) as connection:
            for (day,) in days:
                connection.execute("select landing.ensure_day(%s, %s)", [table_of(TOPIC), day])
            before = cpu_s(world.postgres_pid())
            with timed() as took:
                connection.execute(
                    sql.SQL("copy landing.{} from {} (format binary)").format(
                        table, sql.Literal(str(file))
                    )
                )
            return Usage(took[0], 0, cpu_s(world.postgres_pid()) - before, 0)
    finally:
        file.unlink()


def run(world: World, command: list[str], environment: Mapping[str, str]) -> tuple[Usage, str]:
    """Runs a contender to its end; returns what it cost, and what it said."""
    before = cpu_s(world.postgres_pid())
    with timed() as took, TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output)
        watchdog = Timer(LIMIT_S, process.kill)
        watchdog.start()
        with Memory(process.pid) as memory:
            _, status, used = os.wait4(process.pid, 0)
        watchdog.cancel()
        output.seek(0)
        words = output.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:3]} ended with {process.returncode}")
    server = cpu_s(world.postgres_pid()) - before
    return Usage(took[0], used.ru_utime + used.ru_stime, server, memory.peak_mb), words
