"""How durations, instants and topics are written on the command line, and who gives it."""

import getpass
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from streaming.errors import SettingError

Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Only of this topic; may be given again. Default: all landed."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="INSTANT", help="Kafka timestamps from this moment on."),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="INSTANT", help="Kafka timestamps before this moment."),
]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str, option: str) -> timedelta:
    """Returns the duration that `90s`, `2h`, `1.5m` or `120` (seconds) stands for.

    Raises:
        typer.BadParameter: It stands for none; the message names the option.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: write 120, 90s, 15m, 2h or 1d", param_hint=option
        )
    return timedelta(**{_UNITS[match[2] or "s"]: float(match[1])})


def instant(text: str) -> datetime:
    """Returns the instant that an RFC 3339 text with its offset stands for, in UTC.

    Raises:
        typer.BadParameter: It is none, or says nothing of its offset.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no instant: write 2026-03-01T12:00:00Z") from None
    if parsed.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset: write {text}Z for UTC")
    return parsed.astimezone(UTC)


def user() -> str:
    """Returns the name of whoever runs this.

    Raises:
        SettingError: The user has none.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingError("your user has no name here: say who you are with --by") from error
