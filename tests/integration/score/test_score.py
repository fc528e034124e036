"""`fleetpulse score` on an ODS: what is printed for scripts, and the exit code."""

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from fleetpulse.demo.programs import FLEETPULSE
from sandbox.fleet import Truth
from sandbox.fleet.instants import to_ms
from sandbox.fleet.truth import dump
from sandbox.postgres import ODS_ROLES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORD = {"topic": "telemetry.raw", "epoch": 0, "partition": 1, "offset": 42}


class Ods:
    """A migrated ODS with one batch, and a file of truth."""

    def __init__(self, environment: dict[str, str], database: str, truth: Path) -> None:
        self._environment = environment | {"FLEETPULSE_ODS__DATABASE": database}
        self._database = database
        self.truth = truth
        self.execute(
            "create table insights.transitions (episode_id uuid, transition_no integer,"
            " rule_id text, subject text, at timestamptz, evidence jsonb)"
        )
        self.execute("grant select on insights.transitions to fleetpulse_orchestrator")

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(
            host=self._environment["FLEETPULSE_ODS__HOST"],
            port=self._environment["FLEETPULSE_ODS__PORT"],
            dbname=self._database,
            user=ODS_ROLES["OWNER"],
            password=self._environment["FLEETPULSE_ODS__PASSWORDS__OWNER"],
        ) as connection:
            connection.execute(query, values)

    def batch(self) -> None:
        self.execute(
            "insert into control.batches (batch_id, from_offsets, to_offsets, from_watermark,"
            " watermark, records, state, done_at) values (1, '[]', '[]', %s, %s, 0, 'done', now())",
            NOW - timedelta(hours=1),
            NOW,
        )

    def found(self, subject: str) -> None:
        """An episode with its incident."""
        episode_id = uuid4()
        self.execute(
            "insert into insights.transitions values (%s, 1, 'error_burst', %s, %s, %s)",
            *(episode_id, subject, NOW - timedelta(minutes=5), json.dumps([RECORD])),
        )
        self.execute(
            "insert into ticketing.incidents (episode_id, dedupe_key, sys_id, number, state,"
            " opened_at, adopted) values (%s, %s, %s, %s, 1, %s, false)",
            *(episode_id, subject, subject, f"INC-{subject}", NOW - timedelta(minutes=4)),
        )

    def score(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FLEETPULSE, "score", "--truth", str(self.truth), *options],
            env=os.environ | self._environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def ods(
    sandbox_env: dict[str, str],
    fresh_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Ods:
    truth = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    truth.write_text(dump([fault()]), encoding="utf-8")
    return Ods(sandbox_env, fresh_database(), truth)


def fault() -> Truth:
    begins = to_ms(NOW - timedelta(minutes=6))
    return Truth(
        subject="VM-000001",
        component="",
        site_id="SITE-0001",
        kind="alert_burst",
        rule_id="error_burst",
        lookalike=False,
        expected="incident",
        start=begins,
        end=None,
        harm=None,
        decided=begins + 60_000,
        due_by=begins + 125_000,
        phase="live",
    )


def test_the_score_is_printed_for_scripts_and_what_was_asked_for_is_the_exit_code(
    ods: Ods,
) -> None:
    before = ods.score()
    assert before.returncode != 0
    assert "no batch is done yet" in before.stderr

    ods.batch()
    assert ods.score().returncode == 0
    assert ods.score("--min-recall", "1").returncode == 1

    ods.found("VM-000001")
    ods.found("VM-000002")
    found = ods.score("--json", "--min-recall", "1")
    assert found.returncode == 0, found.stderr
    score = json.loads(found.stdout)
    assert (score["recall"], score["precision"]) == (1, 0.5)
    assert [each["subject"] for each in score["false"]] == ["VM-000002"]
    assert [each["evidence"] for each in score["false"]] == [[RECORD]]
    assert score["false_incidents"] == ["INC-VM-000002"]
    assert ods.score("--min-precision", "0.98").returncode == 1

    before_anything_was_due = (NOW - timedelta(minutes=30)).isoformat()
    assert ods.score("--until", before_anything_was_due, "--min-recall", "0.5").returncode == 1
