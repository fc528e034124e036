"""Judges a record against its topic's contract: an event, a tombstone, or rejected with a reason.

What is accepted here can be cast in Postgres without an error: one value that cannot would halt
every rule. What Postgres' `json` takes but its functions refuse (an escaped NUL, anywhere) is
rejected for the same reason.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple, get_args

import msgspec

from streaming.contracts import CONTRACTS, Envelope
from streaming.records import Record

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


class Event(NamedTuple):
    """A record that keeps its contract, and its times as integers."""

    envelope: Envelope
    event_ts: Microseconds
    gateway_ts: Microseconds | None
    arrival: Microseconds


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that does not; `device_id` and `arrival` are set where it is a sign of life."""

    reason: Reason
    detail: str
    device_id: str | None = None
    arrival: Microseconds | None = None


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
    """Decodes the records of one topic."""

    def __init__(self, topic: str) -> None:
        contract = CONTRACTS[topic]
        self._decode = msgspec.json.Decoder(contract).decode
        self._floats = tuple(
            field.name for field in msgspec.structs.fields(contract) if float in _types(field.type)
        )
        self._values: Callable[[Envelope], Any] = attrgetter(*self._floats, "topic", "topic")

    def decode(self, record: Record) -> Event | Rejected | None:
        """Judges a record. None stands for a tombstone, which lands as it is."""
        payload = record.payload
        if payload is None:
            return None
        try:
            if not payload.isascii():
                payload.decode("utf-8")  # the decoder below does not look into unknown fields
            envelope = self._decode(payload)
        except UnicodeDecodeError as error:
            return Rejected(Reason.MALFORMED, f"not UTF-8: byte {error.start}: {error.reason}")
        except msgspec.ValidationError as error:
            return Rejected(Reason.CONTRACT, str(error))
        except msgspec.DecodeError as error:
            return Rejected(Reason.MALFORMED, str(error))
        except RecursionError:
            return Rejected(Reason.MALFORMED, "nested too deeply")
        if b"\\" in payload and _ESCAPED_NUL.search(payload):
            return Rejected(
                Reason.UNSTORABLE, "an escaped NUL (\\u0000), which Postgres cannot hold"
            )
        if 0.0 in self._values(envelope) and (name := self._underflow(envelope, payload)):
            return Rejected(Reason.UNSTORABLE, f"a number too small for a double - at `$.{name}`")
        event_ts = (envelope.event_ts - _EPOCH) // _MICROSECOND
        if not _FIRST <= event_ts <= _LAST:
            return _out_of_range("event_ts")
        gateway_ts = None
        if envelope.gateway_ts is not None:
            gateway_ts = (envelope.gateway_ts - _EPOCH) // _MICROSECOND
            if not _FIRST <= gateway_ts <= _LAST:
                return _out_of_range("gateway_ts")
        device_id = envelope.device_id
        if record.key != device_id.encode():
            return Rejected(Reason.KEY_MISMATCH, _key_detail(record.key, device_id))
        arrived = arrival(gateway_ts, kafka_time(record.timestamp))
        early = event_ts - arrived > EARLY
        if early or (arrived - event_ts > STALE and not envelope.spooled):
            words = "ahead of" if early else "older than 24 h before"
            told = f"event_ts {envelope.event_ts.isoformat()} is {words} arrival "
            return Rejected(
                Reason.CLOCK_FAULT, told + moment(arrived).isoformat(), device_id, arrived
            )
        return Event(envelope, event_ts, gateway_ts, arrived)

    def _underflow(self, envelope: Envelope, payload: bytes) -> str | None:
        """Returns a field that is zero only as a double, not as written: Postgres refuses it."""
        zeros = [name for name in self._floats if getattr(envelope, name) == 0.0]
        written = _FIELDS.decode(payload)
        return next(
            (name for name in zeros if _NOT_ZERO.search(bytes(written.get(name, b"")))), None
        )


def _key_detail(key: bytes | None, device_id: str) -> str:
    return "no key" if key is None else f"key {key[:128]!r} is not device_id {device_id!r}"


def _out_of_range(name: str) -> Rejected:
    return Rejected(Reason.CONTRACT, f"not in the years 1 to 9999 of UTC - at `$.{name}`")


def _types(annotation: object) -> set[object]:
    """Returns the plain types in an annotation such as `Annotated[float, …] | None`."""
    return {annotation}.union(
        *(_types(part) for part in get_args(annotation) if part is not Ellipsis)
    )
