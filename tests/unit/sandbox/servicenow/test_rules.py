"""The instance's business rules."""

import pytest

from sandbox.servicenow import rules
from sandbox.servicenow.errors import DataPolicyError

NOW = "2026-03-01 12:00:00"
LATER = "2026-03-01 13:00:00"
CLOSING = {"close_code": "Solution provided", "close_notes": "Done"}


def new(**fields: object) -> rules.Record:
    return rules.created(fields, user="a", now=NOW)


def change(record: rules.Record, **fields: object) -> rules.Record:
    return rules.updated(record, fields, user="b", now=LATER)


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [("1", "1", "1"), ("1", "3", "3"), ("2", "2", "3"), ("3", "3", "5"), ("", "x", "5")],
)
def test_priority_comes_from_impact_and_urgency(impact: str, urgency: str, priority: str) -> None:
    assert new(impact=impact, urgency=urgency, priority="1")["priority"] == priority


def test_values_become_text() -> None:
    record = new(impact=1, description=None, short_description=True)
    assert (record["impact"], record["description"], record["short_description"]) == (
        "1",
        "",
        "true",
    )


def test_long_values_are_cut_in_silence() -> None:
    assert len(new(short_description="x" * 500)["short_description"]) == 160


@pytest.mark.parametrize("field", ["state", "incident_state"])
def test_state_and_incident_state_mirror_each_other(field: str) -> None:
    record = change(new(), **{field: "2"})
    assert (record["state"], record["incident_state"]) == ("2", "2")


@pytest.mark.parametrize("state", ["6", "7"])
@pytest.mark.parametrize("missing", ["close_code", "close_notes"])
def test_finishing_without_its_fields_is_refused(state: str, missing: str) -> None:
    fields = {name: value for name, value in CLOSING.items() if name != missing}
    with pytest.raises(DataPolicyError):
        change(new(), state=state, **fields)


def test_only_closed_and_canceled_incidents_are_inactive() -> None:
    assert change(new(), state="6", **CLOSING)["active"] == "true"
    assert change(new(), state="7", **CLOSING)["active"] == "false"
    assert change(new(), state="8")["active"] == "false"


def test_closing_keeps_the_time_of_resolution() -> None:
    resolved = change(new(), state="6", **CLOSING)
    closed = rules.updated(resolved, {"state": "7"}, user="c", now="2026-03-02 00:00:00")
    assert (closed["resolved_at"], closed["closed_at"]) == (LATER, "2026-03-02 00:00:00")


def test_each_change_is_counted_and_signed() -> None:
    record = change(change(new()), impact="1")
    assert record["sys_mod_count"] == "2"
    assert (record["sys_created_by"], record["sys_updated_by"]) == ("a", "b")
