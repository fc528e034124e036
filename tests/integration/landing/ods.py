"""The ODS as a landing test takes part in it: a sink of its own, and who waits for a lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from streaming.sinks.ods import OdsSink
from tests.integration.landing.scene import Scene


def waits_for_a_lock(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "select exists (select from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database()))"
    ).fetchone()
    return row == (True,)


@contextmanager
def ods_of(scene: Scene) -> Iterator[OdsSink]:
    sink = OdsSink(scene.ods.url("consumer"))
    try:
        yield sink
    finally:
        sink.close()
