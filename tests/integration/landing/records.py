"""Records to produce, and what must come back of them."""

import hashlib
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

TOPIC = "alerts.raw"

Identity = tuple[str, int, int]
"""Topic, partition, offset."""


class Fingerprint(NamedTuple):
    """What must come back of a record, byte for byte."""

    timestamp: int
    key: str | None
    headers: str
    payload: str | None


def digest(value: bytes | None) -> str | None:
    return None if value is None else hashlib.md5(value, usedforsecurity=False).hexdigest()


def fingerprint(
    timestamp: int,
    key: bytes | None,
    headers: Iterable[tuple[str, bytes | None]] | None,
    payload: bytes | None,
) -> Fingerprint:
    pairs = [[name, digest(value)] for name, value in headers or ()]
    return Fingerprint(timestamp, digest(key), json.dumps(pairs), digest(payload))


def alert(device: str = "VM-000001", *, at_ms: int | None = None, **changes: object) -> bytes:
    """Returns an alert that keeps its contract.

    Give it the Kafka timestamp of its record where that is not now: an event that is later than
    its arrival is a clock fault.
    """
    moment = time.time() if at_ms is None else at_ms / 1000
    stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    event: dict[str, object] = {
        "event_id": str(uuid4()),
        "schema_version": "1.0",
        "event_type": "alert",
        "device_id": device,
        "site_id": "SITE-0001",
        "seq": 1,
        "boot_id": "0190d5a8-0000-7000-8000-000000000001",
        "event_ts": stamp,
        "gateway_ts": stamp,
        "spooled": False,
        "fw": "1.2.3",
        "model": "COLD-300",
        "alert_id": str(uuid4()),
        "code": "COIN_JAM",
        "component": "coin",
        "state": "raised",
        "severity": 3,
    }
    return json.dumps(event | changes).encode()
