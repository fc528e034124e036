"""What a backfill has found, as JSON for scripts and as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from streaming.backfill.differences import Finding
from streaming.backfill.episodes import Episode

if TYPE_CHECKING:  # what it is defined in imports Dagster
    from orchestration.resources import Differences

MOST_LINES = 40
"""Of each table; all are in the JSON."""
_CHANGES = ("added", "gone", "changed", "merged")


def as_json(found: Differences) -> dict[str, Any]:
    """Returns all that differs, as it is written for scripts."""
    return {
        "backfill_id": found.backfill_id,
        "compared_with_batch": found.compared_with,
        "findings": [_plain(asdict(each)) for each in found.findings],
        "clears_and_holds": found.others,
        "episodes": [_plain(asdict(each)) for each in found.episodes],
        "unsettled": found.unsettled,
        "left_out": found.left_out,
        "merged_by_batch": found.batch_id,
    }


def summary(found: Differences, *, apply: bool) -> Iterator[Table | str]:
    """Yields counts, tables, and what became of it."""
    if not found.findings and not found.others:
        yield "nothing differs from what had been found"
        return
    yield _counts(found)
    if found.findings:
        yield _findings(found.findings[:MOST_LINES])
        yield from _more(len(found.findings), "findings")
    if found.episodes:
        yield _episodes(found.episodes[:MOST_LINES])
        yield from _more(len(found.episodes), "episodes")
    if found.unsettled:
        yield (
            f"{found.unsettled} episodes stay open: no clear came within a day after the range, "
            "or it is not judged yet"
        )
    if found.left_out:
        yield (
            f"{found.left_out} verdicts were left out: late events have come for them since, or "
            "another backfill was merged. Call this again"
        )
    if found.batch_id is not None:
        yield f"merged by batch {found.batch_id}"
    elif not apply:
        yield "nothing was changed: --apply merges it"


def _counts(found: Differences) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("rule", no_wrap=True)
    for of in ("findings", "episodes"):
        for change in _CHANGES[: 3 if of == "findings" else 4]:
            table.add_column(f"{of} {change}", justify="right")
    findings = Counter((each.rule_id, each.change) for each in found.findings)
    episodes = Counter((each.rule_id, each.change) for each in found.episodes)
    for rule in sorted({rule for rule, _ in findings.keys() | episodes.keys()}):
        numbers = [findings[rule, change] for change in _CHANGES[:3]]
        numbers += [episodes[rule, change] for change in _CHANGES]
        table.add_row(rule, *(f"{each:,}" if each else "" for each in numbers))
    table.caption = f"clears and holds that differ: {found.others:,}"
    return table


def _findings(found: Sequence[Finding]) -> Table:
    table = Table("finding", "rule", "on", "window end", "was", "is", box=box.SIMPLE_HEAD)
    for each in found:
        table.add_row(
            each.change,
            each.rule_id,
            _subject(each),
            _clock(each.window_end),
            _measured(each.was_observed, each.was_threshold),
            _measured(each.observed, each.threshold),
        )
    return table


def _episodes(found: Sequence[Episode]) -> Table:
    table = Table("episode", "rule", "on", "was", "is", "open incident", box=box.SIMPLE_HEAD)
    for each in found:
        table.add_row(
            each.change,
            each.rule_id,
            _subject(each),
            _span(each.was_opened_at, each.was_resolved_at),
            _span(each.opened_at, each.resolved_at),
            each.incident or "",
        )
    return table


def _more(count: int, name: str) -> Iterator[str]:
    if count > MOST_LINES:
        yield f"… and {count - MOST_LINES:,} more {name}: --json has all"


def _subject(each: Finding | Episode) -> str:
    return f"{each.subject} {each.component}".rstrip()


def _measured(observed: float | None, threshold: float | None) -> str:
    if observed is None and threshold is None:
        return ""
    return f"{_number(observed)} ({_number(threshold)})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _span(opened: datetime | None, resolved: datetime | None) -> str:
    if opened is None:
        return ""
    return f"{_clock(opened)} – {'open' if resolved is None else _clock(resolved)}"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }
