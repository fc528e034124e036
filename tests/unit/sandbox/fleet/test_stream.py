"""The records: the same for the same seed, in the order of arrival, in the contract."""

import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from sandbox.fleet import FleetConfig, FleetConfigError, Plan, Record, make_plan, records
from sandbox.fleet.instants import MINUTE, SECOND
from sandbox.fleet.malformed import HUGE, KINDS, kind_of, malform
from sandbox.fleet.randomness import generator
from sandbox.fleet.registry import NEVER_REGISTERED
from streaming.contracts import CONTRACTS, Envelope
from streaming.decoding import Decoder, Rejected
from streaming.records import Record as KafkaRecord
from streaming.records import Records
from tests.unit.sandbox.fleet.oracle import ms

_DECODERS = {topic: Decoder(topic) for topic in CONTRACTS}
SUBSECONDS = re.compile(rb'T\d\d:\d\d:\d\d\.(\d+)Z"')
CONFIG = FleetConfig(
    devices=60,
    seed=11,
    start=datetime(2026, 3, 1, 12, 3, tzinfo=UTC),
    history=timedelta(minutes=90),
    live=timedelta(minutes=2),
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(CONFIG)


@pytest.fixture(scope="module")
def stream(plan: Plan) -> list[Record]:
    return list(records(plan))


@pytest.fixture(scope="module")
def events(stream: list[Record]) -> list[tuple[Record, Envelope]]:
    """The records that keep their contract, with their events."""
    decoders = {topic: msgspec.json.Decoder(contract) for topic, contract in CONTRACTS.items()}
    found = []
    for record in stream:
        try:
            found.append((record, decoders[record.topic].decode(record.value or b"")))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def test_the_same_seed_and_start_give_the_same_bytes(stream: list[Record]) -> None:
    assert list(records(make_plan(CONFIG))) == stream


def test_a_longer_run_begins_with_the_same_bytes(stream: list[Record]) -> None:
    longer = records(make_plan(replace(CONFIG, live=None)))
    assert [next(longer) for _ in stream] == stream


def test_another_seed_gives_other_bytes(stream: list[Record]) -> None:
    assert list(records(make_plan(replace(CONFIG, seed=12)))) != stream


def test_records_are_in_the_order_of_arrival_and_end_with_the_run(stream: list[Record]) -> None:
    assert all(a.arrival <= b.arrival for a, b in pairwise(stream))
    assert CONFIG.begin_ms <= stream[0].arrival < CONFIG.begin_ms + MINUTE
    assert CONFIG.end_ms - MINUTE < stream[-1].arrival < CONFIG.end_ms


def test_history_goes_over_into_live_time_without_a_gap(stream: list[Record]) -> None:
    assert max(b.arrival - a.arrival for a, b in pairwise(stream)) < 5 * SECOND


def test_each_topic_has_records_keyed_by_device(events: list[tuple[Record, Envelope]]) -> None:
    assert {record.topic for record, _ in events} == set(CONTRACTS)
    wrong = sum(record.key != event.device_id.encode() for record, event in events)
    assert wrong < 0.005 * len(events)


def test_kafka_s_timestamp_is_the_gateway_s_clock(events: list[tuple[Record, Envelope]]) -> None:
    for record, event in events:
        if event.gateway_ts is not None:
            # A malformed copy keeps the gateway's time of its original, 200 ms before at most.
            assert 0 <= record.timestamp - ms(event.gateway_ts) <= 200
        assert abs(record.timestamp - record.arrival) <= 400


def test_what_is_not_spooled_arrives_within_the_late_tolerance(
    events: list[tuple[Record, Envelope]],
) -> None:
    for record, event in events:
        age = record.timestamp - ms(event.event_ts)
        if not event.spooled and event.event_ts.year == CONFIG.start.year:
            assert -3 * SECOND < age < 5 * SECOND, event


def test_the_spool_is_sent_late_in_order_and_says_so(
    plan: Plan, events: list[tuple[Record, Envelope]]
) -> None:
    lost = [device for device in plan.devices if device.script and device.script.offline]
    assert lost
    late = defaultdict(list)
    for record, event in events:
        if event.spooled:
            late[event.device_id].append((record.timestamp - ms(event.event_ts), event.seq))
    for device in lost:
        ages, numbers = zip(*late[device.device_id], strict=True)
        assert max(ages) > 45 * SECOND
        assert sorted(numbers) == list(numbers)


def test_a_boot_begins_a_new_sequence_and_loses_the_counters(
    events: list[tuple[Record, Envelope]],
) -> None:
    numbers = defaultdict(list)
    for record, event in events:
        if record.key == event.device_id.encode() != NEVER_REGISTERED.encode():
            numbers[event.device_id, event.boot_id].append(event.seq)
    devices = [device for device, _ in numbers]
    assert len(devices) > len(set(devices))
    for sequence in numbers.values():
        assert sequence[0] == 1
        assert all(b - a in (0, 1) for a, b in pairwise(sequence))


def test_some_events_are_sent_twice_with_their_id(events: list[tuple[Record, Envelope]]) -> None:
    seen = defaultdict(int)
    for _, event in events:
        seen[event.event_id] += 1
    assert 2 in seen.values()


def test_instants_have_milliseconds(stream: list[Record]) -> None:
    instants = [at for record in stream for at in SUBSECONDS.findall(record.value or b"")]
    assert instants
    assert {len(digits) for digits in instants} == {3}


EXPECTED = {
    "truncated": "MALFORMED",
    "array": "CONTRACT",
    "empty": "MALFORMED",
    "not_utf8": "MALFORMED",
    "not_a_number": "MALFORMED",
    "overflow": "CONTRACT",
    "out_of_range": "CONTRACT",
    "string_for_number": "CONTRACT",
    "fraction_for_integer": "CONTRACT",
    "nul_escape": "UNSTORABLE",
    "lone_surrogate": "MALFORMED",
    "event_ts_1970": "CLOCK_FAULT",
    "event_ts_2999": "CLOCK_FAULT",
    "event_ts_year_0": "CONTRACT",
    "missing_field": "CONTRACT",
    "no_key": "KEY_MISMATCH",
    "disagreeing_key": "KEY_MISMATCH",
    "duplicate_key": "lands",
    "unknown_field": "lands",
    "unknown_device": "lands",
    "tombstone": "lands",
    HUGE: "lands",
}


@pytest.mark.parametrize("kind", [*KINDS, HUGE])
def test_a_malformed_record_is_what_its_kind_says(kind: str, stream: list[Record]) -> None:
    good = next(record for record in stream if record.topic == "heartbeat.raw")
    bad = malform(good, kind, generator("test"))
    judged = _judge(bad)
    assert (judged.reason if isinstance(judged, Rejected) else "lands") == EXPECTED[kind]
    if kind == HUGE and bad.value is not None:
        assert len(bad.value) == 1_000_000
    if isinstance(judged, Envelope):
        assert judged.event_id not in str(good.value)


def test_a_small_fleet_sends_every_kind_of_malformed_record(stream: list[Record]) -> None:
    kinds = {kind_of(rank, count) for rank in range(10) for count in range(3)}
    assert kinds == {*KINDS, HUGE}
    rejected = [judged for record in stream if isinstance(judged := _judge(record), Rejected)]
    assert {judged.reason for judged in rejected} == set(EXPECTED.values()) - {"lands"}
    assert 0.001 < len(rejected) / len(stream) < 0.02


def test_only_machines_without_a_part_send_malformed_records(
    plan: Plan, stream: list[Record]
) -> None:
    scripted = {device.device_id.encode() for device in plan.devices if device.script}
    suspects = {record.key for record in stream if isinstance(_judge(record), Rejected)}
    assert not suspects & scripted


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"devices": 59}, "--devices 59"),
        ({"devices": 0, "faults": False}, "--devices 0"),
        ({"history": timedelta(minutes=89)}, "--history 1:29:00"),
        ({"history": timedelta(days=2)}, "--history 2 days"),
        ({"live": timedelta(seconds=-1)}, "--for"),
        ({"start": datetime(2026, 3, 1)}, "--start 2026-03-01"),  # noqa: DTZ001
    ],
)
def test_a_run_that_makes_no_sense_is_refused_by_its_option(
    changes: dict[str, object], option: str
) -> None:
    with pytest.raises(FleetConfigError, match=option):
        replace(CONFIG, **changes)


def test_without_faults_a_small_and_short_fleet_runs_and_has_no_truth() -> None:
    quiet = make_plan(
        replace(CONFIG, devices=3, history=timedelta(0), live=timedelta(minutes=5), faults=None)
    )
    assert quiet.truth == ()
    assert len({record.key for record in records(quiet)}) >= 3


def _judge(record: Record) -> Envelope | Rejected | None:
    it = KafkaRecord(0, record.timestamp, 1, record.key, None, record.value)
    judged = _DECODERS[record.topic].judge(Records.of([it]))
    return judged.rejected.get(0) or next(iter(judged.envelopes), None)
