"""Small files of the sandbox: written whole or not at all, for the owner's eyes."""

import json
import os
from pathlib import Path
from typing import Any

from sandbox.errors import StateError


def write_private(path: Path, text: str) -> None:
    """Writes a file with mode 0600 so that a reader sees the old text or the new, nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes an object as JSON, privately and atomically."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Reads an object written by `write_json`; None where there is no such file.

    Raises:
        StateError: It does not hold a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise StateError(f"{path} is not JSON ({error}): run `fleetpulse sandbox reset`") from error
    if not isinstance(value, dict):
        raise StateError(f"{path} is not a JSON object: run `fleetpulse sandbox reset`")
    return value


def tail(path: Path, lines: int = 15) -> str:
    """Returns the last lines of a log; empty where there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
