"""ServiceNow's Table API for `incident`, over requests.

Every answer is sorted by what it means for the caller: a failed read can be repeated, a failed
write may have taken effect. Nothing is retried here, and no error carries a secret.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import orjson
import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from ticketing.errors import (
    FatalError,
    OutcomeUnknownError,
    RejectedError,
    RetriableError,
    TicketingError,
    UnavailableError,
)
from ticketing.settings import ServiceNowSettings
from ticketing.target import FINISHED, Fields, Incident

_FIELDS: Final = (
    "sys_id,number,state,correlation_id,correlation_display,sys_created_on,resolved_at,close_code"
)
_PAGE: Final = 200
_MOST_PAGES: Final = 50
_DETAIL: Final = 300

Json = Mapping[str, object]


class ServiceNowClient:
    """A `Target`: incidents behind one instance's Table API.

    Args:
        settings: The instance and the account.
        now: The clock, to read a `Retry-After` that is a date.
    """

    def __init__(self, settings: ServiceNowSettings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._table = f"{settings.url}/api/now/table/incident"
        self._session = requests.Session()
        self._session.auth = (settings.username, settings.password.get_secret_value())
        self._session.headers["Accept"] = "application/json"

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def find(self, correlation_id: str, correlation_display: str) -> list[Incident]:
        """See `Target.find`.

        An instance ignores a condition on a field that the account cannot query, and answers with
        every incident: what does not carry the id or the key is therefore left out here again.

        Raises:
            FatalError: The filter was ignored on an instance too large to read through.
        """
        finished = ",".join(str(int(state)) for state in sorted(FINISHED))
        query = (
            f"correlation_id={_literal(correlation_id)}"
            f"^NQcorrelation_display={_literal(correlation_display)}^stateNOT IN{finished}"
            "^ORDERBYsys_created_on^ORDERBYnumber"
        )
        found: list[Incident] = []
        for page in range(_MOST_PAGES):
            rows = self._rows(query, offset=page * _PAGE)
            found += [
                incident
                for incident in map(_incident, rows)
                if incident.correlation_id == correlation_id
                or (
                    incident.correlation_display == correlation_display
                    and incident.state not in FINISHED
                )
            ]
            if len(rows) < _PAGE:
                return sorted(found, key=lambda each: (each.opened_at, each.number))
        raise FatalError(
            f"{self._settings.url} ignores a query on correlation_id and answers with every "
            "incident: give the account the right to query incident.correlation_id and "
            "incident.correlation_display"
        )

    def get(self, sys_id: str) -> Incident | None:
        """See `Target.get`."""
        row = self._read(f"/{sys_id}", {"sysparm_fields": _FIELDS})
        if row is None:
            return None
        incident = _incident(_object(row))
        if incident.sys_id != sys_id:
            raise RetriableError(f"asked for incident {sys_id}, was told of {incident.sys_id}")
        return incident

    def has_note(self, sys_id: str, marker: str) -> bool:
        """See `Target.has_note`."""
        row = self._read(
            f"/{sys_id}", {"sysparm_fields": "work_notes", "sysparm_display_value": "true"}
        )
        return row is not None and marker in _text(_object(row), "work_notes")

    def create(self, fields: Fields) -> Incident:
        """See `Target.create`."""
        return self._write("POST", "", fields)

    def change(self, sys_id: str, fields: Fields) -> Incident:
        """See `Target.change`."""
        return self._write("PATCH", f"/{sys_id}", fields)

    def _rows(self, query: str, *, offset: int) -> list[Json]:
        answer = self._read(
            "",
            {
                "sysparm_query": query,
                "sysparm_fields": _FIELDS,
                "sysparm_limit": str(_PAGE),
                "sysparm_offset": str(offset),
                "sysparm_no_count": "true",
                "sysparm_suppress_pagination_header": "true",
            },
        )
        if not isinstance(answer, list):
            raise RetriableError(f"{self._settings.url} answered a query without a list")
        return [_object(row) for row in answer]

    def _read(self, path: str, params: Mapping[str, str]) -> object:
        """The `result` of a GET; None where there is no such record."""
        try:
            response = self._send("GET", path, params=params)
        except OutcomeUnknownError as error:
            raise RetriableError(str(error)) from error
        if response.status_code == requests.codes.not_found:
            return None
        if response.status_code != requests.codes.ok:
            refused = _is_refusal(response)
            raise (RejectedError if refused else RetriableError)(self._story("GET", response))
        return self._result(response, RetriableError)

    def _write(self, method: str, path: str, fields: Fields) -> Incident:
        params = {"sysparm_fields": _FIELDS, "sysparm_exclude_reference_link": "true"}
        response = self._send(method, path, params=params, body=fields)
        if response.status_code not in {requests.codes.ok, requests.codes.created}:
            refused = _is_refusal(response)
            raise (RejectedError if refused else OutcomeUnknownError)(self._story(method, response))
        record = _object(self._result(response, OutcomeUnknownError), OutcomeUnknownError)
        return _incident(record, OutcomeUnknownError)

    def _send(
        self, method: str, path: str, *, params: Mapping[str, str], body: Fields | None = None
    ) -> requests.Response:
        """Sends one request; raises where it certainly took no effect, or nobody knows."""
        settings = self._settings
        try:
            response = self._session.request(
                method,
                self._table + path,
                params=params,
                data=None if body is None else orjson.dumps(body),
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=(settings.connect_timeout_s, settings.read_timeout_s),
                # Given here and not on the session: there REQUESTS_CA_BUNDLE would win.
                verify=True if settings.ca_file is None else str(settings.ca_file),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise FatalError(
                f"the certificate of {settings.url} is not trusted: set "
                "FLEETPULSE_SERVICENOW__CA_FILE to its authority's certificates"
            ) from error
        except requests.exceptions.RequestException as error:
            if _never_sent(error):
                raise UnavailableError(f"cannot connect to {settings.url}") from error
            raise OutcomeUnknownError(
                f"{method} incident: no answer from {settings.url} ({type(error).__name__})"
            ) from error
        self._refuse_trouble(method, response)
        return response

    def _refuse_trouble(self, method: str, response: requests.Response) -> None:
        """Raises for the answers that concern the whole instance or the account."""
        status = response.status_code
        if status == requests.codes.unauthorized:
            raise FatalError(
                f"{self._settings.url} refuses the credentials of {self._settings.username!r}: "
                "check FLEETPULSE_SERVICENOW__USERNAME and FLEETPULSE_SERVICENOW__PASSWORD"
            )
        if response.is_redirect:
            raise FatalError(
                f"{self._settings.url} redirects: set FLEETPULSE_SERVICENOW__URL to the instance"
            )
        if status == requests.codes.too_many_requests:
            raise UnavailableError(self._story(method, response), self._retry_after(response))
        if status == requests.codes.service_unavailable and method == "GET":
            raise UnavailableError(self._story(method, response), self._retry_after(response))

    def _result(self, response: requests.Response, error: type[TicketingError]) -> object:
        """The answer's `result`: a maintenance page has none, though its status is 200."""
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or "result" not in answer:
            raise error(
                f"{self._settings.url} answered {response.status_code} without a result "
                f"({response.headers.get('Content-Type', 'no content type')})"
            )
        return answer["result"]

    def _story(self, method: str, response: requests.Response) -> str:
        """What ServiceNow said of its refusal, bounded."""
        said = ""
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            error = answer["error"]
            said = ": ".join(str(error[k]) for k in ("message", "detail") if error.get(k))
        status = f"{method} incident: {response.status_code}"
        return f"{status} {said}"[:_DETAIL] if said else status

    def _retry_after(self, response: requests.Response) -> float | None:
        """Seconds to wait, from `Retry-After` as a number or a date."""
        value = response.headers.get("Retry-After", "").strip()
        if value.isdecimal():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self._now())
        except ValueError:
            return None


def _is_refusal(response: requests.Response) -> bool:
    """Whether an answer means that the request was understood, and was not carried out."""
    status = response.status_code
    return 400 <= status < 500 and status != requests.codes.request_timeout


def _never_sent(error: requests.exceptions.RequestException) -> bool:
    """Whether no connection was ever made, so that nothing can have taken effect."""
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _literal(value: str) -> str:
    """A value in an encoded query: its carets are doubled, so that it cannot end the condition."""
    return value.replace("^", "^^")


def _object(value: object, error: type[TicketingError] = RetriableError) -> Json:
    if not isinstance(value, dict):
        raise error(f"ServiceNow answered {type(value).__name__} for a record")
    return value


def _text(row: Json, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _incident(row: Json, error: type[TicketingError] = RetriableError) -> Incident:
    """An incident from a record of plain values.

    Raises:
        TicketingError: Of the type `error`: what came back is not an incident.
    """
    try:
        resolved = _text(row, "resolved_at")
        return Incident(
            sys_id=_required(row, "sys_id"),
            number=_required(row, "number"),
            state=int(_required(row, "state")),
            correlation_id=_text(row, "correlation_id"),
            correlation_display=_text(row, "correlation_display"),
            opened_at=_time(_required(row, "sys_created_on")),
            resolved_at=_time(resolved) if resolved else None,
            close_code=_text(row, "close_code") or None,
        )
    except ValueError as problem:
        raise error(f"ServiceNow answered what is not an incident: {problem}") from problem


def _required(row: Json, name: str) -> str:
    value = _text(row, name)
    if not value:
        raise ValueError(f"{name} is missing (may the account read it?)")
    return value


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
