"""One episode, one incident: whatever gets lost, refused, repeated or killed."""

import random
import threading
from uuid import uuid4

import pytest

from sandbox.servicenow.faults import Failure, LostAnswer, Plan
from ticketing.errors import OutcomeUnknownError
from ticketing.worker import Summary

GRACE_S = 60
LEASE_S = 8


class Killed(BaseException):
    """Stands for kill -9: nothing in the worker may handle it."""


class Wrapped:
    """A target that a test interferes with."""

    def __init__(self, target) -> None:
        self._target = target

    def __getattr__(self, name: str):
        return getattr(self._target, name)


class DiesAfterCreate(Wrapped):
    def create(self, fields):
        self._target.create(fields)
        raise Killed


class DiesBeforeCreate(Wrapped):
    def create(self, fields):
        raise Killed


class DiesAfterChange(Wrapped):
    def change(self, sys_id, fields):
        self._target.change(sys_id, fields)
        raise Killed


class LosesCreate(Wrapped):
    def create(self, fields):
        raise OutcomeUnknownError("the answer is lost, and nothing is there yet")


def kill(scene, wrap) -> None:
    with pytest.raises(Killed):
        scene.run(scene.worker(wrap=wrap))


def test_a_lost_answer_is_found_again_at_once(scene) -> None:
    scene.opening()
    scene.servicenow.plan(Plan(lose_answer=LostAnswer()))
    assert scene.run() == Summary(opened=1)
    scene.incident()
    assert scene.outcomes() == ["adopted"]


def test_a_lost_answer_is_found_also_where_the_query_is_ignored(scene) -> None:
    strangers = [
        scene.servicenow.store.insert({"short_description": f"Printer {n}"}, user="somebody")
        for n in range(250)
    ]
    scene.servicenow.plan(
        Plan(
            lose_answer=LostAnswer(),
            unknown_query_fields=("correlation_id", "correlation_display"),
        )
    )
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.run()
    assert len(scene.incidents()) == 251
    assert scene.incidents()[-1]["state"] == "6"
    assert all(scene.servicenow.store.get(each["sys_id"]) == each for each in strangers)


def test_a_limit_is_waited_for_as_long_as_it_asks(scene) -> None:
    scene.opening()
    scene.opening()
    scene.servicenow.plan(Plan(fail=Failure(429, methods=("POST",), retry_after_s=3600)))
    assert scene.run() == Summary(deferred=2)
    scene.let_time_pass(3590)
    assert scene.run() == Summary(deferred=2)
    scene.let_time_pass(11)
    assert scene.run() == Summary(opened=2)
    assert len(scene.incidents()) == 2


def test_what_cleared_during_the_wait_is_left_out(scene) -> None:
    episode = scene.opening()
    scene.servicenow.plan(Plan(fail=Failure(429, methods=("POST",), retry_after_s=3600)))
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.let_time_pass(3601)
    assert scene.run() == Summary(skipped=2)
    assert scene.incidents() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 200, 408])
def test_a_failing_create_is_not_repeated_before_it_can_no_longer_take_effect(
    scene, status: int
) -> None:
    scene.opening()
    scene.servicenow.plan(Plan(fail=Failure(status, methods=("POST",))))
    assert scene.run() == Summary(deferred=1)
    assert scene.run() == Summary(deferred=1)
    assert scene.incidents() == []
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(opened=1)
    scene.incident()


def test_a_create_that_takes_effect_late_is_adopted(scene) -> None:
    episode = scene.opening()
    assert scene.run(scene.worker(wrap=LosesCreate)) == Summary(deferred=1)
    scene.servicenow.store.insert({"correlation_id": str(episode)}, user="fleetpulse")
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(opened=1)
    scene.incident()


def test_a_worker_killed_between_create_and_record_leaves_one_incident(scene) -> None:
    scene.opening()
    kill(scene, DiesAfterCreate)
    assert scene.run() == Summary(deferred=1), "its lease still runs"
    scene.let_time_pass(LEASE_S)
    assert scene.run() == Summary(opened=1)
    scene.incident()
    assert scene.outcomes() == ["adopted"]


def test_a_worker_killed_before_create_delays_the_incident_and_no_more(scene) -> None:
    scene.opening()
    kill(scene, DiesBeforeCreate)
    scene.let_time_pass(LEASE_S)
    assert scene.run() == Summary(deferred=1), "its create may still be under way"
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(opened=1)
    scene.incident()


def test_an_incident_nobody_recorded_is_resolved_when_its_fault_is_over(scene) -> None:
    episode = scene.opening()
    kill(scene, DiesAfterCreate)
    scene.transition("resolve", episode, 2)
    scene.let_time_pass(LEASE_S)
    scene.run()
    assert scene.incident()["state"] == "6"
    assert scene.outcomes() == ["adopted", "resolved"]


def test_a_create_that_never_was_is_over_once_it_can_no_longer_be(scene) -> None:
    episode = scene.opening()
    kill(scene, DiesBeforeCreate)
    scene.transition("resolve", episode, 2)
    scene.let_time_pass(LEASE_S)
    assert scene.run() == Summary(deferred=2)
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(skipped=2)
    assert scene.incidents() == []


def test_a_note_whose_answer_was_lost_is_not_written_twice(scene) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("update", episode, 2)
    scene.servicenow.plan(Plan(lose_answer=LostAnswer(methods=("PATCH",))))
    assert scene.run() == Summary(deferred=1)
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(updated=1)
    assert len(scene.notes(scene.incident())) == 1


@pytest.mark.parametrize("kind", ["resolve", "update"])
def test_a_worker_killed_after_a_change_leaves_it_made_once(scene, kind: str) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition(kind, episode, 2)
    kill(scene, DiesAfterChange)
    scene.let_time_pass(LEASE_S)
    scene.run()
    assert scene.incident()["sys_mod_count"] == "1"
    assert None not in scene.outcomes()


def test_a_refused_change_is_counted_holds_only_its_own_key_and_is_tried_again(scene) -> None:
    episode = scene.opening()
    scene.run()
    scene.transition("resolve", episode, 2)
    scene.opening()
    assert scene.run(scene.worker(close_code="")) == Summary(opened=1, failed=1, deferred=1)
    (problem,) = scene.ledger_rows("select problem from ticketing.intents where done_at is null")
    assert "Resolution code" in problem[0]
    scene.let_time_pass(3)
    assert scene.run() == Summary(resolved=1)


def test_an_instance_that_is_away_costs_nothing_but_time(scene) -> None:
    scene.opening()
    away = scene.worker(url="http://127.0.0.1:1")
    assert scene.run(away) == Summary(deferred=1)
    assert scene.ledger_rows("select attempts from ticketing.intents") == [(0,)]
    scene.let_time_pass(GRACE_S)
    assert scene.run() == Summary(opened=1)


def test_workers_at_once_open_each_incident_once(scene) -> None:
    episodes = [scene.opening() for _ in range(20)]
    workers = [scene.worker() for _ in range(3)]
    summaries: list[Summary] = []
    threads = [
        threading.Thread(target=lambda worker=worker: summaries.append(scene.run(worker)))
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(each.opened for each in summaries) == 20
    assert sorted(each["correlation_id"] for each in scene.incidents()) == sorted(
        map(str, episodes)
    )


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_faults_ends_with_one_open_incident_for_each_open_episode(
    scene, seed: int
) -> None:
    chance = random.Random(seed)
    episodes = {uuid4(): [0, "resolve"] for _ in range(6)}
    wraps = [DiesAfterCreate, DiesBeforeCreate, DiesAfterChange, LosesCreate, Wrapped, Wrapped]
    plans = [
        Plan(),
        Plan(lose_answer=LostAnswer(methods=("POST", "PATCH"))),
        Plan(fail=Failure(429, retry_after_s=30)),
        Plan(fail=Failure(500, count=2)),
        Plan(fail=Failure(200, methods=("GET", "POST"))),
        Plan(unknown_query_fields=("correlation_id",)),
    ]
    following = {"resolve": ["reopen"], "open": ["update", "resolve"]}
    for _ in range(25):
        episode = chance.choice(list(episodes))
        number, last = episodes[episode]
        now = "open" if last != "resolve" else last
        kind = chance.choice(following[now]) if number else "open"
        scene.transition(kind, episode, number + 1)
        episodes[episode] = [number + 1, kind]
        scene.servicenow.plan(chance.choice(plans))
        try:
            scene.run(scene.worker(wrap=chance.choice(wraps)))
        except Killed:
            scene.let_time_pass(LEASE_S)
        scene.let_time_pass(chance.choice([0, 5, GRACE_S]))
    scene.servicenow.plan(Plan())
    for _ in range(4):
        scene.let_time_pass(3600)
        scene.run()
    assert None not in scene.outcomes()
    still_open = sorted(
        str(e) for e, (number, last) in episodes.items() if number and last != "resolve"
    )
    unfinished = [each for each in scene.incidents() if each["state"] in {"1", "2", "3"}]
    assert sorted(each["correlation_id"] for each in unfinished) == still_open
    of_episodes = [each["correlation_id"] for each in scene.incidents()]
    assert len(of_episodes) == len(set(of_episodes))
