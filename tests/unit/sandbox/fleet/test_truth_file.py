"""The file of truth: what was written is read; what is wrong is named."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.fleet import Faults, FleetConfig, TruthError, make_plan
from sandbox.fleet.truth import dump, load

PLAN = make_plan(
    FleetConfig(400, 1, datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(hours=4), faults=Faults.ALL)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "truth.jsonl"
    path.write_text(dump(PLAN.truth), encoding="utf-8")
    return path


def test_what_was_written_is_read(file: Path) -> None:
    assert load(file) == PLAN.truth


def test_a_line_has_instants_as_text_and_names_what_others_may_see(file: Path) -> None:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    fault = next(
        line for line in lines if line["rule_id"] == "site_outage" and not line["lookalike"]
    )
    assert datetime.fromisoformat(fault["from"]) < datetime.fromisoformat(fault["decided"])
    assert fault["subject"] == fault["site_id"]
    assert {each["rule_id"] for each in fault["also"]} == {"heartbeat_missing"}
    assert not any(each["ticketed"] for each in fault["also"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rule": "door_left_open"}, "unknown field `rule`"),
        ({"from": None}, r"\$.from"),
        ({"from": "2026-03-01T12:00:00"}, r"\$.from"),
        ({"expected": "ticket"}, r"\$.expected"),
        ({"lookalike": True, "expected": "incident"}, "correct lookalike, expected or due_by"),
    ],
)
def test_a_line_that_is_no_truth_is_named(file: Path, change: dict[str, object], says: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[4] = json.dumps(json.loads(lines[4]) | change)
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(TruthError, match=f"truth.jsonl, line 5: .*{says}"):
        load(file)


def test_a_file_that_is_not_there_is_named_with_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"none.jsonl: .*`fleetpulse fleet run` writes it"):
        load(tmp_path / "none.jsonl")
