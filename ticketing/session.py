"""Puts a worker together: its ledger, its client, its identity."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg

from ticketing.client import ServiceNowClient
from ticketing.ledger import Ledger
from ticketing.settings import ServiceNowSettings
from ticketing.worker import Worker


@contextmanager
def open_worker(
    connection: psycopg.Connection[Any], settings: ServiceNowSettings
) -> Iterator[Worker]:
    """A worker for the time of the block; its connections to ServiceNow are closed afterwards.

    Args:
        connection: The ODS as the role of ticketing, in autocommit mode, used by nobody else.
        settings: The instance.
    """
    ledger = Ledger(
        connection,
        worker=uuid4(),
        lease_s=settings.lease_s,
        create_grace_s=settings.create_grace_s,
    )
    with closing(ServiceNowClient(settings)) as client:
        yield Worker(ledger, client, settings)
