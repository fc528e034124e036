"""All faults by name. Each is made, waited for and mended here; it returns how often it befell."""

import random
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

from tests.chaos import proxy
from tests.chaos.arena import SLOTS, Arena, pause, until
from tests.chaos.steps import LANDING, LEAVING, OPENING, RECOVERY, Order

BEFALLS_WITHIN_S = 40
RECOVERS_WITHIN_S = 10
RECOVERIES = 5
NOTICED_WITHIN_S = 30
OUTAGE_S = 2.0
TORMENTED = 8
"""Requests that fall to a fault of S3, at least: of two that are one put, one may get through."""

Fault = Callable[[Arena, random.Random], int]


def killed_landing(step: str, arena: Arena, chance: random.Random) -> int:
    return _dies(arena, Order(step, chance.randint(1, 3)))


def killed_opening(step: str, arena: Arena, chance: random.Random) -> int:
    arena.kill(chance.randrange(SLOTS))
    return _dies(arena, Order(step), provoke=arena.revive)


def killed_recovering(step: str, arena: Arena, chance: random.Random) -> int:
    for _ in range(RECOVERIES):
        # Whoever opens the partition that this one was about to claim fills the lake, and claims
        # if there is enough for a file.
        _dies(arena, Order("before the claim", chance.randint(1, 3)))
        arena.kill_all()
        if _dies(arena, Order(step), arena.revive, RECOVERS_WITHIN_S):
            return 1
    return 0


def killed_leaving(step: str, arena: Arena, chance: random.Random) -> int:
    slot = chance.randrange(SLOTS)
    return _dies(arena, Order(step), provoke=lambda: arena.ask_to_leave(slot))


def _dies(
    arena: Arena,
    order: Order,
    provoke: Callable[[], None] = lambda: None,
    within_s: float = BEFALLS_WITHIN_S,
) -> int:
    """Returns 1 when one has died by an order, 0 when none has in time; starts another."""
    victim = arena.carry_out(order, within_s, provoke)
    arena.revive()
    return int(victim is not None)


def answer_lost(arena: Arena, chance: random.Random) -> int:
    order = Order("after the database's commit", chance.randint(1, 3), "lose the answer")
    return int(arena.carry_out(order, BEFALLS_WITHIN_S) is not None)


def killed_anytime(arena: Arena, chance: random.Random) -> int:
    pause(chance.random())
    arena.kill(chance.randrange(SLOTS))
    arena.revive()
    return 1


def frozen(arena: Arena, chance: random.Random) -> int:
    """A zombie: others have its partitions when it wakes up."""
    zombie = arena.crew[chance.randrange(SLOTS)]
    zombie.send(signal.SIGSTOP)
    before = arena.told("assigned")
    inherited = until(lambda: arena.told("assigned") > before, BEFALLS_WITHIN_S)
    pause(chance.random())
    zombie.send(signal.SIGCONT)
    pause(chance.random())
    return int(inherited)


def moved(arena: Arena, chance: random.Random) -> int:
    slot = chance.randrange(SLOTS)
    arena.leave(slot)
    arena.start(slot)
    pause(chance.uniform(0, 2))
    return 1


def moved_and_killed(arena: Arena, chance: random.Random) -> int:
    """One leaves, one joins, and a third is killed while partitions move."""
    leaver, killed = chance.sample(range(SLOTS), 2)
    arena.leave(leaver)
    arena.start(leaver)
    pause(chance.uniform(0, 1.5))
    arena.kill(killed)
    arena.revive()
    return 1


def clock_jumps(way: signal.Signals, arena: Arena, chance: random.Random) -> int:
    """The clock jumps, and some time later back."""
    process = arena.ready(chance.randrange(SLOTS))

    def jumps() -> int:
        return process.output.count("chaos: the clock jumps")

    before = jumps()
    for number in (1, 2):
        process.send(way)
        until(lambda number=number: jumps() - before >= number, BEFALLS_WITHIN_S)
        pause(chance.uniform(0.5, 2))
    return jumps() - before


def gone(server: str, how: signal.Signals, arena: Arena, chance: random.Random) -> int:
    with arena.without(server, how):
        pause(chance.uniform(0, OUTAGE_S))
    return 1


def sessions_terminated(arena: Arena, chance: random.Random) -> int:
    terminated = 0
    for _ in range(4):
        pause(chance.random())
        terminated += arena.terminate_sessions()
    return terminated


def disk_full(arena: Arena, chance: random.Random) -> int:
    return _noticed(arena, "No space left on device", arena.disk_full)


def read_only(arena: Arena, chance: random.Random) -> int:
    return _noticed(arena, "read-only", arena.read_only)


def _noticed(arena: Arena, words: str, state: Callable[[], AbstractContextManager[None]]) -> int:
    before = arena.told("outage", words)
    with state():
        until(lambda: arena.told("outage", words) > before, NOTICED_WITHIN_S)
        pause(0.5)
    return arena.told("outage", words) - before


def requests(fault: str, arena: Arena, chance: random.Random) -> int:
    before = arena.proxy.fired[fault]
    with arena.tormented(fault):
        until(lambda: arena.proxy.fired[fault] >= before + TORMENTED, NOTICED_WITHIN_S)
        pause(chance.uniform(0, 2))
    return arena.proxy.fired[fault] - before


OF_CONSUMERS: Mapping[str, Fault] = {
    **{f"kill -9 {step}": partial(killed_landing, step) for step in LANDING},
    **{f"kill -9 {step}": partial(killed_opening, step) for step in OPENING},
    **{f"kill -9 {step}": partial(killed_recovering, step) for step in RECOVERY},
    **{f"kill -9 {step}": partial(killed_leaving, step) for step in LEAVING},
    "kill -9 at any moment": killed_anytime,
    "the answer to a commit is lost": answer_lost,
    "frozen past its session": frozen,
    "one leaves, one joins": moved,
    "one leaves, one joins, one is killed": moved_and_killed,
    "clock an hour ahead": partial(clock_jumps, signal.SIGUSR1),
    "clock an hour behind": partial(clock_jumps, signal.SIGUSR2),
}
OF_SYSTEMS: Mapping[str, Fault] = {
    "postgres: kill -9": partial(gone, "postgres", signal.SIGKILL),
    "postgres: restart": partial(gone, "postgres", signal.SIGINT),
    "postgres: sessions terminated": sessions_terminated,
    "postgres: disk full": disk_full,
    "postgres: read-only": read_only,
    **{f"s3: {fault}": partial(requests, fault) for fault in proxy.FAULTS},
    "s3: kill -9": partial(gone, "s3", signal.SIGKILL),
    "broker: kill -9": partial(gone, "kafka", signal.SIGKILL),
}
FAULTS = {**OF_CONSUMERS, **OF_SYSTEMS}
