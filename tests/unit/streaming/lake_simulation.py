"""A small world for the lake's protocol: a log, an ODS offset, a store with faults, writers.

Everything is decided by one seeded generator, so a run that fails can be run again.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from streaming import lake_files
from streaming.errors import FencedError, OutageError
from streaming.lake_files import HOUR_MS, Claim
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import LandingSettings
from streaming.sinks.lake import LakeSink, read_claim

WHERE = PartitionId("alerts.raw", 0, 1)
NOON = 1_772_366_400_000


class Crashed(BaseException):
    """The writer's process is gone, in the middle of what it was doing."""


@dataclass
class Ods:
    """The ODS as the lake sees it: one offset, moved by compare-and-set, and the rows below it."""

    start: int
    next_offset: int
    lake_claim: int | None = None

    def move(self, start: int, end: int) -> bool:
        if self.next_offset != start:
            return False
        self.next_offset = end
        return True


class FaultyStore:
    """An object store in memory. While it is `unwell`, answers and writes get lost or come late.

    `turn` is called before each access: whoever else is there may go on first.
    """

    def __init__(self, chance: random.Random, ods: Ods) -> None:
        self.objects: dict[str, bytes] = {}
        self.unwell = True
        self.deadly = False
        self.turn: Callable[[], None] = lambda: None
        self.ever: set[str] = set()
        self._chance = chance
        self._ods = ods
        self._late: list[tuple[str, bytes | None]] = []

    def put_if_absent(self, key: str, body: bytes) -> bool:
        return self._write(key, body)

    def delete(self, key: str) -> None:
        self._write(key, None)

    def _write(self, key: str, body: bytes | None) -> bool:
        self.turn()
        self._some_late_ones_arrive()
        fault = self._fault()
        if fault == "late":
            self._late.append((key, body))
        if fault in ("late", "refused before"):
            raise OutageError("503")
        if fault == "crash before":
            raise Crashed
        done = self._take_effect(key, body)
        if fault == "answer lost":
            raise OutageError("timed out")
        if fault == "crash after":
            raise Crashed
        return done

    def get(self, key: str) -> bytes | None:
        self._may_fail()
        return self.objects.get(key)

    def exists(self, key: str) -> bool:
        self._may_fail()
        return key in self.objects

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self._may_fail()
        yield from sorted(key for key in self.objects if key.startswith(prefix) and key > after)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        self._may_fail()
        found = [(key, len(body)) for key, body in self.objects.items() if key.startswith(prefix)]
        yield from sorted(each for each in found if each[0] > after)

    def settle(self) -> None:
        """All that was under way arrives; from now on the store is well."""
        self.unwell = False
        for key, body in self._late:
            self._take_effect(key, body)
        self._late = []

    def _take_effect(self, key: str, body: bytes | None) -> bool:
        if body is None:
            self.objects.pop(key, None)
            return True
        if key in self.objects:
            return False
        self.ever.add(key)
        if key.startswith("_claims/"):
            claim = Claim.decode(body, key)
            assert claim.next <= self._ods.next_offset, f"{claim} passes the ODS"
        self.objects[key] = body
        return True

    def _fault(self) -> str:
        if not self.unwell:
            return ""
        faults = ["refused before", "answer lost", "late"]
        faults += ["crash before", "crash after"] * self.deadly
        return self._chance.choice(faults) if self._chance.random() < 0.35 else ""

    def _may_fail(self) -> None:
        self.turn()
        self._some_late_ones_arrive()
        if self.unwell and self._chance.random() < 0.1:
            if self.deadly and self._chance.random() < 0.3:
                raise Crashed
            raise OutageError("500")

    def _some_late_ones_arrive(self) -> None:
        for entry in list(self._late):
            if self._chance.random() < 0.1:
                self._late.remove(entry)
                self._take_effect(*entry)


@dataclass
class World:
    """One partition's log with gaps and changing hours, and who lands it."""

    chance: random.Random
    most: int = 60
    log: list[Record] = field(default_factory=list)
    log_start: int = 0
    end: int = 0
    now: float = 0.0

    def __post_init__(self) -> None:
        offset, timestamp = self.chance.choice([0, 0, 17]), NOON
        start = offset
        for _ in range(self.chance.randint(1, self.most)):
            offset += self.chance.choice([0, 0, 0, 0, 1, 7])
            timestamp += self.chance.choice([10, 1000, -5000, HOUR_MS // 8])
            self.log.append(Record(offset, timestamp, 1, b"VM-1", None, b"%d" % offset))
            offset += 1
        self.end = offset + self.chance.choice([0, 2])
        self.start = self.log_start = start
        self.ods = Ods(start, start)
        self.store = FaultyStore(self.chance, self.ods)

    def read(self, position: int, limit: int) -> tuple[list[Record], int]:
        """Returns what a poll gives, and the position after it."""
        found = self.records(position, self.end)[:limit]
        at_end = not found or found[-1] is self.log[-1]
        return found, self.end if at_end else found[-1].offset + 1

    def records(self, start: int, end: int) -> list[Record]:
        """Returns the records in [start, end)."""
        low, high = (bisect_left(self.log, at, key=lambda each: each.offset) for at in (start, end))
        return self.log[low:high]

    def retain(self) -> None:
        """Kafka drops some of what the ODS has landed, whether the lake has it or not."""
        self.log_start = self.chance.randint(self.log_start, self.ods.next_offset)


class Writer:
    """A consumer that does one step at a time; it may sleep for as long as it likes in between."""

    def __init__(self, world: World) -> None:
        self._world = world
        # Each has settings of its own: no two would cut the same files.
        self._settings = LandingSettings(
            file_max_age_s=world.chance.choice([1, 5, 50]),
            file_silence_s=world.chance.choice([2, 20]),
            max_buffer_mb=world.chance.choice([0.001, 1]),
            file_max_mb=world.chance.choice([0.0002, 0.001, 1]),
        )
        self._sink: LakeSink | None = None
        self._read: list[Record] = []
        self._position = self._ods_next = 0
        self._landed: list[Slice] = []

    def step(self) -> None:
        """Does something; outages end the step, a crash ends the process."""
        world = self._world
        world.now += world.chance.choice([0, 0, 0.5, 3, 30])
        world.store.deadly = world.chance.random() < 0.2
        if world.chance.random() < 0.05:
            world.retain()
        try:
            if self._sink is None:
                self.open()
            else:
                world.chance.choice([self.poll, self.poll, self.flush, self.land, self.land])()
        except OutageError:
            pass
        except (Crashed, FencedError):
            self._sink = None

    def open(self) -> None:
        world, ods = self._world, self._world.ods
        sink = LakeSink(world.store, self._settings, lambda: world.now)
        end, limit = ods.next_offset, world.chance.randint(1, 9)

        def read(start: int) -> Slice:
            records = world.records(start, end)[:limit]
            stop = records[-1].offset + 1 if len(records) == limit else max(start, end)
            return Slice(WHERE, start, stop, Records.of(records))

        opened = sink.open(WHERE, ods.start, ods.lake_claim, read)
        sink.add(opened)
        self._sink, self._lake = sink, opened
        self._position = self._ods_next = end
        self._read, self._landed = [], []

    def poll(self) -> None:
        if self._position < self._world.log_start:
            self._sink = None  # out of range: stopped, and started again
            return
        records, self._position = self._world.read(self._position, self._world.chance.randint(1, 9))
        self._read += records

    def flush(self) -> None:
        if self._position <= self._ods_next:
            return
        if self._world.ods.move(self._ods_next, self._position):
            read = Records.of(self._read)
            self._landed.append(Slice(WHERE, self._ods_next, self._position, read))
            self._ods_next, self._read = self._position, []
        else:
            self._sink = None  # fenced

    def land(self, *, all_of_it: bool | None = None) -> None:
        assert self._sink is not None
        if all_of_it is None:
            all_of_it = self._world.chance.random() < 0.2
        self._sink.take(self._landed)
        self._landed = self._landed[-1:]  # what is handed over twice is dropped
        self._sink.land()
        if all_of_it:
            self._lake.land(all_of_it=True)
        if self._lake.confirmed is not None and self._world.chance.random() < 0.5:
            ods = self._world.ods
            ods.lake_claim = max(ods.lake_claim or 0, self._lake.confirmed)

    def finish(self) -> None:
        """Lands everything there is, in a world without faults."""
        self.open()
        while self._position < self._world.end:
            self.poll()
        self.flush()
        self.land(all_of_it=True)


def check(world: World) -> None:
    """Asserts that the chain of claims covers the log once, and each object what it claims."""
    objects = dict(world.store.objects)
    position, chain = world.start, []
    while claim := read_claim(world.store, WHERE, position):
        assert claim.start == position
        body = objects[claim.key]
        inside = [record for record in world.log if claim.start <= record.offset < claim.next]
        assert list(lake_files.decode(body)) == inside, f"{claim} does not hold what it says"
        chain.append(claim)
        position = claim.next
    covered = [record for record in world.log if record.offset >= position]
    assert not covered, f"the chain ends at {position}, the log has {len(covered)} more"
    keys = {key for claim in chain for key in (claim.key, lake_files.claim_key(WHERE, claim.start))}
    assert set(objects) == keys, "there is an object that no claim names"
