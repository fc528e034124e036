"""Findings and episodes are those of the oracle, however the log was cut into batches."""

import pytest

from tests.fixtures.insights.random_logs import Cut, random_cuts, random_world
from tests.fixtures.insights.warehouse import Warehouse
from tests.oracle.episodes import episodes_of, findings_of
from tests.oracle.log import World

DEVICES = 36
HALF_WAY = ("run", "--selector", "insights_batch", "--exclude", "episode_versions", "transitions")
WHOLE = ("run", "--selector", "insights_batch")

Finding = tuple[str, str, int, float, float]
Episode = tuple[str, str, int, int | None]
Event = tuple[str, str, int, str]


@pytest.mark.parametrize("seed", [1, 2])
def test_late_events_and_the_cut_change_nothing_in_the_end(warehouse: Warehouse, seed: int) -> None:
    world = random_world(seed, DEVICES, late=True)
    for batches in (1, 4):
        run(warehouse, world, random_cuts(seed, world, batches, late=True), fail_at=2)
        assert findings(warehouse) == findings_of(world)
        assert episodes(warehouse) == expected_episodes(world)


@pytest.mark.parametrize("seed", [4])
def test_of_punctual_logs_every_transition_is_told_once_in_order(
    warehouse: Warehouse, seed: int
) -> None:
    world = random_world(seed, DEVICES, late=False)
    run(warehouse, world, random_cuts(seed, world, 5, late=False), fail_at=3)
    assert findings(warehouse) == findings_of(world)
    assert transitions(warehouse) == expected_events(world)


def test_the_open_tickets_are_those_of_the_open_episodes(warehouse: Warehouse) -> None:
    world = random_world(6, DEVICES, late=True)
    run(warehouse, world, random_cuts(6, world, 6, late=True), fail_at=4)
    told = warehouse.query(
        "select episode_id from (select distinct on (episode_id) * from ci_insights.transitions"
        " order by episode_id, transition_no desc) t where kind <> 'resolve'"
    )
    still_open = warehouse.query("select episode_id from ci_insights.episodes where state = 'open'")
    assert sorted(told) == sorted(still_open)
    assert still_open


def run(warehouse: Warehouse, world: World, cuts: list[Cut], *, fail_at: int) -> None:
    """Lands the log and works the batches off; one of them stops half way and is run again."""
    warehouse.empty()
    warehouse.register(world.devices, world.limits_c, world.work)
    warehouse.land(world.records)
    for cut in cuts:
        if warehouse.cut(cut.ends, cut.watermark_us) == fail_at:
            warehouse.dbt(*HALF_WAY)
        warehouse.dbt(*WHOLE)


def findings(warehouse: Warehouse) -> set[Finding]:
    return set(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from window_end) * 1000000)::bigint,"
            " observed, threshold from ci_insights.findings where is_current"
        )
    )


def episodes(warehouse: Warehouse) -> set[Episode]:
    return set(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from opened_at) * 1000000)::bigint,"
            " (extract(epoch from resolved_at) * 1000000)::bigint"
            " from ci_insights.episodes where ended_by is null"
        )
    )


def transitions(warehouse: Warehouse) -> list[Event]:
    return sorted(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from at) * 1000000)::bigint, kind"
            " from ci_insights.transitions order by episode_id, transition_no"
        )
    )


def expected_episodes(world: World) -> set[Episode]:
    return {
        (*key, episode.opened_us, episode.resolved_us)
        for key, folded in episodes_of(world).items()
        for episode in folded
    }


def expected_events(world: World) -> list[Event]:
    return sorted(
        (*key, us, kind)
        for key, folded in episodes_of(world).items()
        for episode in folded
        for us, kind in episode.events(world.watermark_us)
    )
