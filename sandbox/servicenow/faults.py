"""What the instance does wrong on demand: limits, failures, lost answers (set by `/_control`)."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from sandbox.servicenow.errors import RateLimitError

Methods = tuple[str, ...]
Count = Annotated[int, Meta(ge=0)]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next `count` requests of `methods` are refused before they do anything.

    A status of 200 answers with a maintenance page in HTML, as a busy instance does.
    """

    status: Annotated[int, Meta(ge=200, le=599)]
    count: Count = 1
    methods: Methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    retry_after_s: Count | None = None


class LostAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next `count` requests of `methods` take effect, but their answer never arrives."""

    count: Count = 1
    methods: Methods = ("POST",)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All faults; the empty plan is a healthy instance.

    Attributes:
        requests_per_hour: The quota in a clock hour, or None for no rule.
        fail: Refusals.
        lose_answer: Lost answers.
        unknown_query_fields: Fields that the account cannot query: conditions on them are ignored.
        invalid_query_returns_no_rows: The property `glide.invalid_query.returns_no_rows`.
    """

    requests_per_hour: Count | None = None
    fail: Failure | None = None
    lose_answer: LostAnswer | None = None
    unknown_query_fields: tuple[str, ...] = ()
    invalid_query_returns_no_rows: bool = False


class Quota(msgspec.Struct, frozen=True):
    """The rate limit that a request counted against."""

    limit: int
    reset: datetime


class Faults:
    """Keeps the plan and counts down what is left of it.

    Args:
        now: The clock, for the hours of the rate limit.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._hour: datetime | None = None
        self._used = 0
        self.plan = Plan()

    def set(self, plan: Plan) -> None:
        """Replaces the plan and starts its counts afresh."""
        with self._lock:
            self.plan = plan
            self._hour, self._used = None, 0

    def count_request(self) -> Quota | None:
        """Counts one request against the hour's quota.

        Raises:
            RateLimitError: It was used up.
        """
        with self._lock:
            limit = self.plan.requests_per_hour
            if limit is None:
                return None
            now = self._now()
            hour = now.replace(minute=0, second=0, microsecond=0)
            if hour != self._hour:
                self._hour, self._used = hour, 0
            reset = hour + timedelta(hours=1)
            if self._used >= limit:
                raise RateLimitError(limit, max(1, round((reset - now).total_seconds())))
            self._used += 1
            return Quota(limit, reset)

    def take_failure(self, method: str) -> Failure | None:
        """The failure that this request meets, if any."""
        with self._lock:
            fault = self.plan.fail
            if fault is None or fault.count == 0 or method not in fault.methods:
                return None
            left = msgspec.structs.replace(fault, count=fault.count - 1)
            self.plan = msgspec.structs.replace(self.plan, fail=left)
            return fault

    def take_lost_answer(self, method: str) -> bool:
        """Whether this request's answer gets lost."""
        with self._lock:
            fault = self.plan.lose_answer
            if fault is None or fault.count == 0 or method not in fault.methods:
                return False
            left = msgspec.structs.replace(fault, count=fault.count - 1)
            self.plan = msgspec.structs.replace(self.plan, lose_answer=left)
            return True
