"""A consumer in a process of its own, on a real broker, database and object store."""

import json
import signal

from streaming.contracts import CONTRACTS
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

HEARTBEAT = {"event_type": "heartbeat", "status": "ok", "interval_s": 60}


def test_every_record_lands_as_it_is_whatever_it_is(scene: Scene) -> None:
    odd = {
        "truncated": alert()[:100],
        "an array": b"[1, 2]",
        "no bytes": b"",
        "not UTF-8": b"\xff\xfe\x00",
        "NaN": alert().replace(b'"severity": 3', b'"severity": NaN'),
        "escaped NUL": alert(message="a\x00b"),
        "lone surrogate": alert(message="a\ud800b"),
        "duplicate keys": alert().replace(b'"seq": 1', b'"seq": 1, "seq": 2'),
        "unknown fields": alert(firmware_notes={"deep": [1, {"er": "ä€😀"}]}),
        "1 MB": alert(notes="x" * 1_000_000),
        "spaces kept": b" \n" + alert() + b"\t ",
        "from 1970": alert(event_ts="1970-01-01T00:00:00.000Z"),
        "from 2999": alert(event_ts="2999-01-01T00:00:00.000Z"),
        "deep": b"[" * 100_000,
    }
    for payload in (alert(), *odd.values()):
        scene.produce(payload)
    scene.produce(None)
    scene.produce(None, None)
    scene.produce(alert(), None)
    scene.produce(alert(), b"VM-999999", partition=1)
    scene.produce(alert(), b"\x00\xff", partition=1)
    headers: list[tuple[str, bytes | None]] = [("schema_id", b"\x00\xff"), ("n", None), ("n", b"")]
    scene.produce(alert(), headers=headers, partition=2)
    scene.produce(b"{", headers=headers, partition=2)
    scene.produce(alert(), timestamp=1, partition=2)
    scene.produce(alert(**HEARTBEAT), topic="heartbeat.raw", partition=3)
    scene.produce_some(300)

    consumer = scene.consumer()
    scene.wait_until_landed()
    scene.check()
    with scene.connect() as connection:
        reasons = connection.execute(
            'select reason, count(*) from landing.quarantine where "partition" = 0 and "offset" <='
            " (select start_offset + 17 from landing.offsets"
            "  where topic = 'alerts.raw' and \"partition\" = 0) group by 1"
        ).fetchall()
        rows = connection.execute("select topic from landing.offsets").fetchall()
    assert dict(reasons) == {  # type: ignore[arg-type]
        "MALFORMED": 5,  # truncated, no bytes, not UTF-8, NaN, lone surrogate
        "CONTRACT": 2,  # the arrays
        "UNSTORABLE": 1,
        "CLOCK_FAULT": 2,
        "KEY_MISMATCH": 1,
    }
    # Also where nothing has come: an empty partition has its row.
    assert sorted(topic for (topic,) in rows) == sorted(list(CONTRACTS) * 4)
    consumer.stop()


def test_what_was_read_is_landed_on_sigterm_and_the_next_goes_on_there(scene: Scene) -> None:
    first = scene.consumer(LANDING__FILE_MAX_AGE_S="3600", LANDING__FLUSH_INTERVAL_S="5")
    scene.wait_for(lambda: bool(first.events("assigned")))
    scene.produce_some(2_000)
    first.stop()
    second = scene.consumer()
    scene.produce_some(500, seed=1)
    scene.wait_until_landed()
    second.stop()
    scene.check()


def test_ctrl_c_ends_it_as_well(scene: Scene) -> None:
    consumer = scene.consumer()
    scene.wait_for(lambda: bool(consumer.events("assigned")))
    consumer.send(signal.SIGINT)
    assert consumer.wait(10) == 0


def test_quarantine_shows_the_exact_bytes_and_why(scene: Scene) -> None:
    scene.produce(b'{"a": "\xff"}')
    scene.flush()
    consumer = scene.consumer()
    scene.wait_until_landed()
    consumer.stop()
    ((_, partition, offset),) = scene.produced
    name = f"{TOPIC}/0/{partition}/{offset}"
    listed = scene.run("quarantine", "list", "--json")
    assert listed.wait() == 0
    entry = json.loads(listed.output)
    assert (entry["record"], entry["reason"]) == (name, "MALFORMED")
    shown = scene.run("quarantine", "show", name, "--raw")
    assert shown.wait() == 0
    assert shown.output_bytes == b'{"a": "\xff"}'
