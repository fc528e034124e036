"""What an incident says."""

import pytest

from ticketing import incident
from ticketing.transition import RecordId


def test_an_opening_says_why_down_to_the_records(transition, settings) -> None:
    assert incident.opening(transition(), settings) == {
        "correlation_id": "0190a6c2-0000-7000-8000-000000000001",
        "correlation_display": "cabinet_over_temperature|VM-000001|cabinet",
        "short_description": "Cabinet over temperature: VM-000001 (cabinet)",
        "description": (
            "Cabinet over temperature: VM-000001 (cabinet), since 2026-03-01 12:05:00 UTC.\n"
            "\n"
            "Rule: cabinet_over_temperature, version 3\n"
            "Window: 2026-03-01 12:00:00 UTC to 2026-03-01 12:05:00 UTC\n"
            "Observed: 9.4\n"
            "Threshold: 8\n"
            "Site: SITE-0001\n"
            "Device: VM-000001\n"
            "Component: cabinet\n"
            "Key: cabinet_over_temperature|VM-000001|cabinet\n"
            "Runbook: docs/runbooks/cabinet_over_temperature.md\n"
            "\n"
            "Evidence (topic/epoch/partition/offset):\n"
            "  telemetry.raw/0/1/42\n"
            "\n"
            "More: fleetpulse tickets show 0190a6c2-0000-7000-8000-000000000001\n"
            "Fleetpulse episode 0190a6c2-0000-7000-8000-000000000001, transition 1"
        ),
        "impact": "2",
        "urgency": "1",
        "category": "hardware",
        "contact_type": "event",
        "assignment_group": "Refrigeration",
        "cmdb_ci": "VM-000001",
    }


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_impact_and_urgency_give_the_severity_as_priority(
    transition, settings, severity: int
) -> None:
    fields = incident.opening(transition(severity=severity), settings)
    assert int(fields["impact"]) + int(fields["urgency"]) - 1 == severity


def test_what_is_not_known_is_not_sent(transition, settings) -> None:
    fields = incident.opening(
        transition(cmdb_ci=None, assignment_group=None, component="", observed=None, evidence=()),
        settings,
    )
    assert "cmdb_ci" not in fields
    assert "assignment_group" not in fields
    assert "caller_id" not in fields
    assert fields["short_description"] == "Cabinet over temperature: VM-000001"
    assert "Observed" not in fields["description"]
    assert "none: the rule is about absence" in fields["description"]


def test_a_caller_is_sent_where_it_is_set(transition, settings) -> None:
    with_caller = settings.model_copy(update={"caller": "fleet.monitoring"})
    assert incident.opening(transition(), with_caller)["caller_id"] == "fleet.monitoring"


def test_of_much_evidence_the_count_is_told(transition) -> None:
    records = tuple(RecordId("telemetry.raw", 0, 0, n) for n in range(25))
    text = incident.description(transition(evidence=records))
    assert "telemetry.raw/0/0/19" in text
    assert "telemetry.raw/0/0/20" not in text
    assert "and 5 more" in text


def test_each_note_can_be_told_from_all_others(transition) -> None:
    first, second = transition(transition_no=2), transition(transition_no=3)
    assert incident.note(first)["work_notes"].endswith(incident.marker(first))
    assert incident.marker(first) != incident.marker(second)


def test_a_note_keeps_its_marker_whatever_the_facts(transition) -> None:
    noisy = transition(site_id="s" * 5000, device_id="d" * 5000, runbook="r" * 5000)
    assert incident.note(noisy)["work_notes"].endswith(incident.marker(noisy))


def test_a_reopening_sets_the_incident_back_to_work(transition) -> None:
    fields = incident.reopening(transition(transition_no=4))
    assert fields["state"] == "2"
    assert "Failing again since 2026-03-01 12:05:00 UTC" in fields["work_notes"]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("clear", "the rule's clear condition has held"),
        ("revised", "late events took the reason away"),
        ("merged", "it goes on in an older incident of the same key"),
        ("some new cause", "some new cause"),
    ],
)
def test_a_resolution_carries_what_resolving_needs(
    transition, settings, cause: str, words: str
) -> None:
    fields = incident.resolving(transition(cause=cause), settings)
    assert (fields["state"], fields["close_code"]) == ("6", "Solution provided")
    assert fields["close_notes"].startswith(f"Over at 2026-03-01 12:05:00 UTC: {words}.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\there", "two lines here"),
        ("\x00bell\x07", "bell"),
        ("right\u202eto left", "rightto left"),
        ("half \ud800 surrogate", "half surrogate"),
        ("[code]<b>bold</b>[/CODE]", "[ code]<b>bold</b>[ /code]"),
        ("${gs.getUser()}", "${gs.getUser()}"),
        ("a" * 30, "a" * 19 + "…"),
    ],
)
def test_text_from_events_is_one_bounded_line_that_shows_only_itself(text: str, shown: str) -> None:
    assert incident.clean(text, 20 if len(text) == 30 else 100) == shown


def test_a_summary_never_exceeds_servicenows_field(transition) -> None:
    long = transition(rule_id="r" * 500, subject="s" * 500, component="c" * 500)
    assert len(incident.summary(long)) <= 160


def test_an_outage_names_the_tickets_that_it_stands_in_for(transition, settings) -> None:
    children = tuple(f"heartbeat_missing|VM-{n:02}|" for n in range(25))
    outage = transition(children=children)
    for text in (
        incident.opening(outage, settings)["description"],
        incident.note(outage)["work_notes"],
        incident.resolving(outage, settings)["close_notes"],
    ):
        assert "Stands in for:\n  heartbeat_missing|VM-00|\n" in text
        assert "heartbeat_missing|VM-19|\n  and 5 more\n" in text
    assert "Stands in" not in incident.description(transition())


def test_an_alarm_says_what_is_wrong_with_the_platform(transition) -> None:
    alarm = transition(
        rule_id="operations",
        subject="watermark_held",
        component="",
        dedupe_key="operations|watermark_held|",
        runbook="docs/runbooks/platform/watermark.md",
        because="nothing has landed since 2026-03-01 11:58:00 UTC",
        evidence=(),
    )
    assert incident.description(alarm) == (
        "Operations: watermark_held, since 2026-03-01 12:05:00 UTC.\n"
        "\n"
        "Because: nothing has landed since 2026-03-01 11:58:00 UTC\n"
        "Since: 2026-03-01 12:00:00 UTC\n"
        "Key: operations|watermark_held|\n"
        "Runbook: docs/runbooks/platform/watermark.md\n"
        "\n"
        "More: fleetpulse tickets show 0190a6c2-0000-7000-8000-000000000001\n"
        "Fleetpulse episode 0190a6c2-0000-7000-8000-000000000001, transition 1"
    )


def test_what_was_withheld_says_until_when(transition, settings) -> None:
    text = incident.opening(transition(cause="released"), settings)["description"]
    assert "Withheld until: 2026-03-01 12:05:00 UTC\n" in text
