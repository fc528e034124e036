"""The lake, to be looked after."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from streaming import compaction
from streaming.compaction import Outcome
from streaming.lake_manifest import Hour
from streaming.object_store import open_store
from streaming.settings import CompactionSettings, LakeSettings


class Lake:
    """The lake's objects, and the topics that are landed in it."""

    def __init__(
        self, settings: LakeSettings, compaction_settings: CompactionSettings, topics: Sequence[str]
    ) -> None:
        self._settings = settings
        self._compaction = compaction_settings
        self._topics = topics

    def compact(self, begins: datetime) -> Iterator[Outcome]:
        """Compacts an hour of all topics, then whatever else is due, and yields what was done.

        Raises:
            OutageError: The store does not answer; a later run goes on.
            FatalError: The lake has lost an object.
        """
        store = open_store(self._settings)
        wanted = [Hour(topic, begins) for topic in self._topics]
        late = compaction.due(store, self._topics, self._compaction, datetime.now(UTC))
        for hour in dict.fromkeys((*wanted, *late)):
            yield compaction.compact(store, hour, self._compaction)
