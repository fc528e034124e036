"""Verdicts and episodes are those of the oracle, however the log was cut into batches."""

from random import Random

import pytest

from tests.fixtures.insights.comparison import WHOLE, Row, Tally, compare, work_off
from tests.fixtures.insights.warehouse import Warehouse
from tests.fixtures.insights.worlds.cuts import random_cuts
from tests.fixtures.insights.worlds.worlds import Worlds, random_worlds
from tests.oracle.difference import DifferenceError
from tests.oracle.episodes import episodes_of
from tests.oracle.gates import told_of
from tests.oracle.log import Device, World
from tests.oracle.rules import RULES, Rule, Verdict

WORLDS = 200
SEED = 1
BATCHES = 3
LEAST = 15
"""So many subjects of each rule must breach it, get over it, and do neither."""

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


def test_late_events_redrives_and_failures_change_nothing_in_the_end(warehouse: Warehouse) -> None:
    tally = Tally()

    compare(warehouse, SEED, range(WORLDS), tally, BATCHES)

    assert tally.worlds == WORLDS
    for rule_id in RULES:
        assert tally.breached[rule_id] >= LEAST, rule_id
        assert tally.resolved[rule_id] >= LEAST, rule_id
        assert tally.neither[rule_id] >= LEAST, rule_id


def test_in_one_batch_the_same_worlds_end_the_same(warehouse: Warehouse) -> None:
    compare(warehouse, SEED, range(40), Tally(), 1)


def test_a_difference_names_the_world_the_rule_the_rows_and_how_to_see_it_again(
    warehouse: Warehouse,
) -> None:
    def never(world: World, device: Device) -> list[Verdict]:
        return []

    with pytest.raises(DifferenceError) as found:
        compare(warehouse, SEED, range(3), Tally(), 1, {"reboot_loop": Rule(never, 1)})

    lines = str(found.value).splitlines()
    assert lines[0].endswith(f"of seed {SEED} differs: reboot_loop")
    assert any(line.startswith("  only SQL has     ('reboot_loop', 'VM-") for line in lines)
    assert lines[-1].startswith(f"again: make oracle SEED={SEED} ONLY=")
    assert lines[-1].endswith("BATCHES=1")


def test_of_punctual_logs_every_transition_is_told_once_in_order(warehouse: Warehouse) -> None:
    worlds = random_worlds(SEED, range(20), late=False)

    run(warehouse, worlds, batches=3, late=False)

    told = transitions(warehouse)
    assert told == expected_events(worlds)
    assert {kind for *_, kind in told} == KINDS
    assert causes(warehouse) <= CAUSES


def test_a_batch_that_is_done_stays_as_it_is(warehouse: Warehouse) -> None:
    run(warehouse, random_worlds(SEED, range(5), late=True), batches=1, late=True)
    before = contents(warehouse)
    warehouse.dbt(*WHOLE)
    assert contents(warehouse) == before
    warehouse.dbt_anew(*WHOLE, "--vars", "{batch_id: 1}")
    assert contents(warehouse) == before


def run(warehouse: Warehouse, worlds: Worlds, *, batches: int, late: bool) -> None:
    """Works off a log; if in several batches, the second fails half way and is run again."""
    cuts = random_cuts(Random(SEED), worlds, batches, late=late)
    work_off(warehouse, worlds, cuts, (2, "episode_versions"))


def transitions(warehouse: Warehouse) -> list[Row]:
    return sorted(
        warehouse.query(
            "select rule_id, subject, (extract(epoch from at) * 1000000)::bigint, kind"
            " from ci_insights.transitions order by episode_id, transition_no"
        )
    )


def expected_events(worlds: Worlds) -> list[Row]:
    return sorted(
        (*key, us, kind)
        for world in worlds.each.values()
        for key, told in told_of(world, episodes_of(world)).items()
        for events in told
        for us, kind in events
    )


def causes(warehouse: Warehouse) -> set[Row]:
    return set(warehouse.query("select kind, cause from ci_insights.transitions"))


def contents(warehouse: Warehouse) -> dict[str, list[tuple[str]]]:
    """All rows of what a batch appends to."""
    return {name: warehouse.query(f"select t::text from {name} t order by 1") for name in APPENDED}
