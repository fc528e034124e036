"""Who else is in the lake's small world: compactors and readers, at any moment."""

from bisect import bisect_left
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from streaming import lake_files, lake_manifest
from streaming.compaction import Outcome, compact, due
from streaming.errors import OutageError
from streaming.lake_files import HOUR_MS, Claim
from streaming.lake_manifest import Hour
from streaming.lake_reader import LakeReader
from streaming.records import Record
from streaming.settings import CompactionSettings
from streaming.sinks.lake import claim_starts
from tests.unit.streaming.lake_simulation import NOON, WHERE, Crashed, World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AFTER = datetime(2030, 1, 1, tzinfo=UTC)


class Compactor:
    """Compacts one hour after another; it may sleep, or die, at each access to the store."""

    def __init__(self, world: World) -> None:
        self._world = world
        chance = world.chance
        self._settings = CompactionSettings(
            target_mb=chance.choice([0.02, 0.04, 1]),
            max_buffer_mb=chance.choice([0.001, 1, 1, 1]),
            grace_s=chance.choice([0, 0, 5]),
        )

    def step(self) -> None:
        """Compacts an hour, whether it is closed or not."""
        hours = hours_of(self._world)
        if hours:
            with suppress(OutageError, Crashed):
                self.compact(self._world.chance.choice(hours))

    def compact(self, hour: Hour) -> Outcome:
        return compact(self._world.store, hour, self._settings, lambda: self._world.now)

    def finish(self) -> None:
        """Compacts until there is nothing left to do, in a world without faults."""
        busy = True
        while busy:
            self._world.now += 1000
            hours = due(self._world.store, [WHERE.topic], self._settings, LONG_AFTER)
            done = [self.compact(hour) for hour in hours]
            busy = any(each.merged or each.deleted for each in done)


class Reader:
    """Reads what there is, by time or by offset, and holds it against the log."""

    def __init__(self, world: World) -> None:
        self._world = world

    def step(self) -> None:
        """Reads something."""
        by = self._world.chance.choice([self.read_by_time, self.read_by_offset])
        with suppress(OutageError, Crashed):
            by(*sorted(self._world.chance.choices(range(100), k=2)))

    def read_by_time(self, low: int, high: int) -> None:
        """Reads a range of timestamps, given in percent of the log's."""
        bounds = [NOON - HOUR_MS + percent * HOUR_MS // 20 for percent in (low, high)]
        due = [each for each in self.landed() if bounds[0] <= each.timestamp < bounds[1]]
        since, until = (EPOCH + timedelta(milliseconds=each) for each in bounds)
        found = sorted(
            record
            for table in LakeReader(self._world.store).tables(WHERE.topic, since, until)
            for record in lake_files.records(table)
        )
        log = [each for each in self._world.log if bounds[0] <= each.timestamp < bounds[1]]
        offsets = [each.offset for each in found]
        assert len(set(offsets)) == len(offsets), f"read twice: {offsets}"
        assert set(offsets) >= {each.offset for each in due}, f"lost of {due}: {offsets}"
        assert found == [each for each in log if each.offset in set(offsets)]

    def read_by_offset(self, low: int, high: int) -> None:
        """Reads a range of offsets, given in percent of what the lake has."""
        landed = self.landed()
        if not landed:
            return
        begin, size = self._world.start, landed[-1].offset + 1 - self._world.start
        start, end = begin + size * low // 100, begin + size * high // 100
        position, found = start, []
        for each in LakeReader(self._world.store).slices(WHERE, start, end):
            assert each.start == position
            assert all(each.start <= offset < each.next for offset in each.records.offsets)
            position = each.next
            found += list(each.records)
        assert position == end, f"{position} is not {end}"
        assert found == [each for each in self._world.log if start <= each.offset < end]

    def landed(self) -> list[Record]:
        """Returns the records of all claims that are complete."""
        objects, position = self._world.store.objects, self._world.start
        while body := objects.get(lake_files.claim_key(WHERE, position)):
            claim = Claim.decode(body, "")
            if claim.key not in self._world.store.ever:
                break
            position = claim.next
            is_last = lake_files.claim_key(WHERE, position) not in objects
            assert not is_last or claim.key in objects, f"{claim.key} was not spared"
        log = self._world.log
        return log[: bisect_left(log, position, key=lambda each: each.offset)]


def hours_of(world: World) -> list[Hour]:
    """Returns the hours that have files."""
    raw = [key for key in list(world.store.objects) if key.startswith("raw/")]
    return sorted({lake_manifest.hour_of(key) for key in raw})


def check(world: World) -> None:
    """Asserts that readers find the log, and that nothing is there that nobody needs."""
    store = world.store
    Reader(world).read_by_offset(0, 100)
    whole = LakeReader(store).tables(WHERE.topic)
    found = sorted(each for table in whole for each in lake_files.records(table))
    assert found == world.log
    last = max(claim_starts(store, WHERE))
    surveyed = lake_manifest.survey(store, WHERE.topic)
    assert [each.start for of in surveyed.values() for each in of.replaced] in ([], [last])
    looked_at = lake_manifest.files(store, f"topic={WHERE.topic}/")
    for hour, number, key in lake_manifest.merged_objects(store, f"topic={WHERE.topic}/"):
        if hour in looked_at and number <= surveyed[hour].manifest.number:
            assert key in {each.key for each in surveyed[hour].manifest.objects}
