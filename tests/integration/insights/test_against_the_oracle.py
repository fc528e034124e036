"""Findings and episodes are those of the oracle, however the log was cut into batches."""

from uuid import UUID

import pytest

from tests.fixtures.insights.random_logs import Cut, random_cuts, random_redrives, random_world
from tests.fixtures.insights.warehouse import Warehouse
from tests.oracle.episodes import episodes_of, findings_of
from tests.oracle.gates import told_of
from tests.oracle.last_seen import last_seen_of
from tests.oracle.log import World

DEVICES = 60
HALF_WAY = ("run", "--selector", "insights_batch", "--exclude", "episode_versions", "transitions")
WHOLE = ("run", "--selector", "insights_batch")

APPENDED = (
    "ci_staging.stg_kafka__telemetry",
    "ci_staging.stg_kafka__heartbeats",
    "ci_staging.stg_kafka__alerts",
    "ci_insights.verdicts",
    "ci_insights.episode_versions",
    "ci_insights.transitions",
    "control.batches",
)

KINDS = {"open", "update", "resolve", "reopen", "hold", "suppress"}
CAUSES = {
    *(("hold", "held"), ("suppress", "suppressed"), ("resolve", "clear"), ("update", "breach")),
    *((kind, cause) for kind in ("open", "reopen") for cause in ("breach", "released")),
}

Finding = tuple[str, str, int, float, float]
Episode = tuple[str, str, int, int | None]
Event = tuple[str, str, int, str]


@pytest.mark.parametrize("seed", [1, 2])
def test_late_events_redrives_and_the_cut_change_nothing_in_the_end(
    warehouse: Warehouse, seed: int
) -> None:
    world = random_world(seed, DEVICES, late=True)
    expected = findings_of(world), expected_episodes(world)
    for batches in (1, 3):
        cuts = random_cuts(seed, world, batches, late=True)
        run(warehouse, world, cuts, fail_at=2)
        assert (findings(warehouse), episodes(warehouse)) == expected
        until_us = cuts[-2].watermark_us if batches > 1 else 0
        assert last_seen(warehouse) == last_seen_of(world, until_us)
        assert open_tickets(warehouse) == open_episodes(warehouse) != set()
        assert withheld(warehouse) <= expected_withheld(world)


@pytest.mark.parametrize("seed", [4])
def test_of_punctual_logs_every_transition_is_told_once_in_order(
    warehouse: Warehouse, seed: int
) -> None:
    world = random_world(seed, DEVICES, late=False)
    run(warehouse, world, random_cuts(seed, world, 4, late=False), fail_at=3)
    assert findings(warehouse) == findings_of(world)
    told = transitions(warehouse)
    assert told == expected_events(world)
    assert {kind for *_, kind in told} == KINDS
    assert causes(warehouse) <= CAUSES


def test_a_batch_that_is_done_stays_as_it_is(warehouse: Warehouse) -> None:
    world = random_world(6, DEVICES, late=True)
    run(warehouse, world, random_cuts(6, world, 1, late=True), fail_at=None)
    before = contents(warehouse)
    warehouse.dbt(*WHOLE)
    assert contents(warehouse) == before
    warehouse.dbt_anew(*WHOLE, "--vars", "{batch_id: 1}")
    assert contents(warehouse) == before


def run(warehouse: Warehouse, world: World, cuts: list[Cut], *, fail_at: int | None) -> None:
    """Lands the log and works the batches off; one of them stops half way and is run again."""
    warehouse.empty()
    warehouse.register(world.devices, world.limits_c, world.work, world.zones)
    # Some were redriven, in another order than their offsets: before, with or after their batch.
    warehouse.land(world.records, random_redrives(1, world) if cuts[-1].redrive else None)
    for cut in cuts:
        if warehouse.cut(cut.ends, cut.watermark_us, cut.redrive) == fail_at:
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


def last_seen(warehouse: Warehouse) -> dict[tuple[str, str], int]:
    rows = warehouse.query("select device_id, topic, us from ci_insights.last_seen")
    return {(device_id, topic): us for device_id, topic, us in rows}


def transitions(warehouse: Warehouse) -> list[Event]:
    return sorted(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from at) * 1000000)::bigint, kind"
            " from ci_insights.transitions order by episode_id, transition_no"
        )
    )


def open_tickets(warehouse: Warehouse) -> set[tuple[UUID]]:
    """Episodes of which the last that was told is not that they are over."""
    return set(
        warehouse.query(
            "select episode_id from (select distinct on (episode_id) * from ci_insights.transitions"
            " order by episode_id, transition_no desc) t where kind <> 'resolve'"
        )
    )


def open_episodes(warehouse: Warehouse) -> set[tuple[UUID]]:
    return set(warehouse.query("select episode_id from ci_insights.episodes where state = 'open'"))


def causes(warehouse: Warehouse) -> set[tuple[str, str]]:
    return set(warehouse.query("select kind, cause from ci_insights.transitions"))


def withheld(warehouse: Warehouse) -> set[tuple[str, str, int]]:
    """Open episodes of which the last that was told is that they have no ticket."""
    return set(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from opened_at) * 1000000)::bigint"
            " from ci_insights.episodes join ("
            "  select distinct on (episode_id) episode_id, kind from ci_insights.transitions"
            "  order by episode_id, transition_no desc) as told using (episode_id)"
            " where kind in ('hold', 'suppress')"
        )
    )


def contents(warehouse: Warehouse) -> dict[str, list[tuple[str]]]:
    """All rows of what a batch appends to."""
    return {name: warehouse.query(f"select t::text from {name} t order by 1") for name in APPENDED}


def expected_episodes(world: World) -> set[Episode]:
    return {
        (*key, episode.opened_us, episode.resolved_us)
        for key, folded in episodes_of(world).items()
        for episode in folded
    }


def expected_events(world: World) -> list[Event]:
    return sorted(
        (*key, us, kind)
        for key, told in told_of(world, episodes_of(world)).items()
        for events in told
        for us, kind in events
    )


def expected_withheld(world: World) -> set[tuple[str, str, int]]:
    return {
        (*key, events[0][0])
        for key, told in told_of(world, episodes_of(world)).items()
        for events in told
        if events[-1][1] in ("hold", "suppress")
    }
