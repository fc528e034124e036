"""What an incident says: the fields that each transition writes.

Text from events is data: control characters are dropped, lengths are bounded, and the tags by which
ServiceNow renders HTML in notes are broken up. No template of theirs is expanded.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ticketing.settings import ServiceNowSettings
from ticketing.target import State
from ticketing.transition import RELEASED, Transition

_SHORT: Final = 160
_LONG: Final = 4000
_TEXT: Final = 200
_EVIDENCE_SHOWN: Final = 20
_CHILDREN_SHOWN: Final = 20
_CODE_TAG: Final = re.compile(r"\[(/?)code\]", re.IGNORECASE)

# Severity → (impact, urgency); ServiceNow looks the priority up from both: 1 … 5.
_LEVELS: Final = {1: ("1", "1"), 2: ("2", "1"), 3: ("2", "2"), 4: ("3", "2"), 5: ("3", "3")}

_CAUSES: Final = {
    "clear": "the rule's clear condition has held",
    "revised": "late events took the reason away",
    "merged": "it goes on in an older incident of the same key",
    "well": "the platform is well again",
}


def opening(transition: Transition, settings: ServiceNowSettings) -> dict[str, str]:
    """The fields of a new incident."""
    impact, urgency = _LEVELS[transition.severity]
    optional = {
        "assignment_group": transition.assignment_group,
        "cmdb_ci": transition.cmdb_ci,
        "caller_id": settings.caller,
    }
    return {
        "correlation_id": str(transition.episode_id),
        "correlation_display": transition.dedupe_key,
        "short_description": summary(transition),
        "description": description(transition),
        "impact": impact,
        "urgency": urgency,
        "category": settings.category,
        "contact_type": "event",
    } | {name: value for name, value in optional.items() if value}


def note(transition: Transition) -> dict[str, str]:
    """A work note: the episode goes on, and this is what is seen now."""
    lines = [f"Still failing: {_when(transition.at)}.", "", *_facts(transition)]
    text = "\n".join([*lines, *_children(transition)])
    return {"work_notes": _bounded(f"{text}\n\n{marker(transition)}", _LONG)}


def reopening(transition: Transition) -> dict[str, str]:
    """Back to work: the fault came again within the quiet interval."""
    lines = [f"Failing again since {_when(transition.at)}.", "", *_facts(transition)]
    text = "\n".join([*lines, *_children(transition)])
    return {
        "state": str(int(State.IN_PROGRESS)),
        "work_notes": _bounded(f"{text}\n\n{marker(transition)}", _LONG),
    }


def resolving(transition: Transition, settings: ServiceNowSettings) -> dict[str, str]:
    """Resolved: the fault is over, was none, or goes on in another incident."""
    cause = _CAUSES.get(transition.cause, clean(transition.cause, _TEXT))
    lines = [f"Over at {_when(transition.at)}: {cause}.", *_children(transition)]
    notes = _bounded("\n".join([*lines, "", marker(transition)]), _LONG)
    return {
        "state": str(int(State.RESOLVED)),
        "close_code": settings.close_code,
        "close_notes": notes,
    }


def marker(transition: Transition) -> str:
    """Tells one transition's note from all others, when it is read back."""
    return f"Fleetpulse episode {transition.episode_id}, transition {transition.transition_no}"


def summary(transition: Transition) -> str:
    """One line: what is wrong, and where."""
    fault = clean(transition.rule_id, 60).replace("_", " ").capitalize()
    place = clean(transition.subject, 60)
    component = clean(transition.component, 40)
    return _bounded(f"{fault}: {place} ({component})" if component else f"{fault}: {place}", _SHORT)


def description(transition: Transition) -> str:
    """Why the incident was opened, down to the records, and where to read on."""
    lines = [
        f"{summary(transition)}, since {_when(transition.at)}.",
        "",
        *_facts(transition),
        *_children(transition),
        *_evidence(transition),
        "",
        f"More: fleetpulse tickets show {transition.episode_id}",
        marker(transition),
    ]
    return _bounded("\n".join(lines), _LONG)


def _evidence(transition: Transition) -> list[str]:
    if transition.is_alarm:
        return []
    records = [str(record) for record in transition.evidence]
    shown = _listed(records, _EVIDENCE_SHOWN) or ["  none: the rule is about absence"]
    return ["", "Evidence (topic/epoch/partition/offset):", *shown]


def _children(transition: Transition) -> list[str]:
    if not transition.children:
        return []
    return ["", "Stands in for:", *_listed(transition.children, _CHILDREN_SHOWN)]


def _listed(texts: Sequence[str], most: int) -> list[str]:
    shown = [f"  {clean(text, _TEXT)}" for text in texts[:most]]
    more = len(texts) - most
    return [*shown, *([f"  and {more} more"] if more > 0 else [])]


def _facts(transition: Transition) -> list[str]:
    facts = _of_alarm(transition) if transition.is_alarm else _of_finding(transition)
    return [f"{name}: {clean(value, _TEXT)}" for name, value in facts.items() if value]


def _of_alarm(transition: Transition) -> dict[str, str | None]:
    return {
        "Because": transition.because,
        "Since": _when(transition.window_start),
        "Key": transition.dedupe_key,
        "Runbook": transition.runbook,
    }


def _of_finding(transition: Transition) -> dict[str, str | None]:
    return {
        "Rule": f"{transition.rule_id}, version {transition.rule_version}",
        "Window": f"{_when(transition.window_start)} to {_when(transition.window_end)}",
        "Withheld until": _when(transition.at) if transition.cause == RELEASED else None,
        "Observed": _number(transition.observed),
        "Threshold": _number(transition.threshold),
        "Site": transition.site_id,
        "Device": transition.device_id,
        "Component": transition.component,
        "Key": transition.dedupe_key,
        "Runbook": transition.runbook,
    }


def clean(text: str, limit: int) -> str:
    """Text from an event as one bounded line that shows nothing but itself.

    Args:
        text: Any text: control characters, line ends and direction marks are dropped.
        limit: Characters kept.
    """
    # Categories Cc, Cf, Cs, Zl, Zp: what moves the cursor, turns the direction, or is invalid.
    printable = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    return _bounded(_CODE_TAG.sub(r"[ \1code]", " ".join(printable.split())), limit)


def _bounded(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
