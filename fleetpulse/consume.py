"""`fleetpulse consume`: land the topics in the ODS and in the lake."""

import gc
import signal
from contextlib import ExitStack, closing
from functools import partial

import prometheus_client

from fleetpulse import logs, settings
from streaming import redrive
from streaming.chore import Chore
from streaming.consumer import Consumer
from streaming.database import Database
from streaming.dead_letters import DeadLetters
from streaming.errors import SettingError
from streaming.object_store import open_store
from streaming.settings import LandingSettings
from streaming.sinks.lake import LakeSink
from streaming.sinks.ods import OdsSink


def consume() -> None:
    """Land the topics in the ODS and in the lake, until SIGTERM or Ctrl-C.

    On a signal it lands what it has read and leaves; what it cannot land is not acknowledged.
    """
    tree = settings.load()
    logs.configure(tree.log_level)
    kafka = settings.require(tree.kafka, "kafka")
    ods_url = settings.require(tree.ods, "ods").url("consumer")
    store = open_store(settings.require(tree.lake, "lake"))
    consumer = Consumer(
        kafka, tree.landing, partial(OdsSink, ods_url), partial(LakeSink, store, tree.landing)
    )
    serve_metrics(tree.landing)
    spare_the_garbage_collector()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: consumer.stop())
    with ExitStack() as beside:
        database = beside.enter_context(closing(Database(ods_url)))
        beside.enter_context(
            Chore("redrives to the lake", partial(redrive.put_in_lake, database, store))
        )
        if tree.landing.dead_letters:
            outbox = beside.enter_context(closing(Database(ods_url)))
            beside.enter_context(Chore("dead letters", DeadLetters(kafka, outbox).publish))
        consumer.run()


def serve_metrics(landing: LandingSettings) -> None:
    """Answers Prometheus, where a port is set.

    Raises:
        SettingError: The address cannot be had.
    """
    if landing.metrics_port is None:
        return
    try:
        prometheus_client.start_http_server(landing.metrics_port, landing.metrics_host)
    except OSError as error:
        address = f"{landing.metrics_host}:{landing.metrics_port}"
        raise SettingError(
            f"metrics cannot be served at {address}: {error.strerror}. "
            "Choose another FLEETPULSE_LANDING__METRICS_PORT, one for each consumer"
        ) from error


def spare_the_garbage_collector() -> None:
    """Has it walk less, more seldom: what was imported is never garbage, records have no cycles."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
