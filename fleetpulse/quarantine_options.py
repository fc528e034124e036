"""What the commands of `fleetpulse quarantine` share: options, who acts, and in which role."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Annotated

import typer

from fleetpulse import settings
from fleetpulse.options import instant, user
from streaming.database import Database
from streaming.records import RecordId


def record_id(text: str) -> RecordId:
    """Returns the identity that a text stands for.

    Raises:
        typer.BadParameter: It stands for none.
    """
    try:
        return RecordId.parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not TOPIC/EPOCH/PARTITION/OFFSET") from None


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Topic = Annotated[str | None, typer.Option(help="Only of this topic.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=instant, metavar="INSTANT", help="Only what came there since then."),
]
Record = Annotated[
    RecordId,
    typer.Argument(
        parser=record_id, metavar="RECORD", help="TOPIC/EPOCH/PARTITION/OFFSET, as in the list."
    ),
]
By = Annotated[
    str | None, typer.Option(help="Who does it; default: the name you are logged in by.")
]
Note = Annotated[str | None, typer.Option(help="Why, for those who ask later.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def named(by: str | None) -> str:
    """Returns who acts.

    Raises:
        SettingError: Nobody is named, and the user has no name.
    """
    if by is not None:
        if not by.strip():
            raise typer.BadParameter("is empty", param_hint="--by")
        return by
    return user()


@contextmanager
def writing() -> Iterator[Database]:
    """Opens the ODS in the role that lands records."""
    ods = settings.require(settings.load().ods, "ods")
    with closing(Database(ods.url("consumer"))) as database:
        yield database
