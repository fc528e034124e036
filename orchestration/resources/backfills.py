"""Backfills: the models of production, on the past, in a schema of their own."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from orchestration.errors import DbtError
from orchestration.resources.dbt import Manifest, invoke, read_manifest, where_arguments
from orchestration.resources.ods import Ods
from streaming import batches
from streaming.backfill import base, chunks, differences, endings, episodes, schema
from streaming.backfill.base import Base
from streaming.backfill.chunks import Chunk
from streaming.backfill.differences import Finding
from streaming.backfill.episodes import Episode
from streaming.errors import BackfillError
from streaming.object_store import open_store
from streaming.settings import LakeSettings, OdsSettings

LONGEST_WINDOW = timedelta(days=7)
"""A rule that reaches back further has learned something, which is read as it stood."""
LONGEST_WAIT = timedelta(days=1)
"""So far beyond the range clears are looked for that end what a revision has opened."""
PATIENCE_S = 600.0

_JUDGED = ("--select", "+verdicts")
_FOLDED = ("--select", "+episode_versions", "--exclude", "+verdicts")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be judged again.

    Attributes:
        since: Windows that end after it,
        until: and up to it.
        rules: By these rules; none means all.
        by: Who wants it.
        apply: Whether the differences are merged.
        tickets: Whether ticketing learns of what follows from that.
    """

    since: datetime
    until: datetime
    by: str
    rules: Sequence[str] = ()
    apply: bool = False
    tickets: bool = False


@dataclass(frozen=True, slots=True)
class Differences:
    """What a backfill has found.

    Attributes:
        backfill_id: Its number.
        compared_with: The batch up to which production's findings were compared.
        findings: Those that differ.
        others: How many clears and holds differ.
        episodes: Those that differ in consequence.
        unsettled: Keys of which no clear was found within a day after the range.
        left_out: Verdicts that were not merged: late events have changed more since.
        batch_id: The batch that has merged them; None where none has.
    """

    backfill_id: int
    compared_with: int
    findings: Sequence[Finding]
    others: int
    episodes: Sequence[Episode]
    unsettled: int
    left_out: int = 0
    batch_id: int | None = None


class Backfills:
    """Judges the past again, one at a time."""

    def __init__(self, ods: OdsSettings, lake: LakeSettings) -> None:
        self._ods = Ods(ods)
        self._lake = lake

    def run(self, wanted: Wanted, tell: Tell) -> Differences:
        """Builds, compares and, if that is wanted, merges a backfill; its schema goes at the end.

        Raises:
            BackfillError: It cannot be as it is wanted.
            BatchBusyError: Another run has worked on a batch for ten minutes; nothing is merged.
            DbtError: A model failed.
            FatalError: The lake lacks records.
            OutageError: The lake does not answer.
        """
        manifest = read_manifest()
        rules = _rules(manifest)
        chosen = base.chosen(list(rules), wanted.rules)
        with (
            self._ods.connect("orchestrator") as control,
            self._ods.connect("dbt") as work,
            tempfile.TemporaryDirectory(prefix="fleetpulse-backfill-") as folder,
        ):
            work.execute("set timezone = 'UTC'; set jit = off")
            _wait_alone(control, tell)
            _sweep(control)
            found = base.find(work)
            base.check(found, wanted.since, wanted.until)
            with _schema(control, wanted, chosen, tell) as number:
                build = _Build(self._ods, self._lake, work, found, number, Path(folder), tell)
                result = build.compare(wanted, manifest, {each: rules[each] for each in chosen})
                if wanted.apply and (result.findings or result.others):
                    result = build.merge(result, control, tickets=wanted.tickets)
        return result


class _Build:
    """One backfill, in its schema."""

    def __init__(
        self,
        ods: Ods,
        lake: LakeSettings,
        work: psycopg.Connection,
        found: Base,
        number: int,
        folder: Path,
        tell: Tell,
    ) -> None:
        self._ods = ods
        self._store = open_store(lake)
        self._work = work
        self._base = found
        self._number = number
        self._schema = schema.name_of(number)
        self._batch = found.batch_id
        self._repairs = chunks.repairs(self._store, found)
        self._folder = folder
        self._tell = tell

    def compare(
        self, wanted: Wanted, manifest: Manifest, metas: Mapping[str, Mapping[str, Any]]
    ) -> Differences:
        """Judges the range, and returns what differs."""
        work, name, found = self._work, self._schema, self._base
        clears = {rule: meta["clear_for"].get("windows") or 1 for rule, meta in metas.items()}
        read_from = wanted.since - reach(metas.values())
        as_it_stood = _tagged(manifest, "as_it_stood")
        left_out = [f"rule_{each}" for each in _rules(manifest) if each not in metas]
        last = min(wanted.until + LONGEST_WAIT, found.watermark)
        schema.prepare(
            work, name, found, read_from, wanted.since, last, clears, as_it_stood, left_out
        )
        excluded = ["--exclude", *as_it_stood, *left_out]
        if read_from < wanted.since:
            self._judge(read_from, wanted.since, [*_JUDGED, *excluded, "verdicts"])
        self._judge(wanted.since, wanted.until, [*_JUDGED, *excluded])
        differences.compare(work, name, found, wanted.since, wanted.until, clears)
        unsettled = self._settle(wanted.until, last, clears, [*_JUDGED, *excluded])
        self._tell("folding the episodes that would follow")
        self._batch += 1
        episodes.prepare(work, name, found, self._batch)
        self._dbt(_FOLDED, name)
        return Differences(
            self._number,
            found.batch_id,
            differences.findings(work, name),
            differences.others(work, name),
            episodes.read(work, name, self._batch),
            unsettled,
        )

    def merge(
        self, result: Differences, control: psycopg.Connection, *, tickets: bool
    ) -> Differences:
        """Makes the revisions verdicts of production, in a batch of their own."""
        self._tell("merging")
        with self._ods.batch_lock(PATIENCE_S):
            while True:
                left_out = differences.leave_out_stale(self._work, self._schema, self._base)
                result = replace(result, left_out=result.left_out + left_out)
                if not differences.any_left(self._work, self._schema):
                    return result
                cut = batches.cut_for_backfill(control, self._number, tickets=tickets)
                # What is unfinished comes first, whoever has cut it.
                self._dbt(("--selector", "insights_batch"))
                if cut is not None:
                    return replace(result, batch_id=cut.batch_id)

    def _settle(
        self, until: datetime, last: datetime, clears: Mapping[str, int], models: Sequence[str]
    ) -> int:
        """Looks beyond the range for clears; returns how many keys still lack one."""
        work, name, found = self._work, self._schema, self._base
        left = endings.unsettled(work, name, found, until, clears)
        while left and until < last:
            self._tell(f"{left} would stay open at {until:%Y-%m-%d %H:%M}: looking for their end")
            end = min(until + chunks.STEP, last)
            self._judge(until, end, models)
            endings.add(work, name, found, until, end)
            until = end
            left = endings.unsettled(work, name, found, until, clears)
        return left

    def _judge(self, since: datetime, until: datetime, models: Sequence[str]) -> None:
        for each in chunks.chunks(self._work, self._base, since, until):
            self._tell(f"{_words(each)}: reading the lake")
            self._batch += 1
            chunks.load(
                self._work, self._store, self._schema, self._base, self._repairs, each, self._batch
            )
            self._tell(f"{_words(each)}: judging")
            self._dbt(models, self._schema)
            chunks.finish(self._work, self._schema, each, self._batch)

    def _dbt(self, models: Sequence[str], into: str | None = None) -> None:
        silent = ("--quiet", "--log-level", "none")  # standard output is the caller's
        problem, _ = invoke(["run", *models, *silent, *where_arguments("prod", self._folder)], into)
        if problem is not None:
            raise DbtError(problem)


def reach(metas: Iterable[Mapping[str, Any]]) -> timedelta:
    """Returns how far before a range the lake is read, for rules with these metas."""
    spans = [timedelta(seconds=meta["reach_s"]) for meta in metas]
    return max((each for each in spans if each <= LONGEST_WINDOW), default=timedelta(0))


def _rules(manifest: Manifest) -> dict[str, Mapping[str, Any]]:
    return {
        node["name"].removeprefix("rule_"): node["config"]["meta"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["name"].startswith("rule_")
    }


def _tagged(manifest: Manifest, tag: str) -> list[str]:
    nodes = manifest["nodes"].values()
    return sorted(node["name"] for node in nodes if tag in node["tags"])


def _wait_alone(control: psycopg.Connection, tell: Tell) -> None:
    """Waits until no other backfill is at work: the lock is the session's."""
    lock = "(hashtext('fleetpulse.backfill'))"
    row = control.execute(f"select pg_try_advisory_lock{lock}").fetchone()
    if row is not None and not row[0]:
        tell("another backfill is at work: waiting for it")
        control.execute(f"select pg_advisory_lock{lock}")


def _sweep(control: psycopg.Connection) -> None:
    """Drops what backfills that died have left; one whose merge is cut is still needed."""
    for number in schema.left_behind(control):
        _drop(control, number)


@contextmanager
def _schema(
    control: psycopg.Connection, wanted: Wanted, rules: Sequence[str], tell: Tell
) -> Iterator[int]:
    row = control.execute(
        "select control.begin_backfill(%s, %s, %s, %s)",
        [wanted.since, wanted.until, list(rules), wanted.by],
    ).fetchone()
    if row is None:
        raise BackfillError("the ODS gave the backfill no number")
    try:
        yield row[0]
    finally:
        if not _drop(control, row[0]):
            tell(f"backfill_{row[0]} stays until the next attempt at its batch has merged it")


def _drop(control: psycopg.Connection, number: int) -> bool:
    """Drops a backfill's schema; returns whether a batch did not need it."""
    try:
        control.execute("select control.end_backfill(%s)", [number])
    except psycopg.errors.ObjectInUse:
        return False
    return True


def _words(chunk: Chunk) -> str:
    span = f"{chunk.since:%Y-%m-%d %H:%M} to {chunk.until:%Y-%m-%d %H:%M}"
    return f"{span}, {chunk.records:,} events"
