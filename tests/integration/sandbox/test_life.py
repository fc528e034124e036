"""Up, down, killed, and beside another one."""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from sandbox.errors import StartError
from sandbox.files import tail
from sandbox.ports import HOST, Ports
from sandbox.process import Daemon, Identity, still_there
from sandbox.sandbox import Health, Sandbox
from tests.integration.sandbox.conftest import Clients

WEBSERVER_PORT = "FLEETPULSE_DAGSTER__WEBSERVER_PORT"
"""Shared if nobody listens on 3000 yet: both may wish for it."""
SHARED = {
    "FLEETPULSE_LAKE__REGION",
    "FLEETPULSE_LAKE__URL",
    "FLEETPULSE_LANDING__FILE_MAX_AGE_S",
    "FLEETPULSE_ODS__DATABASE",
    "FLEETPULSE_ODS__HOST",
    "FLEETPULSE_SERVICENOW__USERNAME",
}
SERVERS = ["postgres", "kafka", "s3", "servicenow"]


def pids(sandbox: Sandbox) -> dict[str, int | None]:
    return {server.name: server.pid for server in sandbox.status()}


def stop(sandbox: Sandbox, server: str) -> None:
    assert Daemon(server, sandbox.home).stop(signal.SIGINT, patience_s=20)


def health(sandbox: Sandbox) -> dict[str, Health]:
    return {server.name: server.health for server in sandbox.status()}


def running(sandbox: Sandbox) -> list[psutil.Process]:
    """Returns the processes whose command names the sandbox's home."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(sandbox.home) in argument for argument in process.info["cmdline"] or ())
    ]


def leave_something(clients: Clients, mark: str) -> None:
    producer = Producer({"bootstrap.servers": clients.setting("KAFKA__BOOTSTRAP_SERVERS")})
    producer.produce("heartbeat.raw", mark.encode(), partition=0)
    assert producer.flush(10) == 0
    with clients.owner() as connection:
        connection.execute("create table if not exists public.marks (mark text)")
        connection.execute("insert into public.marks values (%s)", [mark])
    clients.s3().put_object(Bucket="fleetpulse-lake", Key=f"marks/{mark}", Body=mark.encode())


def what_is_there(clients: Clients) -> tuple[int, list[str], list[str]]:
    """Returns the records in Kafka's partition, the rows and the objects."""
    admin = AdminClient({"bootstrap.servers": clients.setting("KAFKA__BOOTSTRAP_SERVERS")})
    partition = TopicPartition("heartbeat.raw", 0)
    (end,) = admin.list_offsets({partition: OffsetSpec.latest()}).values()
    with clients.owner() as connection:
        rows = [row[0] for row in connection.execute("select mark from public.marks")]
    listed = clients.s3().list_objects_v2(Bucket="fleetpulse-lake", Prefix="marks/")
    return end.result(10).offset, rows, [each["Key"] for each in listed.get("Contents", [])]


def test_up_again_changes_nothing(sandbox: Sandbox) -> None:
    before = pids(sandbox)
    assert None not in before.values()
    assert sandbox.up() == sandbox.up()
    assert pids(sandbox) == before


def test_two_ups_at_once_start_one_of_each(sandbox: Sandbox) -> None:
    stop(sandbox, "postgres")
    stop(sandbox, "servicenow")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: Sandbox(sandbox.home).up(), range(2))
    assert first == second
    assert set(health(sandbox).values()) == {Health.UP}
    assert len(running(sandbox)) == len(SERVERS)


def test_data_and_settings_survive_down_and_up(sandbox: Sandbox, clients: Clients) -> None:
    leave_something(clients, "down")
    before = what_is_there(clients)
    ended = [Identity.of(pid) for pid in pids(sandbox).values() if pid is not None]
    sandbox.down()
    assert set(health(sandbox).values()) == {Health.DOWN}
    assert [identity.process() for identity in ended] == [None] * len(SERVERS)
    assert sandbox.up() == clients.environment
    assert what_is_there(clients) == before


def test_status_names_the_server_that_died_and_shows_its_log(
    sandbox: Sandbox, clients: Clients
) -> None:
    leave_something(clients, "killed")
    before = what_is_there(clients)
    for server in sandbox.status():
        assert server.pid is not None
        identity = Identity.of(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        assert still_there([identity], patience_s=10) == []
        dead = {each.name: each for each in sandbox.status()}[server.name]
        assert dead.health is Health.DIED
        assert dead.log_tail == tail(dead.log)
    assert set(health(sandbox).values()) == {Health.DIED}
    kafka = sandbox.status()[SERVERS.index("kafka")]
    assert "Kafka Server started" in kafka.log_tail
    assert sandbox.up() == clients.environment
    assert set(health(sandbox).values()) == {Health.UP}
    assert what_is_there(clients) == before


def test_a_server_that_cannot_start_is_an_error_with_the_end_of_its_log(sandbox: Sandbox) -> None:
    stop(sandbox, "postgres")
    version = sandbox.home / "postgres" / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("1\n")
    try:
        with pytest.raises(StartError, match=r"postgres died(.|\n)*postgres\.log(.|\n)*version 1"):
            sandbox.up()
        assert health(sandbox) == {
            name: Health.DIED if name == "postgres" else Health.UP for name in SERVERS
        }
    finally:
        version.write_text(right)


def test_a_port_taken_by_a_stranger_while_down_is_replaced(
    sandbox: Sandbox, clients: Clients
) -> None:
    stop(sandbox, "postgres")
    old = int(clients.setting("ODS__PORT"))
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((HOST, old))
        stranger.listen()
        environment = sandbox.up()
    assert int(environment["FLEETPULSE_ODS__PORT"]) != old
    with Clients(environment).owner() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_port_that_a_stranger_takes_while_its_server_starts_is_replaced(
    sandbox: Sandbox, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(sandbox, "postgres")
    old = int(clients.setting("ODS__PORT"))
    look = Ports.replace_if_taken
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def look_too_early(ports: Ports, name: str) -> int | None:
            found = look(ports, name)
            if ports[name] == old:
                stranger.bind((HOST, old))
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # now it is its own
            return found

        monkeypatch.setattr(Ports, "replace_if_taken", look_too_early)
        environment = sandbox.up()
    assert int(environment["FLEETPULSE_ODS__PORT"]) != old
    with Clients(environment).owner() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_another_sandbox_beside_it_disturbs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    before, ours = pids(sandbox), sandbox.up()
    other = Sandbox(tmp_path / "other")
    try:
        theirs = other.up()
        assert set(health(other).values()) == {Health.UP}
        same = {name for name in ours if ours[name] == theirs[name]}
        assert same - {WEBSERVER_PORT} == SHARED
    finally:
        other.reset()
    assert sorted(path.name for path in other.home.iterdir()) == ["lock"]
    assert running(other) == []
    assert pids(sandbox) == before
    assert set(health(sandbox).values()) == {Health.UP}
