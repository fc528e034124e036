"""A shorter cut of `make chaos`; and that its plan repeats, and that its checker can fail."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import history, plan
from tests.chaos.faults import FAULTS, OF_CONSUMERS, OF_SYSTEMS
from tests.chaos.history import NONE
from tests.chaos.plan import Planned, Round
from tests.chaos.round import play
from tests.conftest import postgres_of
from tests.integration.landing.records import Fingerprint, Identity


def planned(*faults: str) -> tuple[Planned, ...]:
    return tuple(Planned(fault, 0, seed) for seed, fault in enumerate(faults))


ROUNDS = {
    "killed between any two writes": Round(
        1,
        1,
        "classic",
        (
            planned(
                "kill -9 after polling",
                "kill -9 between rows and offsets",
                "kill -9 after the database's commit",
                "kill -9 after the claim",
                "kill -9 after the file",
                "kill -9 after opening",
                "kill -9 recovery: after the claim",
            ),
            planned("s3: answer lost", "s3: written late", "postgres: disk full"),
        ),
    ),
    "woken as a zombie": Round(
        2,
        2,
        "consumer",
        (
            planned(
                "frozen past its session",
                "one leaves, one joins, one is killed",
                "the answer to a commit is lost",
                "clock an hour ahead",
            ),
            planned("postgres: sessions terminated", "s3: 412 for its own write", "s3: 503"),
        ),
    ),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_each_record_is_once_in_each_sink_though_consumers_are(
    name: str,
    sandbox_home: Path,
    sandbox_env: dict[str, str],
    fresh_database: Callable[[], str],
    tmp_path: Path,
) -> None:
    environment = {**sandbox_env, "FLEETPULSE_ODS__DATABASE": fresh_database()}

    outcome = play(ROUNDS[name], sandbox_home, environment, postgres_of(sandbox_home), tmp_path)

    assert outcome.good, f"{outcome.verdict} {outcome.problem}"
    assert outcome.records > 100
    assert {fault for fault, times in outcome.fired.items() if times} == {*ROUNDS[name].faults}


def test_the_same_seed_gives_the_same_plan_and_each_fault_has_its_turn_in_50_rounds() -> None:
    for seed in range(20):
        once, again = (plan.rounds(seed, 50, [*OF_CONSUMERS], [*OF_SYSTEMS]) for _ in range(2))
        assert once == again
        assert {fault for each in once for fault in each.faults} == FAULTS.keys()
    assert plan.rounds(1, 5, [*OF_CONSUMERS], [*OF_SYSTEMS]) != once[:5]


def test_a_round_is_the_same_in_longer_and_in_shorter_runs() -> None:
    short, long = (plan.rounds(7, count, [*OF_CONSUMERS], [*OF_SYSTEMS]) for count in (5, 50))
    assert long[:5] == short


def test_the_checker_sees_what_is_lost_doubled_altered_or_made_up() -> None:
    def at(offset: int) -> Identity:
        return ("alerts.raw", 0, offset)

    produced = {at(offset): Fingerprint(1, None, "[]", str(offset)) for offset in range(5)}
    assert history.compare(produced, sorted(produced.items())).verdict == NONE

    found = [
        *((at(offset), produced[at(offset)]) for offset in (0, 1, 1)),
        (at(3), produced[at(3)]._replace(headers="[1]")),
        (at(4), produced[at(4)]),
        (at(9), produced[at(4)]),
    ]
    differences = history.compare(produced, found)
    assert differences.lost == [at(2)]
    assert differences.doubled == [at(1)]
    assert differences.altered == [at(3), at(9)]
