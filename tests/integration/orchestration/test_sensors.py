"""What sensors decide, on a real ODS and a real instance."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from structlog.testing import capture_logs

from orchestration.errors import BatchBusyError
from orchestration.resources.ods import Ods
from streaming import batches, watermark
from streaming.errors import OutageError
from streaming.settings import InsightsSettings, LandingSettings
from tests.integration.orchestration.landing import Landing

HEARTBEATS = "heartbeat.raw"
LATE = timedelta(seconds=5)
NO_WAIT = InsightsSettings(min_interval_s=0.001, idle_interval_s=3600)


@dg.op
def nothing() -> None: ...


@dg.graph
def idle() -> None:
    nothing()


class Broker:
    """A broker that tells ends, or is away."""

    topics = (HEARTBEATS,)

    def __init__(self) -> None:
        self.told: dict[tuple[str, int], int] | None = {}

    def ends(self) -> dict[tuple[str, int], int]:
        if self.told is None:
            raise OutageError("no broker")
        return self.told


class Orchestrator:
    """Ticks sensors; the runs that they ask for are only written down."""

    def __init__(self, instance: dg.DagsterInstance, ods: Ods) -> None:
        self.instance = instance
        self.broker = Broker()
        self._ods = ods

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        from orchestration.sensors.batches import landed_data

        context = dg.build_sensor_context(
            self.instance,
            resources={
                "ods": self._ods,
                "kafka": self.broker,
                "insights_settings": NO_WAIT,
            },
        )
        answer = landed_data(context)
        assert isinstance(answer, dg.SensorResult | dg.SkipReason)
        return answer

    def asked(self) -> list[str | None]:
        """Ticks, and returns the keys of the runs that were asked for."""
        answer = self.tick()
        if isinstance(answer, dg.SkipReason):
            return []
        return [request.run_key for request in answer.run_requests or ()]

    def judge(self, cursor: str | None) -> tuple[dict[str | None, bool], str | None]:
        """Evaluates the checks of data; returns what passes, and the next cursor."""
        from orchestration.sensors.health import stale_data

        context = dg.build_sensor_context(
            self.instance,
            cursor=cursor,
            resources={"ods": self._ods, "landing_settings": LandingSettings(poison_rate=0.1)},
        )
        answer = stale_data(context)
        assert isinstance(answer, dg.SensorResult)
        checks = [each for each in answer.asset_events if isinstance(each, dg.AssetCheckEvaluation)]
        return {each.check_name: each.passed for each in checks}, answer.cursor

    def tick_tickets(self) -> dg.RunRequest | dg.SkipReason:
        from orchestration.sensors.tickets import due_intents

        context = dg.build_sensor_context(self.instance, resources={"ods": self._ods})
        answer = due_intents(context)
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer

    def run(
        self,
        status: dg.DagsterRunStatus,
        *,
        job: str = "insights_batch",
        key: str | None = None,
    ) -> None:
        """Writes down a run."""
        tags = {"dagster/run_key": key} if key else {}
        self.instance.create_run_for_job(idle.to_job(name=job), status=status, tags=tags)


@pytest.fixture
def orchestrator(tmp_path: Path, ods: Ods) -> Iterator[Orchestrator]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Orchestrator(instance, ods)


def test_without_a_registered_device_nothing_is_cut(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.forget_devices()
    landing.land(HEARTBEATS, 10)

    assert orchestrator.asked() == []


def test_nothing_landed_cuts_nothing(landing: Landing, orchestrator: Orchestrator) -> None:
    assert orchestrator.asked() == []
    assert landing.batches() == []


def test_landed_data_is_cut_into_a_batch_with_its_run(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)

    answer = orchestrator.tick()

    assert isinstance(answer, dg.SensorResult)
    [request] = answer.run_requests or ()
    assert request.run_key == "1:1"
    assert request.tags["fleetpulse/batch_id"] == "1"
    assert landing.batches() == [(1, 1, "cut")]


def test_a_batch_tells_of_its_topics_tables_and_lake_by_their_offsets(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)
    orchestrator.broker.told = {(HEARTBEATS, 0): 25}

    answer = orchestrator.tick()

    assert isinstance(answer, dg.SensorResult)
    told = {
        event.asset_key.to_user_string(): (event.tags or {}).get("dagster/data_version")
        for event in answer.asset_events
        if isinstance(event, dg.AssetMaterialization | dg.AssetObservation)
    }
    assert told == {
        "kafka/heartbeat.raw": "0:25",
        "landing/heartbeat_raw": "heartbeat.raw/0/0:10",
        "landing/quarantine": "heartbeat.raw/0/0:10",
        "control/batches": "1:1",
        "lake/raw": "heartbeat.raw/0/0:0",
    }
    [topic] = [each for each in answer.asset_events if isinstance(each, dg.AssetObservation)]
    assert topic.metadata["lag"].value == 15


def test_a_batch_whose_run_was_never_launched_is_asked_for_again_under_the_same_key(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)

    assert [orchestrator.asked(), orchestrator.asked()] == [["1:1"], ["1:1"]]
    assert landing.batches() == [(1, 1, "cut")]


def test_while_its_run_goes_on_nothing_else_is_cut(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)
    assert orchestrator.asked() == ["1:1"]
    orchestrator.run(dg.DagsterRunStatus.STARTED, key="1:1")
    landing.land(HEARTBEATS, 10)

    assert orchestrator.asked() == []
    assert landing.batches() == [(1, 1, "cut")]


def test_a_failed_run_is_followed_by_the_next_attempt_after_its_wait_and_once(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)
    assert orchestrator.asked() == ["1:1"]
    orchestrator.run(dg.DagsterRunStatus.FAILURE, key="1:1")
    assert orchestrator.asked() == []

    landing.put_back(secs=11)
    assert orchestrator.asked() == ["1:2"]
    orchestrator.run(dg.DagsterRunStatus.FAILURE, key="1:2")

    landing.put_back(secs=11)
    assert orchestrator.asked() == []
    landing.put_back(secs=10)
    assert orchestrator.asked() == ["1:3"]
    assert landing.batches() == [(1, 3, "cut")]


def test_when_it_is_done_the_next_one_follows(landing: Landing, orchestrator: Orchestrator) -> None:
    landing.land(HEARTBEATS, 10)
    assert orchestrator.asked() == ["1:1"]
    orchestrator.run(dg.DagsterRunStatus.SUCCESS, key="1:1")
    landing.finish(1)
    landing.land(HEARTBEATS, 10)

    assert orchestrator.asked() == ["2:1"]
    assert landing.batches() == [(1, 1, "done"), (2, 1, "cut")]


def test_redriven_records_make_a_batch_due(landing: Landing, orchestrator: Orchestrator) -> None:
    landing.land(HEARTBEATS, 10)
    assert orchestrator.asked() == ["1:1"]
    landing.redrive(3)
    orchestrator.run(dg.DagsterRunStatus.SUCCESS, key="1:1")
    landing.finish(1)

    assert orchestrator.asked() == ["2:1"]
    assert landing.redrives() == [(0, 0), (0, 3)]


def test_a_batch_takes_no_more_redriven_records_than_it_may(landing: Landing, ods: Ods) -> None:
    bounded = InsightsSettings(min_interval_s=0.001, idle_interval_s=3600, max_batch_records=10)
    landing.land(HEARTBEATS, 4)
    landing.redrive(16)
    with ods.connect("orchestrator") as connection:
        for number in (1, 2):
            now = datetime.now(UTC)
            assert batches.cut(connection, bounded, now, now) is not None
            landing.finish(number)

    assert landing.redrives() == [(0, 8), (8, 16)]


def test_without_a_broker_what_has_landed_still_goes_on(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10)
    orchestrator.broker.told = None

    assert orchestrator.asked() == ["1:1"]


def test_poison_above_its_rate_is_told_once_and_again_when_it_is_over(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    def told(logs: list[Any]) -> list[str]:
        return [each["event"] for each in logs if each["check"] == "quarantine_is_small"]

    landing.land(HEARTBEATS, 100)
    landing.quarantine(HEARTBEATS, 11)
    with capture_logs() as logs:
        passed, cursor = orchestrator.judge(None)
        assert not passed["quarantine_is_small"]
        _, cursor = orchestrator.judge(cursor)
    assert told(logs) == ["not well"]

    assert orchestrator.asked() == ["1:1"]
    landing.put_back(secs=660)  # what was quarantined is no longer of the last minutes
    landing.land(HEARTBEATS, 100)
    with capture_logs() as logs:
        passed, _ = orchestrator.judge(cursor)
        assert passed["quarantine_is_small"]
    assert told(logs) == ["well again"]


def test_half_an_hour_without_a_broker_is_one_alarm_and_closes_no_window(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.register_sites(3)
    landing.land(HEARTBEATS, 10)
    landing.beat(datetime.now(UTC) - timedelta(seconds=10))
    assert orchestrator.asked() == ["1:1"]
    landing.finish(1)

    orchestrator.broker.told = None
    for _ in range(6):
        landing.pass_time(300)
        assert orchestrator.asked() == []
    assert landing.alarms() == [("watermark_held", "open")]
    assert isinstance(orchestrator.tick_tickets(), dg.RunRequest)

    # It is back: a batch takes what had been kept, and closes no window until all had time to land.
    orchestrator.broker.told = {(HEARTBEATS, 0): 20}
    landing.land(HEARTBEATS, 10)
    landing.beat(datetime.now(UTC))
    assert orchestrator.asked() == ["2:1"]
    landing.finish(2)
    landing.pass_time(61)
    landing.land(HEARTBEATS, 1)
    assert orchestrator.asked() == ["3:1"]
    before, held, after = landing.watermarks()
    assert before == held < after
    assert landing.alarms() == [("watermark_held", "open"), ("watermark_held", "resolve")]


def test_a_partition_that_landing_does_not_know_holds_the_watermark(
    landing: Landing, ods: Ods
) -> None:
    landing.land(HEARTBEATS, 10)
    now = datetime.now(UTC)
    with ods.connect("orchestrator") as connection:
        first = watermark.advance(connection, {(HEARTBEATS, 0): 10}, now, LATE)
        assert first.watermark is not None
        later = now + timedelta(seconds=10)
        held = watermark.advance(
            connection, {(HEARTBEATS, 0): 10, (HEARTBEATS, 1): 1, (HEARTBEATS, 2): 0}, later, LATE
        )
        assert (held.watermark, held.held_reason) == (
            first.watermark,
            "nothing is known of heartbeat.raw[1]",
        )
        # The broker is away, and the partition is not forgotten.
        assert watermark.advance(connection, {}, later, LATE).held_since is not None


def test_a_due_intent_asks_for_a_run(landing: Landing, orchestrator: Orchestrator) -> None:
    assert isinstance(orchestrator.tick_tickets(), dg.SkipReason)

    landing.intent("error_burst|VM-000001|", "open")
    assert isinstance(orchestrator.tick_tickets(), dg.RunRequest)


@pytest.mark.parametrize("job", ["insights_batch", "tickets"])
def test_due_intents_wait_for_the_run_that_will_do_them(
    landing: Landing, orchestrator: Orchestrator, job: str
) -> None:
    landing.intent("error_burst|VM-000001|", "open")
    orchestrator.run(dg.DagsterRunStatus.STARTED, job=job)

    assert isinstance(orchestrator.tick_tickets(), dg.SkipReason)


def test_while_catching_up_openings_wait_and_resolutions_do_not(
    landing: Landing, orchestrator: Orchestrator
) -> None:
    landing.land(HEARTBEATS, 10, seen=datetime.now(UTC) - timedelta(minutes=10))
    assert orchestrator.asked() == ["1:1"]
    landing.finish(1)
    landing.land(HEARTBEATS, 10)

    landing.intent("error_burst|VM-000001|", "open")
    assert isinstance(orchestrator.tick_tickets(), dg.SkipReason)
    assert orchestrator.asked() == ["2:1"]  # what waits is in a batch now, and not yet judged
    assert isinstance(orchestrator.tick_tickets(), dg.SkipReason)
    landing.intent("error_burst|VM-000002|", "resolve")
    assert isinstance(orchestrator.tick_tickets(), dg.RunRequest)


def test_two_runs_never_work_on_a_batch_at_once(landing: Landing, ods: Ods) -> None:
    with (
        ods.batch_lock(),
        pytest.raises(BatchBusyError, match="another run"),
        ods.batch_lock(patience_s=0.1),
    ):
        pytest.fail("both have the lock")
    with ods.batch_lock(patience_s=0.1):
        pass
