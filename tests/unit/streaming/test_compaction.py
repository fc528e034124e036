"""Whoever is overtaken, or dies, at whichever access to the store: each record stays there once.

Here each access in turn is interrupted, and others do all they can; `test_lake_protocol` has chance
decide.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count, repeat
from typing import TypeVar

import pytest

from streaming import lake_files
from streaming.compaction import compact
from streaming.lake_reader import LakeReader
from streaming.records import Record, Records, Slice
from streaming.settings import CompactionSettings, LandingSettings
from streaming.sinks.lake import LakeSink, read_tail
from tests.unit.streaming.compaction_simulation import Compactor, check, hours_of
from tests.unit.streaming.lake_simulation import WHERE, Crashed, World, Writer

Result = TypeVar("Result")
SETTINGS = CompactionSettings(grace_s=0, target_mb=0.0105)  # of two files, it is large enough


def small_files() -> World:
    """Some files in each of three hours; the log goes on."""
    world = World(random.Random(3))
    world.log = [each._replace(payload=world.chance.randbytes(1000)) for each in world.log]
    world.store.unwell = False
    land(world, 10)
    return world


def merged_and_small_files() -> World:
    """The same after compaction, and more small files in the same hours."""
    world = small_files()
    Compactor(world).finish()
    land(world, 14)
    return world


def land(world: World, records: int) -> None:
    """Lands the log up to a number of records, two a file."""
    nothing_more = partial(Slice, WHERE, records=Records())
    sink = LakeSink(world.store, LandingSettings())
    opened = sink.open(WHERE, world.start, None, lambda start: nothing_more(start, start))
    for number in range(len(world.records(world.start, opened.taken)), records, 2):
        pair = world.log[number : number + 2]
        world.ods.next_offset = pair[-1].offset + 1
        opened.take(Slice(WHERE, opened.taken, world.ods.next_offset, Records.of(pair)))
        opened.land(all_of_it=True)


@pytest.fixture(params=[small_files, merged_and_small_files])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.param()
    return made


def interrupted(
    world: World, work: Callable[[], Result], then: Callable[[], None]
) -> Iterator[Result]:
    """Yields what some work returns, again and again from the same state of the world.

    Each time `then` is done within it, just before another one of its accesses to the store.
    """
    store, ods = world.store, dict(vars(world.ods))
    objects, ever = dict(store.objects), set(store.ever)
    for number in count():
        left = repeat(None, number)

        def turn(left: Iterator[None] = left) -> None:
            if next(left, then) is then:
                store.turn = nothing
                then()

        vars(world.ods).update(ods)
        store.objects, store.ever, store.turn = dict(objects), set(ever), turn
        result = work()
        if store.turn is turn:  # all its accesses have been interrupted
            assert number > 1
            store.turn = nothing
            return
        yield result


def nothing() -> None:
    """Nobody else is there."""


def compact_all(world: World) -> None:
    for _ in range(2):  # merge, then delete
        for hour in hours_of(world):
            compact(world.store, hour, SETTINGS, lambda: world.now)


def records_of(world: World) -> list[Record]:
    return world.records(world.start, world.ods.next_offset)


def by_time(world: World) -> list[Record]:
    tables = LakeReader(world.store).tables(WHERE.topic)
    return [record for table in tables for record in lake_files.records(table)]


def by_offset(world: World) -> list[Record]:
    slices = LakeReader(world.store).slices(WHERE, world.start, world.ods.next_offset)
    return [record for each in slices for record in each.records]


def assert_sound(world: World) -> None:
    assert sorted(by_time(world)) == by_offset(world) == records_of(world)


@pytest.mark.parametrize("read", [by_time, by_offset])
def test_a_reader_may_be_overtaken(world: World, read: Callable[[World], list[Record]]) -> None:
    for found in interrupted(world, partial(read, world), partial(compact_all, world)):
        assert sorted(found) == records_of(world)


def test_a_compactor_may_be_overtaken(world: World) -> None:
    def merge() -> None:
        for hour in hours_of(world):
            compact(world.store, hour, SETTINGS, lambda: world.now)

    for _ in interrupted(world, merge, partial(compact_all, world)):
        assert_sound(world)


def test_a_compactor_may_be_killed(world: World) -> None:
    def attempt() -> None:
        with suppress(Crashed):
            compact_all(world)

    def die() -> None:
        raise Crashed

    for _ in interrupted(world, attempt, die):
        assert_sound(world)
        compact_all(world)
        assert_sound(world)


def test_who_reads_the_chain_while_it_is_compacted_takes_no_object_for_lost(world: World) -> None:
    def go_on() -> None:
        Writer(world).finish()
        compact_all(world)

    read = partial(read_tail, world.store, WHERE, world.start, None)
    for tail in interrupted(world, read, go_on):
        assert tail.claim is None


def test_in_the_end_nothing_is_there_that_nobody_needs(world: World) -> None:
    Writer(world).finish()
    Compactor(world).finish()
    check(world)
