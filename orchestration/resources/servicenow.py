"""The worker that brings ServiceNow to what the ledger says."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import psycopg

from ticketing.client import ServiceNowClient
from ticketing.ledger import Ledger
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

    @contextmanager
    def worker(self, connection: psycopg.Connection) -> Iterator[Worker]:
        """Makes a worker of its own identity.

        Args:
            connection: The ODS as the role of ticketing, in autocommit mode.
        """
        ledger = Ledger(
            connection,
            worker=uuid4(),
            lease_s=self._settings.lease_s,
            create_grace_s=self._settings.create_grace_s,
        )
        with closing(ServiceNowClient(self._settings)) as client:
            yield Worker(ledger, client, self._settings)
