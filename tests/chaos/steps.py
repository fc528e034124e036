"""The named steps of landing at which a consumer can be killed."""

import json
import os
from pathlib import Path
from typing import NamedTuple

LANDING = (
    "after polling",
    "before the rows",
    "between rows and offsets",
    "before the database's commit",
    "after the database's commit",
    "before the claim",
    "after the claim",
    "before the file",
    "after the file",
    "before the lake's note",
    "after the lake's note",
    "before Kafka's commit",
    "after Kafka's commit",
)
"""Passed all the time by a consumer that has something to land."""

OPENING = ("before opening", "after opening", "before assigning", "after assigning")
"""Passed when partitions are assigned."""

RECOVERY = (
    "recovery: before reading",
    "recovery: after reading",
    "recovery: before the claim",
    "recovery: after the claim",
    "recovery: before the file",
    "recovery: after the file",
)
"""Passed when a partition is opened of which the lake has less than the ODS."""

LEAVING = ("before leaving", "after leaving")
"""Passed after SIGTERM: what has been read is landed, then the group is told."""


class Order(NamedTuple):
    """What is to happen to the first consumer that passes a step so often, and what."""

    step: str
    number: int = 1
    deed: str = "kill"
    id: int = 0

    def give(self, path: Path) -> None:
        """Writes the order where the victims look for it, whole or not at all."""
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(self))
        aside.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Order | None":
        """Returns the order that is out."""
        try:
            return cls(*json.loads(path.read_text()))
        except FileNotFoundError:
            return None

    @property
    def words(self) -> str:
        """What a victim says before it carries the order out."""
        return f"chaos: order {self.id}: {self.deed} {self.step}\n"

    def take(self, path: Path) -> bool:
        """Returns whether it is ours to carry out: one victim takes it, and no other."""
        try:
            path.rename(path.with_suffix(f".{os.getpid()}"))
        except FileNotFoundError:
            return False
        return True
