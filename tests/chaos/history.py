"""Compares what was produced with what is in a sink, record by record."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.integration.landing.records import Fingerprint, Identity

History = list[tuple[Identity, Fingerprint]]


class Verdict(NamedTuple):
    """How many records went wrong, of both sinks together."""

    lost: int = 0
    doubled: int = 0
    altered: int = 0

    def __str__(self) -> str:
        return f"lost {self.lost}, doubled {self.doubled}, altered {self.altered}"

    def plus(self, other: "Verdict") -> "Verdict":
        return Verdict(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))


NONE = Verdict()


@dataclass
class Differences:
    """The records of one sink that are not there exactly once as they were produced.

    Altered is also what nobody has produced, or only in a transaction that was aborted.
    """

    lost: list[Identity] = field(default_factory=list)
    doubled: list[Identity] = field(default_factory=list)
    altered: list[Identity] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        return Verdict(len(self.lost), len(self.doubled), len(self.altered))


def compare(produced: Mapping[Identity, Fingerprint], found: History) -> Differences:
    times = Counter(identity for identity, _ in found)
    return Differences(
        lost=sorted(produced.keys() - times.keys()),
        doubled=sorted(identity for identity, count in times.items() if count > 1),
        altered=sorted({identity for identity, print in found if produced.get(identity) != print}),
    )


def write(path: Path, history: Iterable[tuple[Identity, Fingerprint]]) -> None:
    """Keeps a history, one record a line."""
    with path.open("w") as file:
        file.writelines(f"{json.dumps([*identity, *print])}\n" for identity, print in history)
