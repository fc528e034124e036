"""Whatever the writers and the store do, each record is in the lake exactly once."""

import random

import pytest

from tests.unit.streaming.lake_simulation import World, Writer, check

RUNS = 150


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
