"""An epoch: a topic's logs from one break to the next, in which an offset means one record.

The first epoch, 0, begins by itself. A break is a topic that was made again, a log that was cut,
or retention that overtook landing: a person accepts it, and the next epoch begins for all
partitions of the topic at once. It is written to the ODS first, then to the lake, so that an ODS
from an old backup can learn of it from there.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from streaming import stored


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that a person has begun.

    `starts` is where each partition begins in it; `topic_id` Kafka's id of the topic.
    """

    topic: str
    epoch: int
    topic_id: str
    starts: dict[int, int]
    begun_at: datetime
    begun_by: str
    why: str

    @property
    def key(self) -> str:
        """Its key in the lake."""
        return f"{prefix(self.topic)}e{self.epoch:010d}"

    def encode(self) -> bytes:
        """Returns the epoch as the lake keeps it."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(body: bytes, name: str) -> "Epoch":
        """Reads an epoch that the lake has kept.

        Raises:
            FatalError: It is not one.
        """
        return stored.decode(body, Epoch, f"epoch {name}")


def prefix(topic: str) -> str:
    """Returns what the lake's keys of a topic's epochs begin with."""
    return f"_epochs/topic={topic}/"
