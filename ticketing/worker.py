"""Works off due intents against a target, so that one episode has one incident.

The rules that keep it so, whatever fails between any two lines:

1. Intents of one dedupe key are worked off in order, under a lease.
2. Before an incident is created, the target is asked for one that carries the episode or the key.
3. A write is committed to the ledger before it is sent.
4. A create whose outcome is unknown is not repeated before it can no longer take effect; until
   then a look-up may adopt what it made.
5. What came of it, incident and outcome, is recorded in one transaction.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from ticketing import incident as content
from ticketing.decision import Action, Outcome, decide
from ticketing.errors import (
    FatalError,
    LeaseLostError,
    OutcomeUnknownError,
    RejectedError,
    RetriableError,
    UnavailableError,
)
from ticketing.ledger import Intent, Ledger
from ticketing.settings import ServiceNowSettings
from ticketing.target import FINAL, FINISHED, Fields, Incident, State, Target
from ticketing.transition import Kind

_FIRST_BACKOFF_S: Final = 2.0
_LONGEST_BACKOFF_S: Final = 300.0
_UNAVAILABLE_S: Final = 15.0
_UNWELL_S: Final = 5.0
_FATAL_S: Final = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, in intents.

    Attributes:
        opened: Incidents created, or adopted after an answer was lost.
        updated: Work notes written.
        resolved: Incidents resolved.
        reopened: Incidents set back to work.
        skipped: Intents that needed nothing sent.
        deferred: Intents that are still to be done.
        failed: Writes that ServiceNow refused in this run; they are tried again later.
    """

    opened: int = 0
    updated: int = 0
    resolved: int = 0
    reopened: int = 0
    skipped: int = 0
    deferred: int = 0
    failed: int = 0


_COUNTED: Final = {
    Outcome.OPENED: "opened",
    Outcome.ADOPTED: "opened",
    Outcome.NOTED: "updated",
    Outcome.RESOLVED: "resolved",
    Outcome.REOPENED: "reopened",
}


class _Postponed(Exception):  # noqa: N818 - not a failure: the intent waits
    """This intent waits; the run goes on with others."""


class Worker:
    """Brings a target to what the ledger's intents say.

    Args:
        ledger: This worker's view of the ledger.
        target: The ticket system.
        settings: What to write there.
        monotonic: The clock of deadlines.
    """

    def __init__(
        self,
        ledger: Ledger,
        target: Target,
        settings: ServiceNowSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._target = target
        self._settings = settings
        self._monotonic = monotonic

    def run_due(self, deadline: float, *, hold_opens: bool = False) -> Summary:
        """Claims new transitions, then does what is due, the most severe first.

        Safe to call at any time, by any number of workers, and to kill at any point.

        Args:
            deadline: When to stop taking intents, on the monotonic clock.
            hold_opens: Whether creating incidents waits, because the pipeline is catching up.

        Returns:
            What was done.

        Raises:
            FatalError: Settings, credentials or rights are wrong. All workers pause for a minute.
            NotReadyError: There are no transitions to read yet.
        """
        self._ledger.claim()
        counts: Counter[str] = Counter()
        put_off: list[int] = []
        while self._monotonic() < deadline and self._ledger.paused() is None:
            key = self._ledger.lease(except_intents=put_off)
            if key is None:
                break
            intent = self._ledger.head(key)
            if intent is not None:
                self._attend(intent, counts, put_off, hold_opens=hold_opens)
            self._ledger.release(key)
        return Summary(**counts, deferred=self._ledger.pending().count)

    def _attend(
        self, intent: Intent, counts: Counter[str], put_off: list[int], *, hold_opens: bool
    ) -> None:
        """Does one intent, and turns what went wrong into when it is tried again."""
        log = _log.bind(
            episode_id=str(intent.transition.episode_id), no=intent.transition.transition_no
        )
        try:
            outcome = self._do(intent, hold_opens=hold_opens)
        except _Postponed:
            put_off.append(intent.intent_id)
        except LeaseLostError as error:
            put_off.append(intent.intent_id)
            log.warning("lease lost", problem=str(error))
        except OutcomeUnknownError as error:
            # A create stays due: the look-up that comes first is what can settle it.
            wait_s = _backoff(intent.failures) if intent.situation.ticketed else 0.0
            self._ledger.back_off(intent, wait_s, str(error))
            log.warning("outcome unknown", problem=str(error))
        except UnavailableError as error:
            asked_s = error.retry_after_s
            self._ledger.pause(_UNAVAILABLE_S if asked_s is None else asked_s, str(error))
            log.warning("ServiceNow is unavailable", problem=str(error))
        except FatalError as error:
            self._ledger.postpone(intent, None, str(error))
            self._ledger.pause(_FATAL_S, str(error))
            self._ledger.release(intent.transition.dedupe_key)
            raise
        except RetriableError as error:
            # Both: the instance may be unwell, or it is this one incident that it cannot serve.
            self._ledger.back_off(intent, _backoff(intent.failures), str(error))
            self._ledger.pause(_UNWELL_S, str(error))
            log.warning("put off", problem=str(error))
        except RejectedError as error:
            counts["failed"] += 1
            self._ledger.back_off(intent, _backoff(intent.failures), str(error))
            log.warning("refused", problem=str(error))
        else:
            counts[_COUNTED.get(outcome, "skipped")] += 1
            log.info("done", outcome=outcome)

    def _do(self, intent: Intent, *, hold_opens: bool) -> Outcome:
        decision = decide(intent.situation)
        # Alarms tell why the pipeline lags: they do not wait until it has caught up.
        hold_opens = hold_opens and not intent.transition.is_alarm
        match decision.action:
            case Action.RECORD:
                return self._record(intent, decision.outcome or Outcome.OVER)
            case Action.FIND:
                return self._find(intent)
            case Action.OPEN:
                return self._open(intent, hold=hold_opens)
            case Action.NOTE:
                return self._note(intent, hold=hold_opens)
            case Action.REOPEN:
                return self._reopen(intent, hold=hold_opens)
            case Action.RESOLVE:
                return self._resolve(intent)

    def _record(self, intent: Intent, outcome: Outcome) -> Outcome:
        self._ledger.finish(intent, outcome)
        return outcome

    def _open(self, intent: Intent, *, hold: bool) -> Outcome:
        """Adopts the incident that is already there, else creates it."""
        found = self._look_up(intent)
        if found is not None:
            self._ledger.finish(intent, Outcome.ADOPTED, incident=found, adopted=True)
            return Outcome.ADOPTED
        self._wait_until_settled(intent)
        if hold:
            self._ledger.postpone(intent, None, "held: the pipeline is catching up")
            raise _Postponed
        fields = content.opening(intent.transition, self._settings)
        attempt, created = self._write(intent, Action.OPEN, lambda: self._target.create(fields))
        self._ledger.finish(intent, Outcome.OPENED, incident=created, attempt=attempt)
        self._require_correlation(created, fields)
        return Outcome.OPENED

    def _find(self, intent: Intent) -> Outcome:
        """Nothing is to be opened any more; but an earlier create may have taken effect."""
        found = self._look_up(intent)
        if found is None:
            self._wait_until_settled(intent)
            muted = intent.situation.muted
            return self._record(intent, Outcome.MUTED if muted else Outcome.OVER)
        if intent.situation.kind is Kind.RESOLVE:
            self._ledger.adopt(intent, found)
            return self._finish_off(intent, found)
        self._ledger.finish(intent, Outcome.ADOPTED, incident=found, adopted=True)
        return Outcome.ADOPTED

    def _note(self, intent: Intent, *, hold: bool) -> Outcome:
        current = self._current(intent)
        if current is None:
            return self._open(intent, hold=hold)
        if current.state in FINAL:
            self._ledger.finish(intent, Outcome.CLOSED_BY_HAND, incident=current)
            return Outcome.CLOSED_BY_HAND
        return self._annotate(intent, current)

    def _annotate(self, intent: Intent, current: Incident) -> Outcome:
        """Adds a work note, unless a try whose answer was lost has added it."""
        marker = content.marker(intent.transition)
        if intent.attempts and self._target.has_note(current.sys_id, marker):
            self._ledger.finish(intent, Outcome.NOTED, incident=current)
            return Outcome.NOTED
        return self._change(intent, current, Action.NOTE, content.note(intent.transition))

    def _reopen(self, intent: Intent, *, hold: bool) -> Outcome:
        current = self._current(intent)
        if current is None:
            return self._open(intent, hold=hold)
        if current.state in FINAL:
            # Closed for good over there: the fault that came back needs an incident of its own.
            self._ledger.retire(intent, "closed")
            return self._open(intent, hold=hold)
        if current.state != State.RESOLVED:
            return self._annotate(intent, current)
        return self._change(intent, current, Action.REOPEN, content.reopening(intent.transition))

    def _resolve(self, intent: Intent) -> Outcome:
        current = self._current(intent)
        if current is None:
            return self._record(intent, Outcome.GONE)
        return self._finish_off(intent, current)

    def _finish_off(self, intent: Intent, current: Incident) -> Outcome:
        if current.state in FINISHED:
            self._ledger.finish(intent, Outcome.ALREADY_RESOLVED, incident=current)
            return Outcome.ALREADY_RESOLVED
        fields = content.resolving(intent.transition, self._settings)
        return self._change(intent, current, Action.RESOLVE, fields)

    def _change(self, intent: Intent, current: Incident, action: Action, fields: Fields) -> Outcome:
        attempt, changed = self._write(
            intent, action, lambda: self._target.change(current.sys_id, fields)
        )
        outcome = _OUTCOMES[action]
        self._ledger.finish(intent, outcome, incident=changed, attempt=attempt)
        return outcome

    def _write(
        self, intent: Intent, action: Action, send: Callable[[], Incident]
    ) -> tuple[int, Incident]:
        """Sends one write between the two halves of its attempt."""
        attempt = self._ledger.begin(intent, action)
        try:
            return attempt, send()
        except OutcomeUnknownError as error:
            self._ledger.fail(attempt, unknown=True, detail=str(error))
            raise
        except (FatalError, RetriableError, RejectedError) as error:
            self._ledger.fail(attempt, unknown=False, detail=str(error))
            raise

    def _look_up(self, intent: Intent) -> Incident | None:
        """The oldest incident of the episode or its key that may be adopted."""
        transition = intent.transition
        found = self._target.find(str(transition.episode_id), transition.dedupe_key)
        left_behind = {*intent.retired, intent.sys_id}
        adoptable = [each for each in found if each.sys_id not in left_behind]
        of_episode = [e for e in adoptable if e.correlation_id == str(transition.episode_id)]
        return next(iter(of_episode or adoptable), None)

    def _current(self, intent: Intent) -> Incident | None:
        """The episode's incident as it is now; None once somebody has deleted it."""
        if intent.sys_id is None:
            return None
        current = self._target.get(intent.sys_id)
        if current is None:
            self._ledger.retire(intent, "deleted")
        return current

    def _wait_until_settled(self, intent: Intent) -> None:
        until = self._ledger.unsettled_until(intent)
        if until is not None:
            self._ledger.postpone(intent, until, "an earlier create may still take effect")
            raise _Postponed

    def _require_correlation(self, created: Incident, fields: Fields) -> None:
        """Stops before a second incident cannot be told from the first."""
        if created.correlation_id != fields["correlation_id"]:
            raise FatalError(
                f"{created.number} came back without its correlation_id: give the account "
                f"{self._settings.username!r} the right to write and read incident.correlation_id"
            )


_OUTCOMES: Final = {
    Action.NOTE: Outcome.NOTED,
    Action.REOPEN: Outcome.REOPENED,
    Action.RESOLVE: Outcome.RESOLVED,
}


def _backoff(failures: int) -> float:
    """Seconds until the next try: doubling, bounded."""
    return min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(failures, 10))
