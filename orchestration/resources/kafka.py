"""What sensors ask the broker."""

from collections.abc import Sequence

from streaming.kafka import log_ends
from streaming.settings import KafkaSettings


class Kafka:
    """The broker, and the topics that are landed."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings = settings
        self.topics = tuple(topics)

    def ends(self) -> dict[tuple[str, int], int]:
        """Returns the last stable offset of every partition.

        Raises:
            FatalError: A topic does not exist.
            OutageError: The broker does not answer.
        """
        return log_ends(self._settings, self.topics)
