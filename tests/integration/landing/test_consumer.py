"""A consumer in a process of its own, on a real broker, database and object store."""

import json
import signal

from tests.integration.landing.records import TOPIC
from tests.integration.landing.scene import Scene


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
    assert consumer.wait() == 0


def test_quarantine_shows_the_exact_bytes_and_why(scene: Scene) -> None:
    scene.produce(b'{"a": "\xff"}')
    scene.flush()
    scene.land()
    ((_, partition, offset),) = scene.produced
    name = f"{TOPIC}/0/{partition}/{offset}"
    code, listed = scene.call("quarantine", "list", "--json")
    entry = json.loads(listed)
    assert (code, entry["record"], entry["reason"]) == (0, name, "MALFORMED")
    shown = scene.run("quarantine", "show", name, "--raw")
    assert shown.wait() == 0
    assert shown.output_bytes == b'{"a": "\xff"}'


def test_the_end_of_a_standstill_is_written_down(scene: Scene) -> None:
    scene.land()
    for stood_s, ended in ((10, False), (61, True)):
        with scene.connect() as ods:
            ods.execute(
                "update landing.offsets set moved_at = now() - make_interval(secs => %s)", [stood_s]
            )
        scene.produce_some(10, seed=stood_s)
        scene.land()
        with scene.connect() as ods:
            found = ods.execute("select count(resumed_at) > 0 from landing.offsets").fetchone()
        assert found == (ended,)
