"""The columns of `incident`: their kinds, lengths, choices and the tables they refer to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a column is stored, compared and shown."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"
    REFERENCE = "reference"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `max_length` cuts silently, as the platform's dictionary does.

    Attributes:
        name: The column's name in the API.
        label: What people see, also in policy messages.
        kind: How it is stored and compared.
        max_length: Characters kept on write.
        reference: The table that a reference points to.
        choices: Display values by stored value.
        default: The value of a record that does not set it.
        writable: False where only the instance itself writes.
    """

    name: str
    label: str
    kind: Kind = Kind.TEXT
    max_length: int = 100
    reference: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""
    writable: bool = True

    def display(self, value: str) -> str:
        """The label of a stored choice; any other value as it is."""
        return dict(self.choices).get(value, value)


STATES: Final = (
    ("1", "New"),
    ("2", "In Progress"),
    ("3", "On Hold"),
    ("6", "Resolved"),
    ("7", "Closed"),
    ("8", "Canceled"),
)
_LEVELS: Final = (("1", "1 - High"), ("2", "2 - Medium"), ("3", "3 - Low"))
_PRIORITIES: Final = (
    ("1", "1 - Critical"),
    ("2", "2 - High"),
    ("3", "3 - Moderate"),
    ("4", "4 - Low"),
    ("5", "5 - Planning"),
)


def _time(name: str, label: str, *, writable: bool = False) -> Field:
    return Field(name, label, Kind.TIME, 19, writable=writable)


def _reference(name: str, label: str, table: str, *, writable: bool = True) -> Field:
    return Field(name, label, Kind.REFERENCE, 32, reference=table, writable=writable)


INCIDENT: Final[dict[str, Field]] = {
    field.name: field
    for field in (
        Field("sys_id", "Sys ID", max_length=32, writable=False),
        Field("number", "Number", max_length=40, writable=False),
        Field("sys_class_name", "Task type", default="incident", writable=False),
        _time("sys_created_on", "Created"),
        Field("sys_created_by", "Created by", max_length=40, writable=False),
        _time("sys_updated_on", "Updated"),
        Field("sys_updated_by", "Updated by", max_length=40, writable=False),
        Field("sys_mod_count", "Updates", Kind.INTEGER, default="0", writable=False),
        Field("active", "Active", Kind.BOOLEAN, default="true", writable=False),
        Field("state", "State", Kind.INTEGER, choices=STATES, default="1"),
        Field("incident_state", "Incident state", Kind.INTEGER, choices=STATES, default="1"),
        Field("short_description", "Short description", max_length=160),
        Field("description", "Description", max_length=4000),
        Field("impact", "Impact", Kind.INTEGER, choices=_LEVELS, default="3"),
        Field("urgency", "Urgency", Kind.INTEGER, choices=_LEVELS, default="3"),
        Field(
            "priority", "Priority", Kind.INTEGER, choices=_PRIORITIES, default="5", writable=False
        ),
        Field("category", "Category", max_length=40, default="inquiry"),
        Field("subcategory", "Subcategory", max_length=40),
        Field("contact_type", "Channel", max_length=40),
        _reference("caller_id", "Caller", "sys_user"),
        _reference("opened_by", "Opened by", "sys_user", writable=False),
        _time("opened_at", "Opened"),
        _reference("assignment_group", "Assignment group", "sys_user_group"),
        _reference("assigned_to", "Assigned to", "sys_user"),
        _reference("cmdb_ci", "Configuration item", "cmdb_ci"),
        _reference("parent_incident", "Parent incident", "incident"),
        Field("correlation_id", "Correlation ID"),
        Field("correlation_display", "Correlation display"),
        Field("hold_reason", "On hold reason", Kind.INTEGER, max_length=40),
        Field("close_code", "Resolution code", max_length=40),
        Field("close_notes", "Resolution notes", max_length=4000),
        _time("resolved_at", "Resolved"),
        _reference("resolved_by", "Resolved by", "sys_user", writable=False),
        _time("closed_at", "Closed"),
        _reference("closed_by", "Closed by", "sys_user", writable=False),
        Field("reopen_count", "Reopen count", Kind.INTEGER, default="0", writable=False),
        Field("comments", "Additional comments", Kind.JOURNAL, max_length=65_000),
        Field("work_notes", "Work notes", Kind.JOURNAL, max_length=65_000),
    )
}
COLUMNS: Final = tuple(f for f in INCIDENT.values() if f.kind is not Kind.JOURNAL)
JOURNALS: Final = tuple(f for f in INCIDENT.values() if f.kind is Kind.JOURNAL)
