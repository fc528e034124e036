"""The ledger in Postgres: intents, leases, attempts and incidents. Each method is one transaction.

All times that decide are the database's, so that workers on many machines agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.errors import UndefinedTable
from psycopg.rows import class_row, dict_row, scalar_row

from ticketing.alarms import OPERATIONS
from ticketing.decision import Action, Outcome, Situation
from ticketing.errors import FatalError, LeaseLostError, NotReadyError
from ticketing.target import Incident
from ticketing.transition import Kind, RecordId, Transition

_INSIGHTS: Final = sql.Identifier("insights", "transitions")
_ALARMS: Final = sql.Identifier("control", "alarm_transitions")
_CLAIM: Final = sql.SQL("""
insert into ticketing.intents
    (episode_id, transition_no, dedupe_key, kind, severity, muted, at)
select t.episode_id, t.transition_no, t.dedupe_key, t.kind, t.severity, t.muted, t.at
from {transitions} as t
where not exists (
    select from ticketing.intents as i
    where i.episode_id = t.episode_id and i.transition_no = t.transition_no
)
-- A backfill mostly corrects what is long over: nobody is sent for it.
and not exists (
    select from control.batches as b
    where b.batch_id = t.batch_id and not b.tickets
)
order by
    t.batch_id,
    -- Within a batch by episode: a correction's time may be later than what follows it.
    min(t.at) over (partition by t.batch_id, t.episode_id),
    t.episode_id,
    t.transition_no
on conflict (episode_id, transition_no) do nothing
""")
_LEASE: Final = """
with head as (
    select distinct on (dedupe_key) dedupe_key, intent_id, severity, kind, at, due_at
    from ticketing.intents
    where done_at is null
    order by dedupe_key, intent_id
),
next as (
    select head.dedupe_key
    from head
    left join ticketing.leases as lease using (dedupe_key)
    where head.due_at <= now()
        and head.intent_id <> all(%(except_intents)s)
        and (lease.lease_until is null or lease.lease_until <= now())
    order by head.severity, head.kind not in ('open', 'reopen'), head.at, head.intent_id
    limit 1
)
insert into ticketing.leases (dedupe_key, worker, lease_until)
select dedupe_key, %(worker)s, now() + make_interval(secs => %(lease_s)s) from next
on conflict (dedupe_key) do update
    set worker = excluded.worker, lease_until = excluded.lease_until
returning dedupe_key
"""
_HEAD: Final = sql.SQL("""
select intent_id, attempts, failures, t.kind is not null as known, t.*
from (
    select intent_id, attempts, failures, episode_id, transition_no
    from ticketing.intents
    where dedupe_key = %s and done_at is null
    order by intent_id
    limit 1
) as head
left join {transitions} as t using (episode_id, transition_no)
""")
_EPISODE: Final = """
select
    (select sys_id from ticketing.incidents where episode_id = %(episode_id)s) as sys_id,
    array(select sys_id from ticketing.retired where episode_id = %(episode_id)s) as retired,
    (
        select kind in ('resolve', 'hold', 'suppress') from ticketing.intents
        where episode_id = %(episode_id)s
        order by transition_no desc limit 1
    ) as over
"""
_UNSETTLED: Final = """
select max(
    coalesce(a.finished_at, a.lease_until) + make_interval(secs => %(grace_s)s)
) as settled_at
from ticketing.attempts as a
join ticketing.intents as i using (intent_id)
where i.episode_id = %(episode_id)s and a.action = 'create'
    and a.result is distinct from 'done' and a.result is distinct from 'refused'
"""
_RECORD_INCIDENT: Final = """
insert into ticketing.incidents (
    episode_id, dedupe_key, sys_id, number, state, opened_at, resolved_at, close_code, adopted
)
values (
    %(episode_id)s, %(dedupe_key)s, %(sys_id)s, %(number)s, %(state)s, %(opened_at)s,
    %(resolved_at)s, %(close_code)s, %(adopted)s
)
on conflict (episode_id) do update set
    state = excluded.state, resolved_at = excluded.resolved_at, close_code = excluded.close_code,
    last_synced_at = now()
"""
_FINISH: Final = """
update ticketing.intents
set done_at = now(), outcome = %(outcome)s, problem = null
where intent_id = %(intent_id)s and done_at is null
"""
_WRITES: Final = {
    Action.OPEN: "create",
    Action.NOTE: "note",
    Action.RESOLVE: "resolve",
    Action.REOPEN: "reopen",
}

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Intent:
    """The oldest intent of a leased dedupe key, with what its decision needs.

    Attributes:
        attempts: Writes tried so far.
        failures: Tries that failed so far, reads included.
        sys_id: The episode's incident, if there is one.
        retired: Incidents of the episode that must not be adopted again.
        situation: See `decision.decide`.
    """

    intent_id: int
    attempts: int
    failures: int
    transition: Transition
    sys_id: str | None
    retired: frozenset[str]
    situation: Situation


@dataclass(frozen=True, slots=True)
class Pending:
    """What is still to be done: how many intents, and when the next one is due."""

    count: int
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Until when ServiceNow is left alone, and why."""

    until: datetime
    reason: str


class Ledger:
    """One worker's view of the ledger.

    Args:
        connection: A connection of its own, in autocommit mode.
        worker: The worker's identity in leases and attempts.
        lease_s: How long a lease lasts.
        create_grace_s: How long after its end an attempt may still take effect.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        worker: UUID,
        lease_s: float,
        create_grace_s: float,
    ) -> None:
        if not connection.autocommit:
            raise FatalError("the ledger needs a connection in autocommit mode")
        self._db = connection
        self._worker = worker
        self._lease_s = lease_s
        self._create_grace_s = create_grace_s

    def claim(self) -> int:
        """Derives intents from the transitions that have none yet; returns how many.

        Raises:
            NotReadyError: No batch has made `insights.transitions` yet, and no alarm is to be told.
        """
        alarms = self._claim(_ALARMS)
        try:
            return alarms + self._claim(_INSIGHTS)
        except UndefinedTable as error:
            if self.pending().count:
                return alarms
            raise NotReadyError(
                "insights.transitions does not exist yet: run a first batch of insights"
            ) from error

    def _claim(self, transitions: sql.Identifier) -> int:
        with self._db.transaction():
            # One at a time: the order of intents is the order of transitions.
            self._db.execute("select pg_advisory_xact_lock(hashtext('ticketing.claim'))")
            return self._db.execute(_CLAIM.format(transitions=transitions)).rowcount

    def pending(self) -> Pending:
        """What is still to be done."""
        with self._db.cursor(row_factory=class_row(Pending)) as cursor:
            return _always(
                cursor.execute(
                    "select count(*) as count, min(due_at) as next_due_at"
                    " from ticketing.intents where done_at is null"
                ).fetchone()
            )

    def paused(self) -> Pause | None:
        """The pause that is in force, if any."""
        with self._db.cursor(row_factory=class_row(Pause)) as cursor:
            return cursor.execute(
                "select until, reason from ticketing.pause where until > now()"
            ).fetchone()

    def pause(self, seconds: float, reason: str) -> None:
        """Leaves ServiceNow alone for a while, in all workers; never shortens a pause."""
        self._db.execute(
            "update ticketing.pause set until = now() + make_interval(secs => %s), reason = %s"
            " where until < now() + make_interval(secs => %s)",
            (seconds, reason, seconds),
        )

    def lease(self, *, except_intents: Sequence[int]) -> str | None:
        """Takes the dedupe key whose due head is the most severe; None if none is due.

        Args:
            except_intents: Heads that this run has put off.
        """
        with self._db.transaction():
            self._db.execute("select pg_advisory_xact_lock(hashtext('ticketing.lease'))")
            with self._db.cursor(row_factory=scalar_row) as cursor:
                return cursor.execute(
                    _LEASE,
                    {
                        "worker": self._worker,
                        "lease_s": self._lease_s,
                        "except_intents": list(except_intents),
                    },
                ).fetchone()

    def release(self, dedupe_key: str) -> None:
        """Gives a key back, if it is still ours."""
        self._db.execute(
            "delete from ticketing.leases where dedupe_key = %s and worker = %s",
            (dedupe_key, self._worker),
        )

    def head(self, dedupe_key: str) -> Intent | None:
        """The key's oldest intent that is not done."""
        with self._db.transaction(), self._db.cursor(row_factory=dict_row) as cursor:
            head = _HEAD.format(transitions=source_of(dedupe_key))
            row = cursor.execute(head, (dedupe_key,)).fetchone()
            if row is None:
                return None
            if not row["known"]:
                raise FatalError(
                    f"the transition of intent {row['intent_id']} of {dedupe_key} is gone: "
                    "tables of transitions are append-only; restore it"
                )
            transition = transition_of(row)
            episode = {"episode_id": transition.episode_id}
            facts = _always(cursor.execute(_EPISODE, episode).fetchone())
            unsettled = _always(
                cursor.execute(_UNSETTLED, episode | {"grace_s": self._create_grace_s}).fetchone()
            )
        situation = Situation(
            kind=transition.kind,
            muted=transition.muted,
            over=facts["over"],
            ticketed=facts["sys_id"] is not None,
            maybe_created=unsettled["settled_at"] is not None,
        )
        return Intent(
            intent_id=row["intent_id"],
            attempts=row["attempts"],
            failures=row["failures"],
            transition=transition,
            sys_id=facts["sys_id"],
            retired=frozenset(facts["retired"]),
            situation=situation,
        )

    def unsettled_until(self, intent: Intent) -> datetime | None:
        """Until when an earlier create of the episode may still take effect; None if it cannot."""
        with self._db.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(
                f"select settled_at from ({_UNSETTLED}) as s where settled_at > now()",  # noqa: S608
                {"episode_id": intent.transition.episode_id, "grace_s": self._create_grace_s},
            ).fetchone()

    def begin(self, intent: Intent, action: Action) -> int:
        """Commits that a write is about to be sent, and renews the lease for it.

        Raises:
            LeaseLostError: The lease ended; nothing may be sent.
        """
        with self._db.transaction(), self._db.cursor(row_factory=scalar_row) as cursor:
            lease_until = cursor.execute(
                "update ticketing.leases set lease_until = now() + make_interval(secs => %s)"
                " where dedupe_key = %s and worker = %s and lease_until > now()"
                " returning lease_until",
                (self._lease_s, intent.transition.dedupe_key, self._worker),
            ).fetchone()
            if lease_until is None:
                raise LeaseLostError(f"the lease on {intent.transition.dedupe_key} has ended")
            cursor.execute(
                "update ticketing.intents set attempts = attempts + 1,"
                " first_attempt_at = coalesce(first_attempt_at, now()) where intent_id = %s",
                (intent.intent_id,),
            )
            attempt: int = _always(
                cursor.execute(
                    "insert into ticketing.attempts (intent_id, action, worker, lease_until)"
                    " values (%s, %s, %s, %s) returning attempt_id",
                    (intent.intent_id, _WRITES[action], self._worker, lease_until),
                ).fetchone()
            )
        return attempt

    def fail(self, attempt: int, *, unknown: bool, detail: str) -> None:
        """Records that a write was refused, or that its outcome is not known."""
        self._finish_attempt(attempt, "unknown" if unknown else "refused", detail)

    def postpone(self, intent: Intent, until: datetime | None, problem: str) -> None:
        """Puts an intent off: to a time, or to the next run."""
        self._db.execute(
            "update ticketing.intents set due_at = coalesce(%s, due_at), problem = %s"
            " where intent_id = %s and done_at is null",
            (until, problem, intent.intent_id),
        )

    def back_off(self, intent: Intent, seconds: float, problem: str) -> None:
        """Counts a failed try and puts the intent off for so many seconds."""
        self._db.execute(
            "update ticketing.intents set failures = failures + 1, problem = %s,"
            " due_at = now() + make_interval(secs => %s)"
            " where intent_id = %s and done_at is null",
            (problem, seconds, intent.intent_id),
        )

    def finish(
        self,
        intent: Intent,
        outcome: Outcome,
        *,
        incident: Incident | None = None,
        attempt: int | None = None,
        adopted: bool = False,
    ) -> None:
        """Records an intent's outcome, with the incident as it is now.

        Raises:
            LeaseLostError: Another worker has taken the key over; only the attempt is recorded.
        """
        with self._db.transaction():
            if attempt is not None:
                detail = None if incident is None else f"{incident.number} {incident.sys_id}"
                self._finish_attempt(attempt, "done", detail)
            mine = self._db.execute(
                "select 1 from ticketing.leases where dedupe_key = %s and worker = %s for update",
                (intent.transition.dedupe_key, self._worker),
            ).rowcount
            if mine:
                if incident is not None:
                    self._record(intent, incident, adopted=adopted)
                self._db.execute(_FINISH, {"outcome": outcome, "intent_id": intent.intent_id})
        if not mine:
            raise LeaseLostError(f"the lease on {intent.transition.dedupe_key} was taken over")

    def adopt(self, intent: Intent, incident: Incident) -> None:
        """Records an incident that was found, while its intent goes on."""
        with self._db.transaction():
            self._record(intent, incident, adopted=True)

    def retire(self, intent: Intent, reason: str) -> None:
        """Lets an episode's incident go: people closed or deleted it."""
        with self._db.transaction():
            self._db.execute(
                "with gone as (delete from ticketing.incidents where episode_id = %s"
                " returning sys_id, episode_id, number)"
                " insert into ticketing.retired (sys_id, episode_id, number, reason)"
                " select sys_id, episode_id, number, %s from gone on conflict do nothing",
                (intent.transition.episode_id, reason),
            )

    def _record(self, intent: Intent, incident: Incident, *, adopted: bool) -> None:
        self._db.execute(
            _RECORD_INCIDENT,
            {
                "episode_id": intent.transition.episode_id,
                "dedupe_key": intent.transition.dedupe_key,
                "sys_id": incident.sys_id,
                "number": incident.number,
                "state": incident.state,
                "opened_at": incident.opened_at,
                "resolved_at": incident.resolved_at,
                "close_code": incident.close_code,
                "adopted": adopted,
            },
        )

    def _finish_attempt(self, attempt: int, result: str, detail: str | None) -> None:
        self._db.execute(
            "update ticketing.attempts set finished_at = now(), result = %s, detail = %s"
            " where attempt_id = %s",
            (result, detail, attempt),
        )


def _always(row: Row | None) -> Row:
    """The row of a query that cannot have none."""
    if row is None:
        raise LookupError("a query that always has a row had none")
    return row


def source_of(dedupe_key: str) -> sql.Identifier:
    """The relation that has the transitions of a key."""
    return _ALARMS if dedupe_key.startswith(f"{OPERATIONS}|") else _INSIGHTS


def transition_of(row: dict[str, Any]) -> Transition:
    """A row of such a relation as its type; columns that it does not know are left out."""
    names = {field.name for field in fields(Transition)}
    known = {name: value for name, value in row.items() if name in names}
    return Transition(
        **known
        | {
            "kind": Kind(row["kind"]),
            "evidence": tuple(RecordId(**record) for record in row["evidence"] or ()),
            "children": tuple(row.get("children") or ()),
        }
    )
