"""The small JSON objects that the lake keeps beside its data, such as claims and manifests."""

from typing import TypeVar

import msgspec

from streaming.errors import FatalError

Stored = TypeVar("Stored")


def decode(body: bytes, kind: type[Stored], name: str) -> Stored:
    """Reads a stored object.

    Args:
        body: Its bytes.
        kind: What it is.
        name: What the error calls it.

    Raises:
        FatalError: It is not one.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise FatalError(f"the lake's {name} is not readable: {error}") from error
