"""The ODS sink's compare-and-set: whoever lands what, all of a flush is there or none, once."""

import random
from collections.abc import Callable
from itertools import count

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from streaming.errors import FencedError
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import OdsSettings
from streaming.sinks.ods import OdsSink
from tests.integration.landing.records import alert

NOON = 1_772_366_400_000
WRITERS = 3
SHARED = 2
PAYLOADS = [alert(), b"{", None]
NUMBERS = count()
"""Each example has partitions of its own, and so needs no database of its own."""


def test_of_any_writers_in_any_order_all_of_a_flush_lands_or_none(
    sandbox_env: dict[str, str], fresh_database: Callable[[], str]
) -> None:
    prefix = "FLEETPULSE_ODS__"
    ods = OdsSettings.model_validate(
        {
            "host": sandbox_env[f"{prefix}HOST"],
            "port": sandbox_env[f"{prefix}PORT"],
            "database": fresh_database(),
            "passwords": {
                role: sandbox_env[f"{prefix}PASSWORDS__{role.upper()}"]
                for role in ("owner", "consumer")
            },
        }
    )

    class Flushes(RuleBasedStateMachine):
        @initialize(seed=st.integers(0, 2**32))
        def begin(self, seed: int) -> None:
            self.chance = random.Random(seed)
            self.owner = psycopg.connect(ods.url("owner"), autocommit=True)
            self.shared = [PartitionId("alerts.raw", 0, next(NUMBERS)) for _ in range(SHARED)]
            self.landed = {where: [] for where in self.shared}
            self.next = dict.fromkeys(self.shared, 0)
            self.writers = [OdsSink(ods.url("consumer")) for _ in range(WRITERS)]
            self.believed = [self.opened(writer) for writer in self.writers]

        def opened(self, writer: OdsSink) -> dict[PartitionId, int]:
            return {where: writer.open(where, "id", 0).next_offset for where in self.shared}

        @rule(number=st.integers(0, WRITERS - 1))
        def open_again(self, number: int) -> None:
            self.believed[number] = self.opened(self.writers[number])
            assert self.believed[number] == self.next

        @rule(number=st.integers(0, WRITERS - 1))
        def lose_the_connection(self, number: int) -> None:
            self.writers[number].close()

        @rule(
            number=st.integers(0, WRITERS - 1),
            lengths=st.tuples(*[st.integers(0, 5)] * SHARED).filter(any),
        )
        def flush(self, number: int, lengths: tuple[int, ...]) -> None:
            writer, believed = self.writers[number], self.believed[number]
            slices = [
                self.read(where, believed[where], length)
                for where, length in zip(self.shared, lengths, strict=True)
                if length
            ]
            current = all(each.start == self.next[each.partition] for each in slices)
            try:
                writer.land(writer.pack(slices))
            except FencedError:
                assert not current
                return
            assert current
            for each in slices:
                self.landed[each.partition] += [(at.offset, at.payload) for at in each.records]
                self.next[each.partition] = believed[each.partition] = each.next

        def read(self, where: PartitionId, start: int, length: int) -> Slice:
            """Returns a slice in which some offsets have no record."""
            records = Records.of(
                Record(
                    offset, 1_772_366_400_000, 1, b"VM-000001", None, self.chance.choice(PAYLOADS)
                )
                for offset in range(start, start + length)
                if self.chance.random() < 0.8
            )
            return Slice(where, start, start + length, records)

        @invariant()
        def what_is_there_is_what_was_landed(self) -> None:
            for where in self.shared:
                rows = self.owner.execute(
                    "select \"offset\", convert_to(payload::text, 'UTF8')"
                    ' from landing.alerts_raw where "partition" = %(number)s'
                    ' union all select "offset", payload from landing.quarantine'
                    ' where "partition" = %(number)s order by 1',
                    {"number": where.partition},
                ).fetchall()
                assert rows == self.landed[where]

        def teardown(self) -> None:
            for writer in self.writers:
                writer.close()
            self.owner.close()

    run_state_machine_as_test(
        Flushes, settings=settings(max_examples=20, stateful_step_count=20, deadline=None)
    )
