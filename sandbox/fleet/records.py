"""What the fleet puts into Kafka, and how events become bytes."""

import random
from typing import NamedTuple

import msgspec

from streaming.contracts import Envelope


class Record(NamedTuple):
    """One Kafka message.

    Attributes:
        arrival: When it reaches the broker, ms; records are produced in this order.
        topic: The topic.
        key: The message key; None only where a record is malformed so.
        value: The payload; None is a tombstone.
        timestamp: The gateway's clock at that instant, ms: Kafka's CreateTime.
    """

    arrival: int
    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int


_encoder = msgspec.json.Encoder()


def encode(event: Envelope) -> bytes:
    """Returns the event as JSON; instants have milliseconds, as the contract says."""
    return _encoder.encode(event).replace(b'000Z"', b'Z"')


def uuid7(ms: int, rng: random.Random) -> str:
    """Returns a UUID version 7 (RFC 9562, section 5.7) of the instant, random from `rng`."""
    bits = rng.getrandbits(74)
    value = (ms << 80) | (7 << 76) | (bits >> 62 << 64) | (2 << 62) | (bits & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
