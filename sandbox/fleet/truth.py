"""The truth of a run, and its file: one JSON object a line, as `docs/score.md` says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from sandbox.fleet.errors import TruthError
from sandbox.fleet.instants import SECOND, to_datetime, to_ms
from sandbox.fleet.scenarios import Also

Phase = Literal["history", "open_at_live", "live"]
Expected = Literal["incident", "episode", "nothing"]

LATE_TOLERANCE = 5 * SECOND
ALLOWANCE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Truth:
    """One fault or look-alike, as it really is.

    Attributes:
        subject: The machine, or the site where that is what the rule judges.
        component: The subject's part; empty where the rule has none.
        site_id: The site.
        kind: What happens, in a word.
        rule_id: The rule that ought to see it, or that must stay silent.
        lookalike: Whether the rule must stay silent.
        expected: What ought to come of it: an incident; an episode alone, of what is over before
            live time begins or is muted; nothing.
        start: When what is wrong begins, ms.
        end: When it is over, ms; None if never. Only then can the rule's clear condition begin.
        harm: When damage is done if nobody comes, ms; None where it does not grow worse.
        decided: The event or time-out by which the rule is satisfied, or its window's end, ms; of a
            look-alike, by which it would be if it were deceived.
        due_by: When what is expected ought to be there at the latest, ms; None for a look-alike.
            The deciding instant, or the beginning of live time where that is later, since nothing
            is ticketed while history is being caught up with; plus the late tolerance of 5 s, for
            which the watermark lags; plus an allowance of 60 s for landing, batch and ticket.
        phase: `history`: over before live time begins. `open_at_live`: decided before and still
            wrong then. `live`: decided in live time.
        also: Other rules that may rightly see it, fault or look-alike, and where.
    """

    subject: str
    component: str
    site_id: str
    kind: str
    rule_id: str
    lookalike: bool
    expected: Expected
    start: int
    end: int | None
    harm: int | None
    decided: int
    due_by: int | None
    phase: Phase
    also: tuple[Also, ...] = ()


_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Line(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from", "end": "until"}):
    """A truth as it stands in the file: instants as RFC 3339."""

    rule_id: str
    subject: str
    component: str
    site_id: str
    kind: str
    lookalike: bool
    expected: Expected
    start: _Instant
    end: _Instant | None
    harm: _Instant | None
    decided: _Instant
    due_by: _Instant | None
    phase: Phase
    also: tuple[Also, ...]


_INSTANTS = frozenset({"start", "end", "harm", "decided", "due_by"})
_line = msgspec.json.Decoder(_Line)


def dump(truths: Iterable[Truth]) -> str:
    """Returns the file's text."""
    return "".join(
        msgspec.json.encode(
            _Line(**{name: _shown(name, getattr(truth, name)) for name in _Line.__struct_fields__})
        ).decode()
        + "\n"
        for truth in truths
    )


def load(path: Path) -> tuple[Truth, ...]:
    """Reads the file.

    Raises:
        TruthError: It is not there, or a line is not a truth; the message says which and why.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TruthError(f"{path}: {error.strerror}; `fleetpulse fleet run` writes it") from error
    truths = []
    for number, text in enumerate(lines, start=1):
        try:
            line = _line.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TruthError(f"{path}, line {number}: {error}") from error
        if line.lookalike != (line.expected == "nothing") or line.lookalike != (
            line.due_by is None
        ):
            raise TruthError(
                f"{path}, line {number}: a look-alike expects nothing and has no due_by, and a "
                "fault does not: correct lookalike, expected or due_by"
            )
        truths.append(
            Truth(**{name: _read(name, getattr(line, name)) for name in _Line.__struct_fields__})
        )
    return tuple(truths)


def _shown(name: str, value: Any) -> Any:
    return to_datetime(value) if name in _INSTANTS and value is not None else value


def _read(name: str, value: Any) -> Any:
    return to_ms(value) if name in _INSTANTS and value is not None else value
