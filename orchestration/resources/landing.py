"""Landing, to be kept from growing for ever."""

from collections.abc import Iterator
from datetime import datetime

import psycopg

from streaming import retention
from streaming.object_store import open_store
from streaming.retention import Day
from streaming.settings import LakeSettings, LandingSettings, OdsSettings


class Landing:
    """The landing tables, and the lake that has what they drop."""

    def __init__(self, ods: OdsSettings, lake: LakeSettings, settings: LandingSettings) -> None:
        self._ods = ods
        self._lake = lake
        self._settings = settings

    def drop_old_days(self, now: datetime) -> Iterator[Day]:
        """Drops the days that are older than what is kept, and yields what became of each.

        Raises:
            SettingError: All are kept.
            FatalError: The lake has lost records: nothing more is dropped.
            OutageError: The lake does not answer; the next run goes on.
        """
        store = open_store(self._lake)
        topics, keep_days = self._settings.topics, self._settings.keep_days
        with psycopg.connect(self._ods.url("orchestrator"), autocommit=True) as connection:
            yield from retention.drop_due(connection, store, topics, keep_days, now, "Dagster")
