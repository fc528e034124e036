"""The platform is well where data arrive and are worked off; nothing known is not well."""

from datetime import UTC, datetime, timedelta

from orchestration import health
from orchestration.health import Devices, Intents, Quarantined, Unfinished, Watermark

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def ago(**duration: float) -> datetime:
    return NOW - timedelta(**duration)


def test_no_watermark_is_not_well() -> None:
    assert not health.judge_watermark(Watermark(None, None), NOW).healthy


def test_a_watermark_may_be_five_minutes_old() -> None:
    assert health.judge_watermark(Watermark(ago(minutes=5), None), NOW).healthy
    assert not health.judge_watermark(Watermark(ago(minutes=5, seconds=1), None), NOW).healthy


def test_a_held_watermark_is_not_well_and_says_why() -> None:
    answer = health.judge_watermark(Watermark(ago(seconds=5), "only 3 of 60 devices"), NOW)

    assert not answer.healthy
    assert "only 3 of 60 devices" in answer.because


def test_a_batch_may_be_unfinished_for_five_minutes() -> None:
    assert health.judge_batch(None, NOW).healthy
    assert health.judge_batch(Unfinished(7, 1, ago(minutes=5)), NOW).healthy
    assert not health.judge_batch(Unfinished(7, 4, ago(minutes=6)), NOW).healthy


def test_a_few_silent_devices_are_for_the_rules_to_find() -> None:
    assert health.judge_devices(Devices(100, 20, ["VM-000001"])).healthy
    assert not health.judge_devices(Devices(100, 21, ["VM-000001"])).healthy


def test_an_empty_registry_is_not_well() -> None:
    assert not health.judge_devices(Devices(0, 0, [])).healthy


def test_the_share_of_each_topic_that_may_break_its_contract_is_a_setting() -> None:
    sound = Quarantined("heartbeat.raw", 1_000_000, 0)

    assert health.judge_quarantine([], 0.05).healthy
    assert health.judge_quarantine([sound, Quarantined("alerts.raw", 200, 10)], 0.05).healthy
    answer = health.judge_quarantine([sound, Quarantined("alerts.raw", 200, 11)], 0.05)
    assert not answer.healthy
    assert "11 of 200 in alerts.raw" in answer.because


def test_a_few_broken_records_say_nothing_of_a_topic_of_few() -> None:
    assert health.judge_quarantine([Quarantined("alerts.raw", 9, 9)], 0.05).healthy
    assert not health.judge_quarantine([Quarantined("alerts.raw", 10, 10)], 0.05).healthy


def test_an_intent_may_wait_for_a_quarter_of_an_hour() -> None:
    assert health.judge_intents(Intents(0, None, None), NOW).healthy
    assert health.judge_intents(Intents(3, ago(minutes=15), None), NOW).healthy


def test_an_intent_that_waits_longer_tells_its_problem() -> None:
    answer = health.judge_intents(Intents(3, ago(minutes=16), "429 Too Many Requests"), NOW)

    assert not answer.healthy
    assert "429 Too Many Requests" in answer.because
