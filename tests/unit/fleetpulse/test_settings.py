"""A wrong, unknown or missing setting is an error that names it."""

import os

import pytest

from fleetpulse import settings
from streaming.errors import SettingError
from streaming.settings import LandingSettings, OdsSettings

KAFKA = "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS"


@pytest.fixture(autouse=True)
def only_what_the_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)


def test_without_any_the_defaults_hold_and_no_system_is_assumed() -> None:
    tree = settings.load()
    assert (tree.kafka, tree.ods, tree.lake, tree.servicenow) == (None, None, None, None)
    assert tree.landing == LandingSettings()
    assert tree.landing.file_max_age_s == 300


def test_levels_are_nested_by_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPULSE_ODS__HOST", "db")
    monkeypatch.setenv("FLEETPULSE_ODS__PASSWORDS__CONSUMER", "s p@ce")
    ods = settings.require(settings.load().ods, "ods")
    assert ods.url("consumer") == (
        "postgresql://fleetpulse_consumer:s%20p%40ce@db:5432/fleetpulse"
        "?sslmode=prefer&connect_timeout=5&application_name=fleetpulse-consumer"
        "&tcp_user_timeout=30000&keepalives_idle=10&keepalives_interval=5&keepalives_count=4"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEETPULSE_LOG_LEVEL", "LOUD"),
        ("FLEETPULSE_ODS__PORT", "70000"),
        ("FLEETPULSE_LAKE__URL", "/a/folder"),
        ("FLEETPULSE_LAKE__URL", "s3://bucket?x=1"),
        ("FLEETPULSE_LANDING__FLUSH_INTERVAL_S", "0"),
        ("FLEETPULSE_LANDING__FLUSH_INTERVAL_S", "soon"),
        ("FLEETPULSE_LANDING__TOPICS", '["telemetry.rwa"]'),
        ("FLEETPULSE_LANDING__TOPICS", "[]"),
        ("FLEETPULSE_LANDING__TOPICS", '["alerts.raw", "alerts.raw"]'),
        ("FLEETPULSE_INSIGHTS__LATE_TOLERANCE_S", "-1"),
        ("FLEETPULSE_DAGSTER__WEBSERVER_PORT", "http"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("FLEETPULSE_ODS__HOST", "db")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=f"{name}: "):
        settings.load()


def test_a_secret_is_not_told_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KAFKA, "broker:9092")
    monkeypatch.setenv("FLEETPULSE_KAFKA__SASL_PASSWORD", "hush")
    monkeypatch.setenv("FLEETPULSE_KAFKA__SASL_MECHANISM", "MAGIC")
    with pytest.raises(SettingError, match="FLEETPULSE_KAFKA__SASL_MECHANISM") as refused:
        settings.load()
    assert "hush" not in str(refused.value)
    monkeypatch.setenv("FLEETPULSE_KAFKA__SASL_MECHANISM", "PLAIN")
    assert "hush" not in repr(settings.load())


def test_a_value_that_is_missing_in_a_section_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPULSE_KAFKA__GROUP_ID", "g")
    with pytest.raises(SettingError, match=f"{KAFKA}: Field required"):
        settings.load()


def test_a_section_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(SettingError, match=r"FLEETPULSE_KAFKA__\* is not set: run `fleetpulse san"):
        settings.require(settings.load().kafka, "kafka")


def test_a_password_that_is_missing_is_named_with_its_role() -> None:
    with pytest.raises(SettingError, match=r"fleetpulse_dbt .*FLEETPULSE_ODS__PASSWORDS__DBT"):
        OdsSettings(host="db").url("dbt")


@pytest.mark.parametrize(
    "name",
    ["FLEETPULSE_KAFKA_BOOTSTRAP_SERVERS", "FLEETPULSE_ODS__PASSWORDS__CONSUMR", "FLEETPULSE_"],
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"unknown setting {name}$"):
        settings.refuse_unknown({name: "", KAFKA: "", "PATH": ""})


def test_every_known_name_is_let_through() -> None:
    settings.refuse_unknown({KAFKA: "", "FLEETPULSE_ODS__PASSWORDS__ODS_READER": "", "HOME": ""})
