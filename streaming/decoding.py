"""Judges records against their topic's contract: events, tombstones, or rejected with a reason.

What is accepted here can be cast in Postgres without an error: one value that cannot would halt
every rule. What Postgres' `json` takes but its functions refuse (an escaped NUL, anywhere) is
rejected for the same reason.

Records are judged by the thousand, column by column: each test looks at all of them at once, and at
single ones only where it has failed. A record's reason is that of the first test that it fails.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import repeat
from operator import attrgetter, floordiv, sub
from typing import Any, cast, get_args

import msgspec

from streaming import pgcopy
from streaming.contracts import CONTRACTS, Envelope
from streaming.contracts.envelope import UUID_PATTERN, VERSION_PATTERN
from streaming.records import Records

Microseconds = int
"""A point in time in microseconds since 1970, or a span: integers compare five times as fast."""

EARLY: Microseconds = 5 * 60 * 1_000_000
"""An event may be this far ahead of its arrival; a collector's clock this far ahead of Kafka's."""
STALE: Microseconds = 24 * 3600 * 1_000_000
"""An event that was not spooled may be this much older than its arrival."""
ABSURD: Microseconds = 20 * 24 * 3600 * 1_000_000
"""A collector's clock further behind Kafka's than this is not believed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HEX = b"0123456789abcdefABCDEF-"
_NOT_ZERO = re.compile(rb"^[^eE]*[1-9]")


class Reason(StrEnum):
    """Why a record is in quarantine."""

    MALFORMED = "MALFORMED"
    """Not a JSON text in UTF-8."""
    CONTRACT = "CONTRACT"
    """A field is missing, of another type, or out of its range."""
    UNSTORABLE = "UNSTORABLE"
    """Valid JSON with a value that the database cannot work with."""
    KEY_MISMATCH = "KEY_MISMATCH"
    """The record's key is not its device_id, so the device's order is not kept."""
    CLOCK_FAULT = "CLOCK_FAULT"
    """The device's clock cannot be right; still a sign of life."""
    REFUSED = "REFUSED"
    """The database refused the record by itself; its message is the detail."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that breaks its contract; `device_id` and `arrival` make it a sign of life."""

    reason: Reason
    detail: str
    device_id: str | None = None
    arrival: Microseconds | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Records that were judged: each is an event, a tombstone (no value), or rejected.

    `events` and `tombstones` hold positions in the records, in order; the columns after them belong
    to `events`, and `rejected` is by position.
    """

    events: Sequence[int]
    envelopes: list[Envelope]
    event_ts: list[Microseconds]
    gateway_ts: list[Microseconds | None]
    arrivals: list[Microseconds]
    tombstones: list[int]
    rejected: dict[int, Rejected]


def kafka_time(milliseconds: int) -> Microseconds:
    """Returns a Kafka timestamp, clamped to the years 1 to 9999."""
    return min(max(milliseconds * 1000, _FIRST), _LAST)


def moment(microseconds: Microseconds) -> datetime:
    """Returns a point in time within the years 1 to 9999 as a datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def arrival(gateway_ts: Microseconds | None, kafka_ts: Microseconds) -> Microseconds:
    """Returns when an event arrived: by the collector, or by Kafka where that is unbelievable."""
    if gateway_ts is None or not (kafka_ts - ABSURD <= gateway_ts <= kafka_ts + EARLY):
        return kafka_ts
    return gateway_ts


class Decoder:
    """Judges the records of one topic."""

    def __init__(self, topic: str) -> None:
        contract = CONTRACTS[topic]
        self._decode: Callable[[Any], Envelope] = msgspec.json.Decoder(contract).decode
        self._floats = tuple(
            field.name for field in msgspec.structs.fields(contract) if float in _types(field.type)
        )

    def judge(self, records: Records) -> Judged:
        """Returns what the records are."""
        found, rejected = self._parse(records.payloads)
        _check_text(records.payloads, rejected)
        _check_stamps(records.timestamps, rejected)
        events: Sequence[int] = range(len(found))
        envelopes = found
        if rejected or None in found:
            events = [
                number
                for number, envelope in enumerate(found)
                if envelope is not None and number not in rejected
            ]
            envelopes = [found[number] for number in events]
        tombstones = [
            number
            for number, payload in enumerate(records.payloads)
            if payload is None and number not in rejected
        ]
        return self._judge_events(
            records, events, cast(list[Envelope], envelopes), tombstones, rejected
        )

    def _parse(
        self, payloads: list[bytes | None]
    ) -> tuple[list[Envelope | None], dict[int, Rejected]]:
        """Returns for each payload its envelope, or None."""
        found: list[Envelope | None] = []
        rejected: dict[int, Rejected] = {}
        left = iter(payloads)
        while len(found) < len(payloads):
            try:
                found.extend(map(self._decode, left))  # keeps what came before one that fails
            except msgspec.ValidationError as error:
                rejected[len(found)] = Rejected(Reason.CONTRACT, str(error))
                found.append(None)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                rejected[len(found)] = Rejected(Reason.MALFORMED, str(error))
                found.append(None)
            except RecursionError:
                rejected[len(found)] = Rejected(Reason.MALFORMED, "nested too deeply")
                found.append(None)
            except TypeError:
                if payloads[len(found)] is not None:
                    raise
                found.append(None)  # a tombstone
        return found, rejected

    def _judge_events(
        self,
        records: Records,
        events: Sequence[int],
        envelopes: list[Envelope],
        tombstones: list[int],
        rejected: dict[int, Rejected],
    ) -> Judged:
        every = len(events) == len(records)
        keys = records.keys if every else [records.keys[number] for number in events]
        stamps = records.timestamps if every else [records.timestamps[at] for at in events]
        bad: dict[int, Rejected] = {}
        _check_patterns(envelopes, bad)
        self._check_underflow(records, events, envelopes, bad)
        event_ts = _microseconds(map(attrgetter("event_ts"), envelopes))
        gateways = list(map(attrgetter("gateway_ts"), envelopes))
        gateway_ts = [at if at is None else (at - _EPOCH) // _MICROSECOND for at in gateways]
        _check_years("event_ts", event_ts, bad)
        _check_years("gateway_ts", gateway_ts, bad)
        devices = [each.device_id.encode() for each in envelopes]
        if devices != keys:
            for number, (device, key) in enumerate(zip(devices, keys, strict=True)):
                if device != key:
                    detail = _key_detail(key, envelopes[number].device_id)
                    bad.setdefault(number, Rejected(Reason.KEY_MISMATCH, detail))
        arrivals = _kafka_times(stamps)
        if gateway_ts.count(None) < len(gateway_ts):
            arrivals = list(map(arrival, gateway_ts, arrivals))
        _check_clocks(envelopes, event_ts, arrivals, bad)
        if not bad:
            return Judged(events, envelopes, event_ts, gateway_ts, arrivals, tombstones, rejected)
        rejected |= {events[number]: verdict for number, verdict in bad.items()}
        good = [number for number in range(len(events)) if number not in bad]
        return Judged(
            [events[number] for number in good],
            [envelopes[number] for number in good],
            [event_ts[number] for number in good],
            [gateway_ts[number] for number in good],
            [arrivals[number] for number in good],
            tombstones,
            rejected,
        )

    def _check_underflow(
        self,
        records: Records,
        events: Sequence[int],
        envelopes: list[Envelope],
        bad: dict[int, Rejected],
    ) -> None:
        """Rejects a field that is zero only as a double, not as written: Postgres refuses it."""
        suspects = {
            number
            for name in self._floats
            for number, value in enumerate(map(attrgetter(name), envelopes))
            if value == 0.0
        }
        for number in suspects:
            written = _FIELDS.decode(records.payloads[events[number]] or b"")
            for name in self._floats:
                zero = getattr(envelopes[number], name) == 0.0
                if zero and _NOT_ZERO.search(bytes(written.get(name, b""))):
                    detail = f"a number too small for a double - at `$.{name}`"
                    bad.setdefault(number, Rejected(Reason.UNSTORABLE, detail))


def _microseconds(moments: Iterable[datetime]) -> list[Microseconds]:
    return list(map(floordiv, map(sub, moments, repeat(_EPOCH)), repeat(_MICROSECOND)))


def _kafka_times(stamps: list[int]) -> list[Microseconds]:
    if stamps and min(stamps) * 1000 >= _FIRST and max(stamps) * 1000 <= _LAST:
        return [stamp * 1000 for stamp in stamps]
    return list(map(kafka_time, stamps))


def _check_text(payloads: list[bytes | None], rejected: dict[int, Rejected]) -> None:
    """Rejects what is not UTF-8 (msgspec does not look into unknown fields), or holds a NUL."""
    joined = b"".join(filter(None, payloads))
    if not joined.isascii():
        for number, payload in enumerate(payloads):
            try:
                (payload or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                detail = f"not UTF-8: byte {error.start}: {error.reason}"
                rejected[number] = Rejected(Reason.MALFORMED, detail)
    if b"\\" in joined and b"\\u0000" in joined:
        for number, payload in enumerate(payloads):
            if number not in rejected and _ESCAPED_NUL.search(payload or b""):
                detail = "an escaped NUL (\\u0000), which Postgres cannot hold"
                rejected[number] = Rejected(Reason.UNSTORABLE, detail)


def _check_stamps(stamps: list[int], rejected: dict[int, Rejected]) -> None:
    if stamps and not pgcopy.FIRST_MS <= min(stamps) <= max(stamps) < pgcopy.END_MS:
        for number, stamp in enumerate(stamps):
            if not pgcopy.FIRST_MS <= stamp < pgcopy.END_MS:
                detail = f"a Kafka timestamp that Postgres cannot hold: {stamp} ms"
                rejected.setdefault(number, Rejected(Reason.UNSTORABLE, detail))


def _check_patterns(envelopes: list[Envelope], bad: dict[int, Rejected]) -> None:
    ids = [*map(attrgetter("event_id"), envelopes), *map(attrgetter("boot_id"), envelopes)]
    if "".join(ids).encode().translate(None, _HEX):  # each is of 36 characters
        _check_pattern("event_id", envelopes, UUID_PATTERN, bad)
        _check_pattern("boot_id", envelopes, UUID_PATTERN, bad)
    versions = set(map(attrgetter("schema_version"), envelopes))
    if not all(re.fullmatch(VERSION_PATTERN, version) for version in versions):
        _check_pattern("schema_version", envelopes, VERSION_PATTERN, bad)


def _check_pattern(
    name: str, envelopes: list[Envelope], pattern: str, bad: dict[int, Rejected]
) -> None:
    for number, value in enumerate(map(attrgetter(name), envelopes)):
        if not re.fullmatch(pattern, value):
            detail = f"Expected `str` matching regex '{pattern}' - at `$.{name}`"
            bad.setdefault(number, Rejected(Reason.CONTRACT, detail))


def _check_years(
    name: str, moments: Sequence[Microseconds | None], bad: dict[int, Rejected]
) -> None:
    known = list(filter(None, moments))
    if known and not _FIRST <= min(known) <= max(known) <= _LAST:
        for number, moment in enumerate(moments):
            if moment is not None and not _FIRST <= moment <= _LAST:
                detail = f"not in the years 1 to 9999 of UTC - at `$.{name}`"
                bad.setdefault(number, Rejected(Reason.CONTRACT, detail))


def _check_clocks(
    envelopes: list[Envelope],
    event_ts: list[Microseconds],
    arrivals: list[Microseconds],
    bad: dict[int, Rejected],
) -> None:
    doubtful = [
        number
        for number, late in enumerate(map(sub, arrivals, event_ts))
        if not -EARLY <= late <= STALE
    ]
    for number in doubtful:
        envelope, arrived = envelopes[number], arrivals[number]
        early = event_ts[number] - arrived > EARLY
        if early or not envelope.spooled:
            words = "ahead of" if early else "older than 24 h before"
            told = f"event_ts {envelope.event_ts.isoformat()} is {words} arrival "
            fault = Rejected(
                Reason.CLOCK_FAULT,
                told + moment(arrived).isoformat(),
                envelope.device_id,
                arrived,
            )
            bad.setdefault(number, fault)


def _key_detail(key: bytes | None, device_id: str) -> str:
    return "no key" if key is None else f"key {key[:128]!r} is not device_id {device_id!r}"


def _types(annotation: object) -> set[object]:
    """Returns the plain types in an annotation such as `Annotated[float, …] | None`."""
    return {annotation}.union(
        *(_types(part) for part in get_args(annotation) if part is not Ellipsis)
    )
