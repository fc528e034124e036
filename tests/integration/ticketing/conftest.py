import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from sandbox.postgres import ODS_ROLES
from sandbox.servicenow import query
from sandbox.servicenow.fields import INCIDENT
from sandbox.servicenow.rules import Record
from sandbox.servicenow.testing import PASSWORD, USERNAME, Instance, serve
from ticketing.client import ServiceNowClient
from ticketing.ledger import Ledger
from ticketing.settings import ServiceNowSettings
from ticketing.target import Target
from ticketing.worker import Summary, Worker

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TRANSITIONS = """
create table insights.transitions (
    episode_id uuid, transition_no int, kind text, cause text, dedupe_key text, rule_id text,
    rule_version text, severity int, subject text, component text, site_id text, device_id text,
    assignment_group text, cmdb_ci text, runbook text, muted bool, at timestamptz,
    window_start timestamptz, window_end timestamptz, observed double precision,
    threshold double precision, evidence jsonb, children jsonb, batch_id bigint,
    decided_at timestamptz
);
grant select on insights.transitions to fleetpulse_ticketing;
"""


@dataclass(frozen=True)
class Ods:
    """A migrated ODS, by role."""

    environment: dict[str, str]
    database: str

    def settings(self, role: str) -> dict[str, str]:
        """Returns what a process with this role must be told, without `FLEETPULSE_`."""
        names = ("ODS__HOST", "ODS__PORT", f"ODS__PASSWORDS__{role}")
        told = {name: self.environment[f"FLEETPULSE_{name}"] for name in names}
        return told | {"ODS__DATABASE": self.database}

    def connect(self, role: str) -> psycopg.Connection[tuple[object, ...]]:
        told = self.settings(role)
        return psycopg.connect(
            host=told["ODS__HOST"],
            port=told["ODS__PORT"],
            dbname=told["ODS__DATABASE"],
            user=ODS_ROLES[role],
            password=told[f"ODS__PASSWORDS__{role}"],
            autocommit=True,
        )


@pytest.fixture(scope="module")
def ods(sandbox_env: dict[str, str], fresh_database: Callable[[], str]) -> Ods:
    ods = Ods(sandbox_env, fresh_database())
    with ods.connect("DBT") as dbt:
        dbt.execute(TRANSITIONS)
    return ods


@pytest.fixture
def servicenow(tmp_path: Path) -> Iterator[Instance]:
    with serve(tmp_path / "instance.db") as running:
        yield running


class Scene:
    """One test's transitions, workers and ServiceNow, from empty tables."""

    def __init__(self, ods: Ods, servicenow: Instance, stack: ExitStack) -> None:
        self.servicenow = servicenow
        self._ods = ods
        self._stack = stack
        self._owner = stack.enter_context(ods.connect("OWNER"))
        self._dbt = stack.enter_context(ods.connect("DBT"))
        self._batch = 0
        self._dbt.execute("truncate insights.transitions")
        self._owner.execute(
            "truncate ticketing.intents, ticketing.attempts, ticketing.incidents,"
            " ticketing.retired, ticketing.leases, control.alarms restart identity"
        )
        self.forget_pause()

    def transition(
        self, kind: str, episode: UUID, no: int, *, key: str = "", **changes: object
    ) -> None:
        self._batch += 1
        at = STARTED + timedelta(minutes=self._batch)
        subject = key or f"VM-{episode.hex[:6]}"
        row = {
            "episode_id": episode,
            "transition_no": no,
            "kind": kind,
            "cause": "cleared" if kind == "resolve" else "breach",
            "dedupe_key": key or f"cabinet_over_temperature|{subject}|cabinet",
            "rule_id": "cabinet_over_temperature",
            "rule_version": "1",
            "severity": 2,
            "subject": subject,
            "component": "cabinet",
            "site_id": "SITE-0001",
            "device_id": subject,
            "assignment_group": "Refrigeration",
            "cmdb_ci": subject,
            "runbook": "docs/runbooks/cabinet_over_temperature.md",
            "muted": False,
            "at": at,
            "window_start": at - timedelta(minutes=5),
            "window_end": at,
            "observed": 9.4,
            "threshold": 8.0,
            "evidence": Jsonb(
                [{"topic": "telemetry.raw", "epoch": 0, "partition": 1, "offset": 42}]
            ),
            "children": Jsonb([]),
            "batch_id": self._batch,
            "decided_at": at,
        } | changes
        names = ", ".join(row)
        marks = ", ".join(f"%({name})s" for name in row)
        self._dbt.execute(f"insert into insights.transitions ({names}) values ({marks})", row)

    def opening(self, **changes: object) -> UUID:
        episode = uuid4()
        self.transition("open", episode, 1, **changes)
        return episode

    def settings(self, **changes: object) -> ServiceNowSettings:
        return ServiceNowSettings.model_validate(
            {
                "url": self.servicenow.url,
                "username": USERNAME,
                "password": SecretStr(PASSWORD),
                "connect_timeout_s": 2,
                "read_timeout_s": 5,
                "lease_s": 8,
            }
            | changes
        )

    def worker(
        self, *, wrap: Callable[[Target], Target] = lambda target: target, **changes: object
    ) -> Worker:
        settings = self.settings(**changes)
        client = ServiceNowClient(settings)
        self._stack.callback(client.close)
        ledger = Ledger(
            self._stack.enter_context(self._ods.connect("TICKETING")),
            worker=uuid4(),
            lease_s=settings.lease_s,
            create_grace_s=settings.create_grace_s,
        )
        return Worker(ledger, wrap(client), settings)

    def run(self, worker: Worker | None = None, *, hold_opens: bool = False) -> Summary:
        worker = worker or self.worker()
        return worker.run_due(time.monotonic() + 60, hold_opens=hold_opens)

    def incidents(self) -> list[Record]:
        everything = query.parse("ORDERBYnumber", INCIDENT)
        return self.servicenow.store.find(everything, limit=1000, offset=0).records

    def incident(self) -> Record:
        (only,) = self.incidents()
        return only

    def notes(self, record: Record) -> list[str]:
        return [entry.value for entry in self.servicenow.store.journal(record["sys_id"])]

    def edit(self, record: Record, **fields: str) -> None:
        """What a person does to an incident by hand."""
        self.servicenow.store.update(record["sys_id"], fields, user="a technician")

    def outcomes(self) -> list[str | None]:
        return [
            row[0]
            for row in self._owner.execute(
                "select outcome from ticketing.intents order by intent_id"
            )
        ]

    def ledger_rows(self, statement: str) -> list[tuple[object, ...]]:
        return self._owner.execute(statement).fetchall()

    def forget_pause(self) -> None:
        self._owner.execute("update ticketing.pause set until = '-infinity', reason = null")

    def let_time_pass(self, seconds: float) -> None:
        """Moves every time that the ledger waits for into the past."""
        for table, column in (
            ("attempts", "started_at"),
            ("attempts", "finished_at"),
            ("attempts", "lease_until"),
            ("leases", "lease_until"),
            ("intents", "due_at"),
            ("pause", "until"),
        ):
            self._owner.execute(
                f"update ticketing.{table} set {column} = {column} - make_interval(secs => %s)",
                (seconds,),
            )


@pytest.fixture
def scene(ods: Ods, servicenow: Instance) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(ods, servicenow, stack)
