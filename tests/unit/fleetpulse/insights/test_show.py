"""What a person, and a script, is told of a backfill."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from fleetpulse.insights.show import MOST_LINES, as_json, summary
from orchestration.resources import Differences
from streaming.backfill.differences import Finding
from streaming.backfill.episodes import Episode

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDED = Finding("added", "error_burst", "1", "VM-1", "", NOON, None, None, 6, 5)
ENDED = Episode("gone", "e", "error_burst", "VM-2", "", NOON, None, None, None, "INC0000007")
FOUND = Differences(7, 40, [ADDED], 3, [ENDED], 0)


def printed(found: Differences, *, apply: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200)
    for each in summary(found, apply=apply):
        console.print(each)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_findings_and_episodes_are_told_with_what_they_were_and_the_incident_left_open() -> None:
    words = printed(FOUND)
    assert "added     error_burst   VM-1   2026-03-01T12:00:00Z         6 (5)" in words
    assert "INC0000007" in words
    assert "nothing was changed: --apply merges it" in words


def test_no_more_lines_are_printed_than_one_can_read_and_the_json_has_all() -> None:
    many = replace(FOUND, findings=[ADDED] * (MOST_LINES + 2))
    assert "… and 2 more findings: --json has all" in printed(many)
    assert len(json.loads(json.dumps(as_json(many)))["findings"]) == MOST_LINES + 2


def test_without_a_difference_that_is_all_that_is_told() -> None:
    assert printed(Differences(7, 40, [], 0, [], 0)) == "nothing differs from what had been found\n"


def test_what_was_merged_and_what_was_not_is_told() -> None:
    words = printed(replace(FOUND, batch_id=41, left_out=2, unsettled=1), apply=True)
    assert "merged by batch 41" in words
    assert "2 verdicts were left out" in words
    assert "1 episodes stay open" in words
