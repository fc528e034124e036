"""The worker that brings ServiceNow to what the ledger says."""

from contextlib import AbstractContextManager

import psycopg

from ticketing.session import open_worker
from ticketing.settings import ServiceNowSettings
from ticketing.worker import Worker


class ServiceNow:
    """One ServiceNow instance."""

    def __init__(self, settings: ServiceNowSettings) -> None:
        self._settings = settings

    @property
    def url(self) -> str:
        """Where people find the incidents."""
        return self._settings.url

    def worker(self, connection: psycopg.Connection) -> AbstractContextManager[Worker]:
        """Makes a worker of its own identity; see `open_worker`."""
        return open_worker(connection, self._settings)
