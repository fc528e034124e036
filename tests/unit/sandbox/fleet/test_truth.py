"""The truth file is true: a plain reading of the rules finds its faults, and nothing else."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.fleet import FleetConfig, Plan, Truth, make_plan, records
from sandbox.fleet.truth import ALLOWANCE, LATE_TOLERANCE
from tests.unit.sandbox.fleet.oracle import (
    SECOND,
    Episode,
    Evidence,
    episodes,
    gather,
    healthy_margin,
    longest_gap,
    share_heard,
)

LIVE = timedelta(minutes=15)
"""Longer than a demo, so that what is decided late is seen too."""

CLOCK_SKEW = 2 * SECOND
"""Devices' clocks are off by up to 1.5 s; the truth is told in true time."""

RUNS = {
    "on the hour": (60, 0, datetime(2026, 3, 1, 12, 0, tzinfo=UTC), timedelta(minutes=90)),
    "1 ms before a window's end": (
        60,
        1,
        datetime(2026, 3, 1, 12, 4, 59, 999_000, tzinfo=UTC),
        timedelta(minutes=90),
    ),
    "1 ms after": (61, 2, datetime(2026, 3, 29, 0, 0, 0, 1_000, tzinfo=UTC), timedelta(hours=2)),
    "in the middle": (
        69,
        3,
        datetime(2026, 10, 25, 1, 2, 30, 500_000, tzinfo=UTC),
        timedelta(minutes=100),
    ),
    "over midnight": (77, 4, datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC), timedelta(hours=3)),
    "200 devices": (200, 5, datetime(2026, 7, 7, 7, 7, 7, 7_000, tzinfo=UTC), timedelta(hours=2)),
}


class Played:
    def __init__(self, devices: int, seed: int, start: datetime, history: timedelta) -> None:
        self.config = FleetConfig(devices, seed, start, history, LIVE)
        self.plan: Plan = make_plan(self.config)
        self.evidence: Evidence = gather(records(self.plan))
        # The log ends here: that nobody beats afterwards says nothing.
        self.until = self.config.end_ms - 2_000
        self.episodes: list[Episode] = episodes(self.plan, self.evidence, self.until)

    @property
    def faults(self) -> list[Truth]:
        return [truth for truth in self.plan.truth if not truth.lookalike]

    def episode_of(self, truth: Truth) -> Episode:
        (episode,) = [
            episode
            for episode in self.episodes
            if (episode.device_id, episode.rule_id) == (truth.subject, truth.rule_id)
        ]
        return episode


@pytest.fixture(scope="module", params=RUNS.values(), ids=RUNS.keys())
def played(request: pytest.FixtureRequest) -> Played:
    return Played(*request.param)


def test_every_fault_is_found_once_and_nothing_else(played: Played) -> None:
    found = Counter((episode.device_id, episode.rule_id) for episode in played.episodes)
    assert found == Counter((truth.subject, truth.rule_id) for truth in played.faults)


def test_due_by_is_the_deciding_instant_or_live_times_beginning_plus_65_s(played: Played) -> None:
    live = played.config.start_ms
    for truth in played.faults:
        opened = played.episode_of(truth).opened
        known = opened if truth.phase != "open_at_live" else live
        assert truth.due_by == known + LATE_TOLERANCE + ALLOWANCE, truth


def test_a_phase_says_when_the_episode_opens_and_whether_it_outlives_history(
    played: Played,
) -> None:
    live = played.config.start_ms
    for truth in played.faults:
        episode = played.episode_of(truth)
        if episode.opened >= live:
            phase = "live"
        elif episode.cleared is None or episode.cleared >= live:
            phase = "open_at_live"
        else:
            phase = "history"
        assert truth.phase == phase, truth


def test_what_is_to_be_ticketed_is_still_open_when_it_is_due(played: Played) -> None:
    for truth in played.faults:
        episode = played.episode_of(truth)
        if truth.phase != "history" and episode.cleared is not None:
            assert truth.due_by is not None
            assert episode.cleared > truth.due_by + 5 * SECOND, truth


def test_an_episode_clears_only_after_its_fault_has_ended(played: Played) -> None:
    for truth in played.faults:
        cleared = played.episode_of(truth).cleared
        if truth.end is None:
            assert cleared is None, truth
        elif cleared is not None:
            assert cleared >= truth.end - CLOCK_SKEW, truth


def test_history_s_episodes_are_over_well_before_live_time(played: Played) -> None:
    for truth in played.faults:
        if truth.phase == "history":
            cleared = played.episode_of(truth).cleared
            assert cleared is not None
            assert cleared < played.config.start_ms - 5 * 60 * SECOND, truth


def test_at_least_one_incident_of_two_rules_resolves_within_90_s_and_more_within_120(
    played: Played,
) -> None:
    def rules_cleared_by(seconds: int) -> list[str]:
        by = played.config.start_ms + seconds * SECOND
        return [
            episode.rule_id
            for episode in played.episodes
            if episode.cleared is not None and played.config.start_ms < episode.cleared <= by
        ]

    assert rules_cleared_by(86)
    assert len(set(rules_cleared_by(110))) >= 2
    assert len(rules_cleared_by(110)) >= 4


def test_ordinary_machines_stay_far_from_every_rule(played: Played) -> None:
    for device in played.plan.devices:
        if device.script is None:
            beats = [at for at in played.evidence.beats[device.device_id] if at <= played.until]
            assert longest_gap(beats) < 170 * SECOND, device.device_id
    assert healthy_margin(played.plan, played.evidence.temps) > 0.2


def test_no_site_is_so_quiet_that_its_tickets_are_held(played: Played) -> None:
    for seconds in range(0, 121, 5):
        at = played.config.start_ms + seconds * SECOND
        shares = share_heard(played.plan, played.evidence, at)
        assert min(shares.values()) >= 0.8, (seconds, shares)
