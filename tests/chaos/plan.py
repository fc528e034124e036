"""Which faults befall which round: decided by the seed alone."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PROTOCOLS = ("classic", "consumer")
LONGEST_GAP_S = 1.0


class Planned(NamedTuple):
    """A fault, how long after the last one, and what decides its details."""

    fault: str
    gap_s: float
    seed: int


class Round(NamedTuple):
    """One round: what each lane's faults do happens at the same time as what the other's do."""

    number: int
    seed: int
    protocol: str
    lanes: tuple[tuple[Planned, ...], ...]

    @property
    def faults(self) -> list[str]:
        return [each.fault for lane in self.lanes for each in lane]


def rounds(
    seed: int, count: int, of_consumers: Sequence[str], of_systems: Sequence[str]
) -> list[Round]:
    """Returns the plan of a run.

    Each kind of fault is a deck that is dealt to its end before it is shuffled again: in enough
    rounds each fault has its turn. A fifth of the rounds has one fault alone, the others several,
    one after the other or of both kinds at once.
    """
    chance = random.Random(seed)
    consumers, systems = _deal(chance, of_consumers), _deal(chance, of_systems)

    def planned(fault: str) -> Planned:
        return Planned(fault, round(chance.uniform(0, LONGEST_GAP_S), 2), chance.getrandbits(32))

    def lanes() -> tuple[tuple[Planned, ...], ...]:
        shape = chance.random()
        if shape < 0.2:
            return ((planned(next(chance.choice([consumers, systems]))),),)
        if shape < 0.5:
            decks = [consumers, systems] * 2
            chance.shuffle(decks)
            return (tuple(planned(next(deck)) for deck in decks[:3]),)
        return (
            tuple(planned(next(consumers)) for _ in range(chance.randint(2, 3))),
            tuple(planned(next(systems)) for _ in range(chance.randint(1, 2))),
        )

    return [
        Round(number, chance.getrandbits(32), chance.choice(PROTOCOLS), lanes())
        for number in range(1, count + 1)
    ]


def _deal(chance: random.Random, faults: Sequence[str]) -> Iterator[str]:
    while True:
        yield from chance.sample(faults, len(faults))
