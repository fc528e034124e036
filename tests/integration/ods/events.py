"""Events of every topic, landed without a broker."""

import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import OdsSettings
from streaming.sinks.ods import OdsSink

BODY: dict[str, dict[str, Any]] = {
    "telemetry.raw": {
        "event_type": "telemetry",
        "cabinet_temp_c": 4.25,
        "door_open": False,
        "rssi_dbm": -61,
        "vends_ok_total": 2**40,
        "coin_tubes": {"5": 12, "10": 0},
        "slots": [{"slot": "A1", "qty": 3, "capacity": 8, "price_minor": 250}],
        "currency": "EUR",
        "humidity_pct": None,
        "new_in_firmware_9": "kept in the payload",
    },
    "heartbeat.raw": {"event_type": "heartbeat", "status": "ok", "uptime_s": 5},
    "alerts.raw": {
        "event_type": "alert",
        "alert_id": "a-1",
        "code": "COIN_JAM",
        "component": "coin",
        "state": "raised",
        "severity": 3,
        "message": 'a "quoted" ü',
        "attrs": {"tube": 5},
    },
}


def event(topic: str, **changes: object) -> dict[str, Any]:
    """Returns an event that keeps its contract."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    envelope = {
        "event_id": str(uuid4()),
        "schema_version": "1.0",
        "device_id": "VM-000001",
        "site_id": "SITE-0001",
        "seq": 1,
        "boot_id": str(uuid4()),
        "event_ts": stamp,
        "gateway_ts": stamp,
        "fw": "1.2.3",
        "model": "COLD-300",
    }
    return envelope | BODY[topic] | changes


def land(ods: OdsSettings, topic: str, *events: dict[str, Any] | None) -> None:
    """Lands events, or tombstones, behind those of earlier calls."""
    sink = OdsSink(ods.url("consumer"))
    where = PartitionId(topic, 0, 0)
    start = sink.open(where, "a topic", 0).next_offset
    now = int(time.time() * 1000)
    records = Records.of(
        Record(
            start + number,
            now,
            1,
            None if each is None else each["device_id"].encode(),
            None,
            None if each is None else json.dumps(each).encode(),
        )
        for number, each in enumerate(events)
    )
    quarantined = sink.land(sink.pack([Slice(where, start, start + len(events), records)]))
    sink.close()
    assert quarantined == 0
