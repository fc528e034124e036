"""What the worker makes of transitions, on a real ledger and over real HTTP."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from ticketing.errors import FatalError
from ticketing.worker import Summary


def test_an_opening_becomes_an_incident_that_says_why(scene) -> None:
    episode = scene.opening(key="VM-000001")
    assert scene.run() == Summary(opened=1)
    incident = scene.incident()
    assert incident["correlation_id"] == str(episode)
    assert incident["correlation_display"] == "VM-000001"
    assert incident["priority"] == "2"
    assert incident["short_description"] == "Cabinet over temperature: VM-000001 (cabinet)"
    assert "telemetry.raw/0/1/42" in incident["description"]
    assert scene.servicenow.store.name_of(incident["assignment_group"]) == "Refrigeration"
    (row,) = scene.ledger_rows("select number, state, adopted, opened_at from ticketing.incidents")
    assert row[:3] == (incident["number"], 1, False)
    assert abs(row[3] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_second_run_changes_nothing(scene) -> None:
    scene.opening()
    scene.run()
    before = scene.incidents()
    assert scene.run() == Summary()
    assert scene.incidents() == before


def test_an_episode_goes_from_opening_to_note_to_resolution_and_back(scene) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("update", episode, 2, observed=11.0)
    assert scene.run() == Summary(updated=1)
    assert "Observed: 11" in scene.notes(scene.incident())[0]
    scene.transition("resolve", episode, 3)
    assert scene.run() == Summary(resolved=1)
    assert scene.incident()["state"] == "6"
    assert scene.incident()["close_code"] == "Solution provided"
    scene.transition("reopen", episode, 4)
    assert scene.run() == Summary(reopened=1)
    assert scene.incident()["state"] == "2"
    assert "Failing again" in scene.notes(scene.incident())[0]


def test_a_resolution_is_recorded_with_its_time_and_code(scene) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.run()
    (row,) = scene.ledger_rows("select state, close_code, resolved_at from ticketing.incidents")
    assert row[:2] == (6, "Solution provided")
    assert row[2] is not None


def test_an_episode_that_was_over_before_its_turn_is_recorded_and_not_sent(scene) -> None:
    episode = scene.opening()
    scene.transition("update", episode, 2)
    scene.transition("resolve", episode, 3)
    assert scene.run() == Summary(skipped=3)
    assert scene.incidents() == []
    assert scene.outcomes() == ["over", "over", "over"]


def test_a_muted_episode_is_recorded_and_not_sent(scene) -> None:
    episode = scene.opening(muted=True)
    scene.run()
    scene.transition("resolve", episode, 2, muted=True)
    scene.run()
    assert scene.incidents() == []
    assert scene.outcomes() == ["muted", "muted"]


def test_a_held_episode_is_sent_with_its_release(scene) -> None:
    episode = uuid4()
    scene.transition("hold", episode, 1, cause="held")
    assert scene.run() == Summary(skipped=1)
    assert scene.incidents() == []
    scene.transition("open", episode, 2, cause="released")
    assert scene.run() == Summary(opened=1)
    assert scene.outcomes() == ["held", "opened"]


def test_a_suppressed_episode_is_named_on_its_outage_s_incident_alone(scene) -> None:
    child, outage = uuid4(), uuid4()
    scene.transition("suppress", child, 1, key="VM-000007", cause="suppressed")
    scene.transition("open", outage, 1, key="SITE-0001", children=Jsonb(["VM-000007"]))
    scene.run()
    assert "Stands in for:\n  VM-000007" in scene.incident()["description"]
    scene.transition("resolve", child, 2, key="VM-000007")
    scene.run()
    assert scene.outcomes() == ["suppressed", "opened", "over"]
    assert len(scene.incidents()) == 1


def test_a_stretch_that_is_withheld_opens_no_ticket_for_the_one_before(scene) -> None:
    episode = scene.opening(key="VM-000007")
    scene.transition("resolve", episode, 2, key="VM-000007")
    scene.transition("hold", episode, 3, key="VM-000007")
    scene.run()
    assert scene.incidents() == []
    scene.transition("reopen", episode, 4, key="VM-000007")
    scene.run()
    assert scene.outcomes() == ["over", "over", "held", "opened"]


def test_an_incident_is_resolved_also_while_its_machine_is_muted(scene) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2, muted=True)
    scene.run()
    assert scene.incident()["state"] == "6"


def test_an_episode_that_outlives_its_mute_gets_its_incident(scene) -> None:
    episode = scene.opening(muted=True)
    scene.run()
    scene.transition("update", episode, 2)
    assert scene.run() == Summary(opened=1)


def test_a_reopening_of_an_episode_that_was_never_sent_opens_an_incident(scene) -> None:
    episode = scene.opening()
    scene.transition("resolve", episode, 2)
    scene.run()
    scene.transition("reopen", episode, 3)
    assert scene.run() == Summary(opened=1)


def test_the_most_severe_come_first(scene) -> None:
    for severity in (4, 1, 3, 2, 5):
        scene.opening(severity=severity)
    scene.run()
    assert [each["priority"] for each in scene.incidents()] == ["1", "2", "3", "4", "5"]


def test_openings_wait_while_the_pipeline_catches_up_and_all_else_goes_on(scene) -> None:
    earlier = scene.opening()
    scene.run()
    scene.transition("resolve", earlier, 2)
    scene.opening()
    assert scene.run(hold_opens=True) == Summary(resolved=1, deferred=1)
    assert scene.run() == Summary(opened=1)


def test_two_episodes_of_one_key_follow_each_other(scene) -> None:
    key = "VM-000007"
    first = scene.opening(key=key)
    scene.run()
    scene.transition("resolve", first, 2, key=key)
    scene.opening(key=key)
    assert scene.run() == Summary(resolved=1, opened=1)
    assert [each["state"] for each in scene.incidents()] == ["6", "1"]


def test_an_unfinished_incident_of_the_same_key_is_adopted(scene) -> None:
    # The ledger was lost; its incident was not.
    old = str(uuid4())
    fields = {"correlation_id": old, "correlation_display": "VM-000009"}
    scene.servicenow.store.insert(fields, user="fleetpulse")
    scene.opening(key="VM-000009")
    scene.run()
    assert scene.incident()["correlation_id"] == old
    assert scene.outcomes() == ["adopted"]


def test_incidents_of_other_people_are_never_touched(scene) -> None:
    other = scene.servicenow.store.insert({"short_description": "A printer"}, user="somebody")
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.run()
    assert scene.servicenow.store.get(other["sys_id"]) == other


class TestEditedByPeople:
    def test_an_incident_that_was_resolved_by_hand_stays_as_it_is(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        by_hand = {"close_code": "User error", "close_notes": "The door was open"}
        scene.edit(scene.incident(), state="6", **by_hand)
        scene.transition("resolve", episode, 2)
        scene.run()
        assert scene.incident()["close_code"] == "User error"
        assert scene.outcomes() == ["opened", "already_resolved"]
        assert scene.ledger_rows("select close_code from ticketing.incidents") == [("User error",)]

    def test_an_incident_that_was_closed_by_hand_gets_no_notes(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        scene.edit(scene.incident(), state="7", close_code="Duplicate", close_notes="See other")
        scene.transition("update", episode, 2)
        scene.run()
        assert scene.notes(scene.incident()) == []
        assert scene.outcomes() == ["opened", "closed_by_hand"]

    def test_a_fault_that_comes_back_after_the_close_gets_a_new_incident(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        scene.transition("resolve", episode, 2)
        scene.run()
        scene.edit(scene.incident(), state="7")
        scene.transition("reopen", episode, 3)
        scene.run()
        assert [each["state"] for each in scene.incidents()] == ["7", "1"]
        scene.transition("resolve", episode, 4)
        scene.run()
        assert [each["state"] for each in scene.incidents()] == ["7", "6"]

    def test_a_deleted_incident_is_opened_again_while_the_fault_lasts(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        scene.servicenow.store.delete(scene.incident()["sys_id"])
        scene.transition("update", episode, 2)
        assert scene.run() == Summary(opened=1)
        scene.incident()

    def test_a_deleted_incident_is_not_missed_once_the_fault_is_over(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        scene.servicenow.store.delete(scene.incident()["sys_id"])
        scene.transition("resolve", episode, 2)
        scene.run()
        assert scene.incidents() == []
        assert scene.outcomes() == ["opened", "gone"]

    def test_a_reassigned_and_renamed_incident_is_still_ours(self, scene) -> None:
        episode = scene.opening()
        scene.run()
        edits = {"assignment_group": "Electric", "short_description": "Fuse", "correlation_id": ""}
        scene.edit(scene.incident(), **edits)
        scene.transition("resolve", episode, 2)
        scene.run()
        incident = scene.incident()
        assert (incident["state"], incident["short_description"]) == ("6", "Fuse")


def test_text_from_events_stays_text(scene) -> None:
    hostile = "VM\u202e<b>\x00[code]<img>[/code]^ORactive=true\nRule: none"
    scene.opening(subject=hostile.replace("\x00", ""), key="k^ORnumber!=x", component="a" * 5000)
    scene.run()
    incident = scene.incident()
    assert "\u202e" not in incident["short_description"]
    assert "[code]" not in incident["description"]
    assert incident["correlation_display"] == "k^ORnumber!=x"
    assert len(incident["description"]) <= 4000


def test_wrong_credentials_are_one_clear_error_and_no_storm(scene) -> None:
    for _ in range(3):
        scene.opening()
    with pytest.raises(FatalError, match="FLEETPULSE_SERVICENOW__PASSWORD") as caught:
        scene.run(scene.worker(password="a-wrong-guess"))
    assert "a-wrong-guess" not in str(caught.value)
    assert scene.run() == Summary(deferred=3)
    scene.let_time_pass(61)
    assert scene.run() == Summary(opened=3)


def test_a_field_that_comes_back_empty_stops_the_worker(scene) -> None:
    scene.opening()
    scene.opening()

    class Forgetful:
        def __init__(self, target) -> None:
            self._target = target

        def __getattr__(self, name: str):
            return getattr(self._target, name)

        def create(self, fields):
            return self._target.create({**fields, "correlation_id": ""})

    with pytest.raises(FatalError, match="correlation_id"):
        scene.run(scene.worker(wrap=Forgetful))
    assert len(scene.incidents()) == 1
    assert scene.outcomes() == ["opened", None]
