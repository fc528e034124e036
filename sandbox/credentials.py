"""Generated passwords and keys, kept in a private file for the life of the sandbox."""

import secrets
from collections.abc import Iterable
from pathlib import Path

from sandbox.files import read_json, write_json


class Credentials:
    """The passwords of one sandbox, by name, in a file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = read_json(path) or {}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def settle(self, names: Iterable[str]) -> None:
        """Generates a password for each name that has none."""
        for name in names:
            # Letters and digits: it stands unquoted in `.env`, in URLs and in properties files.
            self._values.setdefault(name, secrets.token_hex(20))
        write_json(self._path, self._values)
