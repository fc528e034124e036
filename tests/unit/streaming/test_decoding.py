"""What is an event, what is not, and why: the table of the contract's cases."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streaming.contracts import Envelope
from streaming.decoding import Decoder, Reason, Rejected, arrival, kafka_time, moment
from streaming.records import Record, Records

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
NOON_US = NOON_MS * 1000
US = timedelta(microseconds=1)
MS = timedelta(milliseconds=1)
DEVICE = "VM-004211"

ENVELOPE: dict[str, Any] = {
    "event_id": "0190d5a8-0000-7000-8000-000000000001",
    "schema_version": "1.0",
    "device_id": DEVICE,
    "site_id": "SITE-0107",
    "seq": 1,
    "boot_id": "0190d5a8-0000-7000-8000-000000000002",
    "event_ts": "2026-03-01T12:00:00.000Z",
    "gateway_ts": "2026-03-01T12:00:00.000Z",
    "spooled": False,
    "fw": "1.2.3",
    "model": "COLD-300",
}
EVENTS: dict[str, dict[str, Any]] = {
    "telemetry.raw": ENVELOPE | {"event_type": "telemetry", "cabinet_temp_c": 4.5},
    "heartbeat.raw": ENVELOPE | {"event_type": "heartbeat", "status": "ok", "interval_s": 60},
    "alerts.raw": ENVELOPE
    | {
        "event_type": "alert",
        "alert_id": "a-1",
        "code": "COIN_JAM",
        "component": "coin",
        "state": "raised",
        "severity": 3,
    },
}


def text(topic: str = "telemetry.raw", **changes: object) -> bytes:
    return json.dumps(EVENTS[topic] | changes).encode()


@dataclass(frozen=True)
class Event:
    """A record that was found to be an event."""

    envelope: Envelope
    event_ts: int
    gateway_ts: int | None
    arrival: int


Verdict = Event | Rejected | None


def judge_all(topic: str, *rows: Record) -> list[Verdict]:
    """Returns a verdict for each record; None for a tombstone."""
    judged = Decoder(topic).judge(Records.of(rows))
    columns = (judged.envelopes, judged.event_ts, judged.gateway_ts, judged.arrivals)
    events = dict(zip(judged.events, map(Event, *columns), strict=True))
    assert sorted([*judged.events, *judged.tombstones, *judged.rejected]) == list(range(len(rows)))
    return [judged.rejected.get(number, events.get(number)) for number in range(len(rows))]


def judge(
    payload: bytes | None,
    topic: str = "telemetry.raw",
    key: bytes | None = DEVICE.encode(),
    timestamp: int = NOON_MS,
) -> Verdict:
    """Returns the verdict on a record that stands among others, good and bad."""
    good = Record(0, NOON_MS, 1, DEVICE.encode(), None, text(topic))
    broken = Record(1, NOON_MS, 1, b"VM-0", None, b"{")
    it = Record(2, timestamp, 1, key, None, payload)
    tombstone = Record(3, NOON_MS, 1, DEVICE.encode(), None, None)
    first, bad, verdict, none, last = judge_all(topic, good, broken, it, tombstone, good)
    assert isinstance(first, Event)
    assert isinstance(last, Event)
    assert isinstance(bad, Rejected)
    assert none is None
    assert judge_all(topic, it) == [verdict]  # whatever stands beside it
    return verdict


def reason(payload: bytes, topic: str = "telemetry.raw") -> Reason | None:
    verdict = judge(payload, topic)
    return verdict.reason if isinstance(verdict, Rejected) else None


@pytest.mark.parametrize("topic", EVENTS)
def test_an_event_that_keeps_its_contract_is_accepted(topic: str) -> None:
    verdict = judge(text(topic), topic)
    assert isinstance(verdict, Event)
    assert (verdict.envelope.device_id, verdict.envelope.site_id) == (DEVICE, "SITE-0107")
    assert (verdict.event_ts, verdict.gateway_ts, verdict.arrival) == (NOON_US,) * 3


def test_a_tombstone_is_no_event_and_no_fault() -> None:
    assert judge(None) is None
    assert judge(None, key=None) is None


@pytest.mark.parametrize(
    "payload",
    [
        text(unknown={"deep": [1, None, {"er": "ä€😀"}]}),
        b" \r\n\t" + text() + b" ",
        text().replace(b'"seq": 1', b'"seq": 1, "seq": 2'),
        text(cabinet_temp_c=None),
        text(cabinet_temp_c=-40),
        text(cabinet_temp_c=85.0),
        text(cabinet_temp_c=0.0),
        text().replace(b"4.5", b"-0.0e0"),
        text().replace(b"4.5", b"0e-999"),
        text().replace(b"4.5", b"1e-300"),
        text(seq=2**63 - 1),
        text(seq=-(2**63)),
        text(rssi_dbm=-150),
        text(coin_tubes={"50": 2**31 - 1}),
        text(slots=[{"slot": "A1", "qty": 3, "capacity": 10, "price_minor": 250, "more": 1}]),
        text(model="\\u0000"),
        text(gateway_ts=None),
        text(event_ts="2026-03-01T14:00:00+02:00"),
        text(event_ts="2026-03-01T12:00:00.123456Z"),
        text(schema_version="1.7"),
    ],
)
def test_what_is_unusual_and_sound_is_accepted(payload: bytes) -> None:
    assert isinstance(judge(payload), Event)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"{",
        text()[:-1],
        text() + b"}",
        text() + text(),
        text().replace(b"4.5", b"NaN"),
        text().replace(b"4.5", b"Infinity"),
        text().replace(b"4.5", b"04.5"),
        text().replace(b"4.5", b"'x'"),
        text(model="\ud800"),
        text(unknown="\udfff"),
        text(model="?").replace(b"?", b"\xff"),
        text(unknown="?").replace(b"?", b"\xc3"),
        text(unknown="?").replace(b"?", b"\xed\xa0\x80"),
        text(unknown="?").replace(b"?", b"\x01"),
        text().decode().encode("utf-16"),
        b"\xef\xbb\xbf" + text(),
    ],
)
def test_what_is_not_json_in_utf8_is_malformed(payload: bytes) -> None:
    assert reason(payload) is Reason.MALFORMED


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{}",
        text(cabinet_temp_c=85.01),
        text(cabinet_temp_c=-40.01),
        text(cabinet_temp_c="4.5"),
        text(cabinet_temp_c=True),
        text().replace(b"4.5", b"1e400"),
        text(seq=2**63),
        text(seq="1"),
        text(seq=1.5),
        text(seq=None),
        text(rssi_dbm=-151),
        text(vends_ok_total=-1),
        text(coin_tubes={"50": 2**31}),
        text(slots=[{"slot": "A1"}]),
        text(slots={}),
        text(currency="eur"),
        text(device_id=""),
        text(device_id="x" * 129),
        text(device_id=7),
        text(event_id="not a uuid"),
        text(schema_version="2.0"),
        text(spooled="no"),
        text(event_ts="2026-03-01T12:00:00"),
        text(event_ts="2026-03-01"),
        text(event_ts="2026-02-29T12:00:00Z"),
        text(event_ts="0000-01-01T00:00:00Z"),
        text(event_ts="0001-01-01T00:00:00+01:00"),
        text(event_ts="9999-12-31T23:59:59-01:00"),
        text(event_ts=1772366400000),
        text(gateway_ts="9999-12-31T23:59:59-01:00"),
    ],
)
def test_what_breaks_its_contract_is_said_so(payload: bytes) -> None:
    assert reason(payload) is Reason.CONTRACT


@pytest.mark.parametrize(
    "missing", [name for name in ENVELOPE if name not in ("gateway_ts", "spooled")]
)
def test_a_missing_field_is_named(missing: str) -> None:
    event = {name: value for name, value in EVENTS["telemetry.raw"].items() if name != missing}
    verdict = judge(json.dumps(event).encode())
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.CONTRACT
    assert f"`{missing}`" in verdict.detail


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("heartbeat.raw", {"status": "fine"}),
        ("heartbeat.raw", {"interval_s": 0}),
        ("heartbeat.raw", {"interval_s": 86_401}),
        ("alerts.raw", {"state": "open"}),
        ("alerts.raw", {"severity": 0}),
        ("alerts.raw", {"severity": 6}),
        ("alerts.raw", {"attrs": []}),
    ],
)
def test_each_topic_has_bounds_of_its_own(topic: str, changes: dict[str, object]) -> None:
    assert reason(text(topic, **changes), topic) is Reason.CONTRACT


@pytest.mark.parametrize(
    "payload",
    [
        text(model="a\x00b"),
        text(unknown="\x00"),
        text(unknown={"\x00": 1}),
        text(model="\\\x00"),
        text().replace(b"4.5", b"1e-400"),
        text().replace(b"4.5", b"-0.0000000001e-320"),
    ],
)
def test_what_postgres_cannot_work_with_is_unstorable(payload: bytes) -> None:
    assert reason(payload) is Reason.UNSTORABLE


@pytest.mark.parametrize("key", [None, b"", b"VM-004212", b"\x00\xff", b"VM-004211 "])
def test_a_key_that_is_not_the_device_is_told(key: bytes | None) -> None:
    verdict = judge(text(), key=key)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.KEY_MISMATCH
    assert (verdict.device_id, verdict.arrival) == (None, None)


@pytest.mark.parametrize(
    ("behind_gateway", "spooled", "fault"),
    [
        (timedelta(minutes=-5), False, False),
        (timedelta(minutes=-5) - MS, False, True),
        (timedelta(minutes=-5) - MS, True, True),
        (timedelta(hours=24), False, False),
        (timedelta(hours=24) + MS, False, True),
        (timedelta(hours=24) + MS, True, False),
    ],
)
def test_a_clock_that_cannot_be_right_is_a_fault_and_still_a_sign_of_life(
    behind_gateway: timedelta, spooled: bool, fault: bool
) -> None:
    event_ts = (NOON - behind_gateway).isoformat(timespec="milliseconds")
    verdict = judge(text(event_ts=event_ts, spooled=spooled))
    assert isinstance(verdict, Rejected) is fault
    if isinstance(verdict, Rejected):
        assert verdict.reason is Reason.CLOCK_FAULT
        assert (verdict.device_id, verdict.arrival) == (DEVICE, NOON_US)


@pytest.mark.parametrize(
    ("ahead_of_kafka", "believed"),
    [
        (timedelta(0), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5) + MS, False),
        (timedelta(days=-20), True),
        (timedelta(days=-20) - MS, False),
    ],
)
def test_arrival_is_the_collectors_unless_that_is_unbelievable(
    ahead_of_kafka: timedelta, believed: bool
) -> None:
    gateway = NOON_US + ahead_of_kafka // US
    assert arrival(gateway, NOON_US) == (gateway if believed else NOON_US)


def test_without_a_collectors_clock_kafkas_counts() -> None:
    assert arrival(None, NOON_US) == NOON_US


@pytest.mark.parametrize(
    ("milliseconds", "reason"),
    [
        (-1, Reason.CLOCK_FAULT),
        (-210_866_803_200_000, Reason.CLOCK_FAULT),
        (-210_866_803_200_001, Reason.UNSTORABLE),
        (9_224_318_015_999_999, Reason.CLOCK_FAULT),
        (9_224_318_016_000_000, Reason.UNSTORABLE),
        (-(2**63), Reason.UNSTORABLE),
        (2**63 - 1, Reason.UNSTORABLE),
    ],
)
def test_an_absurd_kafka_timestamp_is_no_obstacle(milliseconds: int, reason: Reason) -> None:
    assert moment(kafka_time(milliseconds)).tzinfo is UTC
    verdict = judge(text(), timestamp=milliseconds)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason


def test_a_tombstone_whose_kafka_timestamp_postgres_cannot_hold_is_unstorable() -> None:
    verdict = judge(None, timestamp=2**63 - 1)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.UNSTORABLE
