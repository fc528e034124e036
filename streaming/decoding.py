"""Judges a record against its topic's contract: an event, a tombstone, or rejected with a reason.

What is accepted here can be cast in Postgres without an error: one value that cannot would halt
every rule. What Postgres' `json` takes but its functions refuse (an escaped NUL, anywhere) is
rejected for the same reason.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import get_args

import msgspec

from streaming.contracts import CONTRACTS, Envelope
from streaming.records import Record

EARLY = timedelta(minutes=5)
"""An event may be this far ahead of its arrival; a collector's clock this far ahead of Kafka's."""
STALE = timedelta(hours=24)
"""An event that was not spooled may be this much older than its arrival."""
ABSURD = timedelta(days=20)
"""A collector's clock further behind Kafka's than this is not believed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
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


@dataclass(frozen=True, slots=True)
class Event:
    """A record that keeps its contract."""

    envelope: Envelope
    arrival: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that does not; `device_id` and `arrival` are set where it is a sign of life."""

    reason: Reason
    detail: str
    device_id: str | None = None
    arrival: datetime | None = None


def kafka_time(milliseconds: int) -> datetime:
    """Returns a Kafka timestamp as a datetime, clamped to the years 2 to 9998."""
    return _EPOCH + timedelta(milliseconds=min(max(milliseconds, _FIRST_MS), _LAST_MS))


def arrival(gateway_ts: datetime | None, kafka_ts: datetime) -> datetime:
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
        if b"\\u0000" in payload and _ESCAPED_NUL.search(payload):
            return Rejected(
                Reason.UNSTORABLE, "an escaped NUL (\\u0000), which Postgres cannot hold"
            )
        if name := self._underflow(envelope, payload):
            return Rejected(Reason.UNSTORABLE, f"a number too small for a double - at `$.{name}`")
        for name in ("event_ts", "gateway_ts"):
            if not _in_range(getattr(envelope, name)):
                return Rejected(
                    Reason.CONTRACT, f"not in the years 1 to 9999 of UTC - at `$.{name}`"
                )
        if record.key is None or record.key != envelope.device_id.encode():
            return Rejected(Reason.KEY_MISMATCH, _key_detail(record.key, envelope.device_id))
        return _judge_clock(envelope, arrival(envelope.gateway_ts, kafka_time(record.timestamp)))

    def _underflow(self, envelope: Envelope, payload: bytes) -> str | None:
        """Returns a field that is zero only as a double, not as written: Postgres refuses it."""
        zeros = [name for name in self._floats if getattr(envelope, name) == 0.0]
        written = _FIELDS.decode(payload) if zeros else {}
        return next(
            (name for name in zeros if _NOT_ZERO.search(bytes(written.get(name, b"")))), None
        )


def _judge_clock(envelope: Envelope, arrived: datetime) -> Event | Rejected:
    early = envelope.event_ts - arrived > EARLY
    stale = not envelope.spooled and arrived - envelope.event_ts > STALE
    if early or stale:
        words = "ahead of" if early else "older than 24 h before"
        return Rejected(
            Reason.CLOCK_FAULT,
            f"event_ts {envelope.event_ts.isoformat()} is {words} arrival {arrived.isoformat()}",
            envelope.device_id,
            arrived,
        )
    return Event(envelope, arrived)


def _key_detail(key: bytes | None, device_id: str) -> str:
    return "no key" if key is None else f"key {key[:128]!r} is not device_id {device_id!r}"


def _in_range(moment: datetime | None) -> bool:
    """Returns whether a moment near the years 1 or 9999 is still within them in UTC."""
    if moment is None or moment.tzinfo is UTC:
        return True
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _types(annotation: object) -> set[object]:
    """Returns the plain types in an annotation such as `Annotated[float, …] | None`."""
    return {annotation}.union(
        *(_types(part) for part in get_args(annotation) if part is not Ellipsis)
    )
