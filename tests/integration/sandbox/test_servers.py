"""Each server, asked by the client that its users have."""

import time

import psycopg
import pytest
import requests
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sandbox.postgres import ODS_ROLES
from sandbox.sandbox import Sandbox
from streaming.contracts import CONTRACTS
from tests.conftest import postgres_of
from tests.integration.sandbox.conftest import Clients


def test_kafka_has_the_topics_and_creates_no_others(clients: Clients) -> None:
    admin = AdminClient({"bootstrap.servers": clients.setting("KAFKA__BOOTSTRAP_SERVERS")})
    topics = admin.list_topics(timeout=5).topics
    assert {name: len(topics[name].partitions) for name in CONTRACTS} == dict.fromkeys(CONTRACTS, 4)
    asked_for = admin.list_topics("telemetry.rwa", timeout=5).topics["telemetry.rwa"]
    assert asked_for.error is not None
    assert "telemetry.rwa" not in admin.list_topics(timeout=5).topics


def test_kafka_takes_and_gives_a_record(clients: Clients) -> None:
    servers = clients.setting("KAFKA__BOOTSTRAP_SERVERS")
    delivered = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True})
    producer.produce(
        "alerts.raw", b"value", b"key", partition=3, on_delivery=lambda *got: delivered.append(got)
    )
    assert producer.flush(10) == 0
    ((error, message),) = delivered
    assert error is None
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition("alerts.raw", 3, message.offset())])
    (read,) = consumer.consume(1, timeout=10)
    consumer.close()
    assert (read.key(), read.value()) == (b"key", b"value")


@pytest.mark.parametrize(("setting", "role"), ODS_ROLES.items())
def test_postgres_lets_every_role_in_by_its_password(
    clients: Clients, setting: str, role: str
) -> None:
    password = clients.setting(f"ODS__PASSWORDS__{setting}")
    with clients.postgres(role, password) as connection:
        row = connection.execute(
            "select current_user, rolsuper from pg_roles where rolname = current_user"
        ).fetchone()
    assert row == (role, False)


def test_postgres_refuses_a_wrong_password(clients: Clients) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        clients.postgres("fleetpulse_owner", "wrong")


def test_the_databases_belong_to_their_owners(clients: Clients) -> None:
    with clients.owner() as connection:
        owners = connection.execute(
            "select datname, datdba::regrole::text from pg_database where datname = any(%s)",
            [["fleetpulse", "dagster"]],
        ).fetchall()
    assert dict(owners) == {"fleetpulse": "fleetpulse_owner", "dagster": "fleetpulse_dagster"}
    with psycopg.connect(clients.setting("DAGSTER__STORAGE_URL")) as connection:
        connection.execute("create table probe ()")
        connection.rollback()


def test_only_dagster_may_look_into_dagsters_database(clients: Clients) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        clients.postgres("analyst", clients.setting("ODS__PASSWORDS__ANALYST"), "dagster")


def test_postgres_is_durable_and_listens_on_loopback_only(clients: Clients) -> None:
    names = ["fsync", "synchronous_commit", "listen_addresses"]
    with clients.owner() as connection:
        values = [connection.execute(f"show {name}").fetchone() for name in names]
    assert values == [("on",), ("on",), ("127.0.0.1",)]


def test_who_loses_nothing_in_a_crash_of_the_machine_may_turn_durability_off(
    sandbox: Sandbox,
) -> None:
    def fsync() -> str:
        with postgres_of(sandbox.home).superuser() as connection:
            row = connection.execute("show fsync").fetchone()
        assert row is not None
        return str(row[0])

    for change, shown in (("set fsync = off", "off"), ("reset fsync", "on")):
        with postgres_of(sandbox.home).superuser() as connection:
            connection.execute(f"alter system {change}".encode())
            connection.execute("select pg_reload_conf()")
        deadline = time.monotonic() + 30
        while fsync() != shown:
            assert time.monotonic() < deadline, shown


def test_the_object_store_lets_one_writer_win(clients: Clients) -> None:
    s3, bucket = clients.s3(), clients.setting("LAKE__URL").removeprefix("s3://")
    s3.put_object(Bucket=bucket, Key="claims/o1", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="claims/o1", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.get_object(Bucket=bucket, Key="claims/o1")["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="claims/o1")


def test_the_object_store_refuses_a_wrong_key(clients: Clients) -> None:
    with pytest.raises(ClientError) as refused:
        clients.s3(secret="wrong").list_buckets()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_servicenow_knows_its_user_and_no_other(clients: Clients) -> None:
    url = clients.setting("SERVICENOW__URL") + "/api/now/table/incident"
    user = clients.setting("SERVICENOW__USERNAME")
    password = clients.setting("SERVICENOW__PASSWORD")
    assert requests.get(url, auth=(user, password), timeout=5).status_code == 200
    assert requests.get(url, auth=(user, "wrong"), timeout=5).status_code == 401
