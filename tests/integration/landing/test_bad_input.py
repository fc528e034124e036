"""What no collector ought to send: landed or quarantined with a reason, its neighbours landed."""

from typing import NamedTuple

from streaming.contracts import CONTRACTS
from streaming.lake_files import decode
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

LANDED = "landed"
KEY = b"VM-000001"


class Bad(NamedTuple):
    payload: bytes | None
    outcome: str
    key: bytes | None = KEY


CASES = {
    "an event that keeps its contract": Bad(alert(), LANDED),
    "truncated JSON": Bad(alert()[:100], "MALFORMED"),
    "an array": Bad(b"[1, 2]", "CONTRACT"),
    "no bytes at all": Bad(b"", "MALFORMED"),
    "nested 100,000 deep": Bad(b"[" * 100_000, "CONTRACT"),
    "a number out of range": Bad(alert(severity=6), "CONTRACT"),
    "a number beyond 64 bits": Bad(alert(seq=2**63), "CONTRACT"),
    "a fraction where an integer belongs": Bad(alert(severity=3.5), "CONTRACT"),
    "NaN": Bad(alert(severity=float("nan")), "MALFORMED"),
    "a string where a number belongs": Bad(alert(severity="3"), "CONTRACT"),
    "a field that is missing": Bad(alert().replace(b'"seq"', b'"sqe"'), "CONTRACT"),
    "duplicate keys": Bad(alert().replace(b'"seq": 1', b'"seq": 1, "seq": 2'), LANDED),
    "an escaped NUL": Bad(alert(message="a\x00b"), "UNSTORABLE"),
    "an escaped NUL in a field that nobody knows": Bad(alert(notes="\x00"), "UNSTORABLE"),
    "a backslash before u0000": Bad(alert(message="a\\u0000b"), LANDED),
    "a lone surrogate": Bad(alert(message="a\ud800b"), "MALFORMED"),
    "a lone surrogate in a field that nobody knows": Bad(alert(notes="\ud800"), "MALFORMED"),
    "1 MB of payload": Bad(alert(notes="x" * 1_000_000), LANDED),
    "1 MB of nonsense": Bad(b"\xfe" * 1_000_000, "MALFORMED"),
    "unknown fields": Bad(alert(notes={"deep": [1, {"er": "ä€😀"}]}), LANDED),
    "blanks around it": Bad(b" \n" + alert() + b"\t ", LANDED),
    "a tombstone": Bad(None, LANDED),
    "a tombstone without a key": Bad(None, LANDED, None),
    "bytes that are not UTF-8": Bad(b"\xff\xfe\x00", "MALFORMED"),
    "not UTF-8 in a field that nobody knows": Bad(
        alert(notes="?").replace(b"?", b"\xff"), "MALFORMED"
    ),
    "no key": Bad(alert(), "KEY_MISMATCH", None),
    "another device's key": Bad(alert(), "KEY_MISMATCH", b"VM-000002"),
    "a key that is no text": Bad(alert(), "KEY_MISMATCH", b"\x00\xff"),
    "a device that nobody knows": Bad(alert("VM-999999"), LANDED, b"VM-999999"),
    "from 1970": Bad(alert(event_ts="1970-01-01T00:00:00.000Z"), "CLOCK_FAULT"),
    "from 2999": Bad(alert(event_ts="2999-01-01T00:00:00.000Z"), "CLOCK_FAULT"),
    "from the year 0": Bad(alert(event_ts="0000-01-01T00:00:00.000Z"), "CONTRACT"),
    "without an offset": Bad(alert(event_ts="2026-03-01T12:00:00.000"), "CONTRACT"),
}


def test_each_has_its_outcome_its_neighbours_land_and_nothing_is_lost(scene: Scene) -> None:
    for case in CASES.values():
        scene.produce(case.payload, case.key)
        scene.produce(alert())
    scene.flush()

    scene.land()

    scene.check()
    outcomes = [outcome for _, outcome in sorted(scene.outcomes().items())]
    assert dict(zip(CASES, outcomes[::2], strict=True)) == {
        name: case.outcome for name, case in CASES.items()
    }
    assert outcomes[1::2] == [LANDED] * len(CASES)


def test_what_kafka_carries_beside_the_payload_is_kept(scene: Scene) -> None:
    headers: list[tuple[str, bytes | None]] = [("schema_id", b"\x00\xff"), ("n", None), ("n", b"")]
    scene.produce(alert(), headers=headers)
    scene.produce(b"{", headers=headers)
    scene.produce(None, headers=headers)
    scene.produce(alert(), b"")
    scene.produce(alert(at_ms=1), timestamp=1)  # in 1970: of no day that has a partition
    scene.flush()

    scene.land()

    scene.check()


def test_a_time_that_the_broker_has_set_is_kept_and_said_to_be_so(scene: Scene) -> None:
    def is_set_by_the_broker() -> bool:
        scene.produce(alert(), timestamp=1)
        scene.produce(b"{", timestamp=1)
        scene.flush()
        return max(scene.produced.values()).timestamp > 1

    scene.configure(TOPIC, {"message.timestamp.type": "LogAppendTime"})
    try:
        scene.wait_for(is_set_by_the_broker)
    finally:
        scene.configure(TOPIC, {"message.timestamp.type": None})

    scene.land()

    scene.check()
    kinds = [1 if record.timestamp == 1 else 2 for _, record in sorted(scene.produced.items())]
    with scene.connect() as connection:
        landed = connection.execute(
            'select kafka_ts_type from (select "offset", kafka_ts_type from landing.alerts_raw'
            ' union all select "offset", kafka_ts_type from landing.quarantine) landed'
            ' order by "offset"'
        ).fetchall()
    assert landed == [(kind,) for kind in kinds]
    files = [path.read_bytes() for path in (scene.lake_folder / "raw").rglob("*.parquet")]
    assert [record.timestamp_type for file in files for record in decode(file)] == kinds


def test_a_topic_that_is_empty_has_its_rows_too(scene: Scene) -> None:
    scene.produce(alert())
    scene.flush()

    scene.land()

    scene.check()
    with scene.connect() as connection:
        rows = connection.execute(
            'select topic, "partition", next_offset - start_offset from landing.offsets'
        ).fetchall()
    assert sorted(rows) == sorted(
        (topic, partition, int((topic, partition) == ("alerts.raw", 0)))
        for topic in CONTRACTS
        for partition in range(4)
    )
