"""Whatever the writers and the store do, each record is in the lake exactly once."""

import random

import pytest

from tests.unit.streaming import compaction_simulation
from tests.unit.streaming.compaction_simulation import Compactor, Reader
from tests.unit.streaming.lake_simulation import World, Writer, check
from tests.unit.streaming.turns import Turns

RUNS = 150
RUNS_WITH_COMPACTION = 12


@pytest.mark.parametrize("writers", [1, 2, 3])
def test_the_chain_of_claims_covers_every_record_once(writers: int) -> None:
    for seed in range(RUNS):
        world = World(random.Random(seed * 10 + writers))
        # Who is not stepped is a zombie: it wakes up later and goes on with what it believes.
        crew = [Writer(world) for _ in range(writers)]
        for _ in range(world.chance.randint(10, 80)):
            world.chance.choice(crew).step()
        world.store.settle()
        Writer(world).finish()
        for zombie in crew:
            zombie.step()
        try:
            check(world)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {writers} writers: {error}") from error


@pytest.mark.parametrize("compactors", [1, 2])
def test_readers_find_every_record_once_before_while_and_after_it_is_compacted(
    compactors: int,
) -> None:
    for seed in range(RUNS_WITH_COMPACTION):
        world = World(random.Random(seed * 10 + compactors), most=200)
        try:
            compacted(world, compactors)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {compactors} compactors: {error}") from error


def compacted(world: World, compactors: int) -> None:
    turns = Turns(world.chance)
    world.store.turn = turns.pause
    world.store.unwell = False
    early = Writer(world)
    for _ in range(world.chance.randint(0, 150)):
        early.step()
    writers = [Writer(world) for _ in range(2)]
    crew = [Compactor(world) for _ in range(compactors)]
    readers = [Reader(world) for _ in range(2)]
    actors = [each.step for each in (*writers, *crew, *readers)]

    def weather() -> None:
        world.store.unwell = world.chance.random() < 0.3

    turns.run([*actors, weather], world.chance.randint(50, 1500))
    world.store.settle()
    Writer(world).finish()
    crew[0].finish()
    for zombie in writers:
        zombie.step()
    crew[0].finish()
    compaction_simulation.check(world)
