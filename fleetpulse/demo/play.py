"""The course of a demo: set up, history, live time, what is still due, and the summary."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from types import FrameType

import psutil
import psycopg

from fleetpulse import settings
from fleetpulse.demo.chaos import Chaos
from fleetpulse.demo.dagster import FINISHED, Dagster
from fleetpulse.demo.errors import DemoError
from fleetpulse.demo.report import Report
from fleetpulse.demo.screen import Numbers, Screen
from fleetpulse.demo.sight import Sight
from fleetpulse.demo.stage import Stage
from fleetpulse.score.compare import Score, compare
from fleetpulse.score.found import Incident
from sandbox.files import tail
from sandbox.fleet import Faults, FleetConfig, Plan, lead_time, make_plan, write_files
from sandbox.fleet.instants import to_datetime
from sandbox.servicenow_server import USERNAME
from streaming import reference

LOOK_EVERY_S = 1.0
START_PATIENCE_S = 120.0
DRAIN_PATIENCE_S = 60.0
JOB_PATIENCE_S = 180.0
FLEET_START = timedelta(seconds=3)
"""What a process of ours takes to begin."""
CHAOS_BEGINS_S = -5
"""The first kill may fall into the landing of history, when much is unacknowledged."""
CHAOS_ENDS_S = 20
"""No kill in the last seconds of live time, so that what it delays is not just due."""
ENDLESS_CHAOS_S = 120
HISTORY = {Faults.FEW: timedelta(hours=2), Faults.ALL: timedelta(hours=4)}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    Attributes:
        devices: Size of the fleet.
        faults: Which schedule is played.
        seed: Everything random follows from it.
        live: Length of live time; None: until interrupted.
        chaos: Whether to kill the consumer.
    """

    devices: int
    faults: Faults
    seed: int
    live: timedelta | None
    chaos: bool


class Interrupt:
    """Ctrl-C and SIGTERM: the first ends live time, the second everything; before that, at once."""

    def __init__(self) -> None:
        self.asked = Event()
        self._patient = False
        self._deaf = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def be_patient(self) -> None:
        """From now on the first signal only asks."""
        self._patient = True

    def be_deaf(self) -> None:
        """From now on signals do nothing: all is being taken down already."""
        self._deaf = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._deaf:
            return
        if not self._patient or self.asked.is_set():
            raise KeyboardInterrupt
        self.asked.set()


class Play:
    """One demo. The stage is up; it is taken down by whoever has built it."""

    def __init__(
        self, options: Options, stage: Stage, screen: Screen, interrupt: Interrupt
    ) -> None:
        self._options = options
        self._stage = stage
        self._screen = screen
        self._interrupt = interrupt
        self._settings = settings.load()
        self._sight = Sight(self._settings)
        self._dagster = Dagster(stage.dagster_url)
        self._began = datetime.fromtimestamp(psutil.Process(os.getpid()).create_time(), UTC)

    def run(self) -> Report:
        """Plays it to its end, or until interrupted.

        Raises:
            DemoError: A part failed.
        """
        self._start_platform()
        plan = self._start_fleet()
        self._interrupt.be_patient()
        with self._screen.numbers() as numbers:
            chaos = self._live(plan, numbers)
            ended = datetime.now(UTC)
            until = self._wait_for_what_is_due(plan, ended, numbers)
        self._run_jobs()
        statuses = self._dagster.statuses()
        incidents = self._sight.incidents()
        found = self._score(plan, incidents, ended, until)
        self._screen.say("stopping Dagster, and the consumer, which lands what it has")
        self._stage.dagster.stop()
        self._stage.consumer.stop()
        first = min((each.created_at for each in incidents), default=None)
        return Report(
            devices=self._options.devices,
            seed=self._options.seed,
            live_s=max((ended - plan.config.start).total_seconds(), 0),
            counts=self._sight.counts(),
            unsound=self._sight.unsound(),
            score=found,
            opened=len(incidents),
            first_incident_s=None if first is None else self._since_began(first),
            runs=len(statuses),
            failed=sum(status == "FAILURE" for status in statuses),
            kills=None if chaos is None else chaos.kills,
        )

    def _since_began(self, moment: datetime) -> float:
        return round((moment - self._began).total_seconds(), 1)

    def _start_platform(self) -> None:
        self._screen.say("starting Dagster and the consumer")
        # What it has polled is in its log at DEBUG: the kills need to know.
        self._stage.start_platform("DEBUG" if self._options.chaos else "INFO")
        self._wait(
            lambda: self._sight.partitions_assigned() and self._dagster.ready(),
            "Dagster and the consumer are ready",
            START_PATIENCE_S,
        )
        servicenow = settings.require(self._settings.servicenow, "servicenow")
        self._screen.addresses(
            [
                ("Dagster (runs, lineage)", f"{self._dagster.url}/asset-groups"),
                (f"ServiceNow (incidents; user {USERNAME})", servicenow.url),
                ("logs, settings and data", str(self._stage.home)),
            ]
        )

    def _start_fleet(self) -> Plan:
        options = self._options
        history = HISTORY[options.faults]
        lead = FLEET_START + lead_time(options.devices, history, options.faults)
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1) + lead
        config = FleetConfig(
            options.devices, options.seed, start, history, options.live, options.faults
        )
        plan = make_plan(config)
        files = write_files(plan, self._stage.home / "fleet")
        tables = reference.read_files([path for path in files if path.suffix == ".csv"])
        ods = settings.require(self._settings.ods, "ods")
        with psycopg.connect(ods.url("reference")) as connection:
            reference.load(connection, tables, datetime.now(UTC))
        told = ["--devices", str(options.devices), "--seed", str(options.seed)]
        told += ["--start", start.isoformat(), "--history", f"{history.total_seconds():.0f}s"]
        told += ["--rules", options.faults]
        if options.live is not None:
            told += ["--for", f"{options.live.total_seconds()}s"]
        self._stage.start_fleet(told)
        self._screen.say(
            f"{options.devices} machines are at work: {history.seconds // 3600} hours of history, "
            f"then live from {start.astimezone():%H:%M:%S}"
        )
        return plan

    def _live(self, plan: Plan, numbers: Numbers) -> Chaos | None:
        """Watches until live time is over."""
        config, chaos = plan.config, self._chaos()
        while not self._interrupt.asked.wait(LOOK_EVERY_S):
            now = datetime.now(UTC)
            at_s = (now - config.start).total_seconds()
            if config.live is not None and now >= config.start + config.live:
                break
            self._stage.check()
            if not self._stage.fleet.running:
                raise DemoError(f"the fleet ended early:\n{tail(self._stage.fleet.log, 30)}")
            if chaos is not None and (kill := chaos.strike_if_due(at_s)) is not None:
                self._screen.say(
                    f"killed the consumer: {kill.unacknowledged:,} records were polled and not "
                    "acknowledged"
                )
            what = "history" if at_s < 0 else f"live {timedelta(seconds=int(at_s))}"
            numbers.show(what, self._sight.now())
        return chaos

    def _chaos(self) -> Chaos | None:
        if not self._options.chaos:
            return None
        live = self._options.live
        live_s = ENDLESS_CHAOS_S if live is None else live.total_seconds()
        return Chaos(
            self._stage.consumer,
            self._stage.start_consumer,
            self._sight.acknowledged,
            self._sight.consumer_connected,
            begin=CHAOS_BEGINS_S,
            end=live_s - CHAOS_ENDS_S,
            seed=self._options.seed,
        )

    def _wait_for_what_is_due(self, plan: Plan, ended: datetime, numbers: Numbers) -> datetime:
        """Waits until all that was decided before the end is found, or past due.

        Returns:
            Until when what is due counts.
        """
        interrupted = self._interrupt.asked.is_set()
        self._screen.say("live time is over; the fleet stops")
        if interrupted:
            self._screen.say("summing up; Ctrl-C again leaves at once")
            self._stage.fleet.stop()
        self._wait(lambda: not self._stage.fleet.running, "the fleet ends", DRAIN_PATIENCE_S)
        self._check_fleet()
        self._wait(self._drained, "everything produced has landed", DRAIN_PATIENCE_S)
        if interrupted:
            return ended
        due = [
            to_datetime(each.due_by)
            for each in plan.truth
            if each.due_by is not None and to_datetime(each.decided) <= ended
        ]
        last = max(due, default=ended)
        while not self._interrupt.asked.is_set() and datetime.now(UTC) < last:
            self._stage.check()
            numbers.show(
                f"waiting for what is due by {last.astimezone():%H:%M:%S}", self._sight.now()
            )
            if not self._score(plan, self._sight.incidents(), ended, last).missed:
                break
            self._interrupt.asked.wait(LOOK_EVERY_S)
        return last if not self._interrupt.asked.is_set() else datetime.now(UTC)

    def _check_fleet(self) -> None:
        """Looks whether the fleet came to its end: its last word is what it produced."""
        lines = self._stage.fleet.output().splitlines()
        try:
            json.loads(lines[-1])["total"]
        except (IndexError, ValueError, KeyError):
            log = self._stage.fleet.log
            raise DemoError(f"the fleet failed; the end of {log}:\n{tail(log, 30)}") from None

    def _drained(self) -> bool:
        return self._sight.now().lag == 0

    def _score(
        self, plan: Plan, incidents: Sequence[Incident], ended: datetime, until: datetime
    ) -> Score:
        episodes = self._sight.episodes()
        return compare(plan.truth, episodes, incidents, ended, until)

    def _run_jobs(self) -> None:
        """Rebuilds the marts and runs dbt's data tests, and waits for them."""
        self._screen.say("building the marts and running dbt's tests")
        for job in ("marts", "dbt_checks"):
            self._run_job(job)

    def _run_job(self, job: str) -> None:
        words = f"a run of {job} ends"
        self._wait(lambda: not self._dagster.is_active(job), words, JOB_PATIENCE_S)
        run_id = self._dagster.launch(job)
        self._wait(lambda: self._dagster.status(run_id) in FINISHED, words, JOB_PATIENCE_S)

    def _wait(self, done: Callable[[], bool], what: str, patience_s: float) -> None:
        """Waits for a condition while the platform lives.

        Raises:
            DemoError: It did not come true in time, or a program died.
        """
        deadline = time.monotonic() + patience_s
        while not done():
            self._stage.check()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"not within {patience_s:.0f} s: {what}; see the logs in "
                    f"{self._stage.home / 'logs'}"
                )
            time.sleep(LOOK_EVERY_S / 2)


def random_seed() -> int:
    """Returns a seed for a demo that was given none."""
    return random.SystemRandom().randrange(1, 10_000)
