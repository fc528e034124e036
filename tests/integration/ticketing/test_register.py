"""What people read of the ledger, on the command line too."""

import json

import pytest
from typer.testing import CliRunner

from fleetpulse.tickets import app
from sandbox.servicenow.faults import Failure, Plan
from ticketing import register
from ticketing.errors import NotFoundError, NotReadyError


@pytest.fixture
def reader(ods):
    with ods.connect("TICKETING") as connection:
        yield connection


@pytest.fixture
def command(ods, scene, monkeypatch: pytest.MonkeyPatch):
    settings = scene.settings()
    for name, value in {
        **ods.settings("TICKETING"),
        "SERVICENOW__URL": settings.url,
        "SERVICENOW__USERNAME": settings.username,
        "SERVICENOW__PASSWORD": settings.password.get_secret_value(),
    }.items():
        monkeypatch.setenv(f"FLEETPULSE_{name}", value)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_incidents_are_listed_newest_first_by_state(scene, reader) -> None:
    first, second = scene.opening(), scene.opening(severity=3)
    scene.run()
    scene.transition("resolve", first, 2)
    scene.run()
    assert [each.number for each in register.entries(reader)] == ["INC0010002", "INC0010001"]
    assert [each.episode_id for each in register.entries(reader, finished=False)] == [second]
    assert [each.episode_id for each in register.entries(reader, finished=True)] == [first]


def test_a_history_is_found_by_number_and_by_episode(scene, reader) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.run()
    by_number = register.history(reader, "inc0010001")
    assert by_number == register.history(reader, str(episode))
    assert [step.outcome for step in by_number.steps] == ["opened", "resolved"]
    assert str(by_number.opening.evidence[0]) == "telemetry.raw/0/1/42"


def test_an_episode_without_an_incident_has_a_history_too(scene, reader) -> None:
    episode = scene.opening(muted=True)
    scene.run()
    found = register.history(reader, str(episode))
    assert found.entry is None
    assert [step.outcome for step in found.steps] == ["muted"]


@pytest.mark.parametrize("name", ["INC9999999", "0190a6c2-0000-7000-8000-000000000001", "x"])
def test_what_the_ledger_does_not_know_is_named(scene, reader, name: str) -> None:
    with pytest.raises(NotFoundError, match=name):
        register.history(reader, name)


def test_transitions_of_an_episode_keep_their_order_whatever_their_times(scene) -> None:
    key = "VM-000042"
    episode = scene.opening(key=key)
    scene.run()
    # One batch: a correction that is decided at the watermark, then what happened before it.
    late, early = "2026-03-01 13:00:00+00", "2026-03-01 12:30:00+00"
    scene.transition("resolve", episode, 3, key=key, at=early, batch_id=9)
    scene.transition("reopen", episode, 2, key=key, at=late, batch_id=9)
    scene.run()
    assert scene.incident()["state"] == "6"
    assert scene.outcomes() == ["opened", "over", "resolved"]


def test_before_the_first_batch_there_is_nothing_to_read(scene, ods) -> None:
    with ods.connect("DBT") as dbt:
        dbt.execute("alter table insights.transitions rename to hidden")
        try:
            with pytest.raises(NotReadyError, match="run a first batch"):
                scene.run()
        finally:
            dbt.execute("alter table insights.hidden rename to transitions")


def test_the_commands_run_list_and_show(scene, command) -> None:
    episode = scene.opening(subject="VM [red]x[/red]")
    assert "1 opened" in command("run")
    assert "INC0010001" in command("list", "--state", "open")
    (listed,) = json.loads(command("list", "--json"))
    assert listed["episode_id"] == str(episode)
    shown = command("show", "INC0010001")
    assert "VM [red]x[/red]" in shown
    assert "telemetry.raw/0/1/42" in shown
    assert json.loads(command("show", str(episode), "--json"))["entry"]["number"] == "INC0010001"


def test_a_run_says_that_servicenow_is_left_alone(scene, command) -> None:
    scene.opening()
    scene.servicenow.plan(Plan(fail=Failure(429, retry_after_s=3600)))
    output = command("run")
    assert "1 deferred" in output
    assert "left alone until" in output
