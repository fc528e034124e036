"""The instance's business rules: what a write makes of an incident, beyond what it was sent."""

from collections.abc import Mapping
from typing import Final

from sandbox.servicenow.errors import DataPolicyError
from sandbox.servicenow.fields import COLUMNS, INCIDENT, Kind

Record = dict[str, str]

RESOLVED: Final = "6"
CLOSED: Final = "7"
CANCELED: Final = "8"
_FINISHED: Final = frozenset({RESOLVED, CLOSED})


def created(body: Mapping[str, object], *, user: str, now: str) -> Record:
    """A new incident from what was posted.

    Raises:
        DataPolicyError: It is posted as resolved, without the fields which that needs.
    """
    blank = {field.name: field.default for field in COLUMNS}
    record = _apply(blank, body) | {
        "sys_created_on": now,
        "sys_created_by": user,
        "opened_at": now,
        "opened_by": user,
    }
    return _settle(blank, record, user=user, now=now)


def updated(before: Record, body: Mapping[str, object], *, user: str, now: str) -> Record:
    """The incident after a change.

    Raises:
        DataPolicyError: The new state needs fields that are empty.
    """
    record = _apply(before, body)
    record["sys_mod_count"] = str(int(before["sys_mod_count"]) + 1)
    return _settle(before, record, user=user, now=now)


def _apply(before: Record, body: Mapping[str, object]) -> Record:
    """Takes the writable fields of a body, cut to their length; the unknown are ignored."""
    record = dict(before)
    for name, value in body.items():
        field = INCIDENT.get(name)
        if field is not None and field.writable and field.kind is not Kind.JOURNAL:
            record[name] = text(value)[: field.max_length]
    changed = record["incident_state"] != before["incident_state"]
    source = "incident_state" if changed and record["state"] == before["state"] else "state"
    record["state"] = record["incident_state"] = record[source]
    return record


def _settle(before: Record, record: Record, *, user: str, now: str) -> Record:
    state = record["state"]
    if state in _FINISHED:
        missing = [f for f in ("close_code", "close_notes") if not record[f].strip()]
        if missing:
            raise DataPolicyError([INCIDENT[name].label for name in missing])
    if state != before["state"]:
        if state in _FINISHED and before["state"] not in _FINISHED:
            record |= {"resolved_at": now, "resolved_by": user}
        if state in {CLOSED, CANCELED}:
            record |= {"closed_at": now, "closed_by": user}
        if before["state"] in _FINISHED and state not in _FINISHED | {CANCELED}:
            record |= dict.fromkeys(
                ("resolved_at", "resolved_by", "closed_at", "closed_by", "close_code"), ""
            )
            record["close_notes"] = ""
            record["reopen_count"] = str(int(record["reopen_count"]) + 1)
    record["active"] = "false" if state in {CLOSED, CANCELED} else "true"
    record["priority"] = priority(record["impact"], record["urgency"])
    return record | {"sys_updated_on": now, "sys_updated_by": user}


def priority(impact: str, urgency: str) -> str:
    """The data look-up of impact and urgency, 1 (critical) to 5 (planning)."""
    levels = {"1": 1, "2": 2, "3": 3}
    return str(levels.get(impact, 3) + levels.get(urgency, 3) - 1)


def text(value: object) -> str:
    """A JSON value as the platform stores it: everything is text, null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
