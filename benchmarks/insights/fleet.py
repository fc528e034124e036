"""A fleet whose records Postgres makes by itself: millions of payloads, in SQL, without a broker.

Every machine sends a sample and a heartbeat a minute, at a phase of its own: a stretch of time is a
range of offsets in each partition. What a machine sends follows from its number and the minute.
"""

from datetime import timedelta
from pathlib import Path
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from tests.fixtures.insights.warehouse import at
from tests.oracle.log import ALERTS, HEARTBEAT, MINUTE, TELEMETRY, Device

TOPICS = (TELEMETRY, HEARTBEAT, ALERTS)
PARTITIONS = 4
LATE_PARTITION = PARTITIONS
"""What a spool brings late has a partition of its own: its offsets follow no clock."""
LATE_BY = timedelta(minutes=7)
MODELS = ("VX-200", "VX-300")
SITE_SIZE = 20

_RECORDS = cast(LiteralString, Path(__file__).with_name("fleet.sql").read_text())
_SLOTS = ",".join(
    f'{{"slot":"A{number}","qty":{number},"capacity":10,"price_minor":150}}' for number in range(8)
)


class Fleet:
    """Machines, and what they have sent since `start_us`.

    Args:
        devices: How many; a multiple of `PARTITIONS`.
        start_us: When they began to send: a whole minute.
    """

    def __init__(self, devices: int, start_us: int) -> None:
        self.devices = devices
        self._start_us = start_us
        self._late_sent = 0
        self._sent_to_us = start_us

    @property
    def registry(self) -> list[Device]:
        """All machines, commissioned a minute before they began to send."""
        return [
            Device(
                device_id=f"VM-{number:06}",
                site_id=f"SITE-{number // SITE_SIZE:05}",
                model=MODELS[number % 2],
                commissioned_us=self._start_us - MINUTE,
            )
            for number in range(self.devices)
        ]

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        """The next offset of each partition."""
        minutes, rest_us = divmod(self._sent_to_us - self._start_us, MINUTE)
        machines = self.devices // PARTITIONS
        # One more for a phase that has begun: between two machines' phases no offset lies.
        sent = minutes * machines - -rest_us // (MINUTE // machines)
        ends = {(topic, number): sent for topic in TOPICS for number in range(PARTITIONS)}
        return {**ends, (TELEMETRY, LATE_PARTITION): self._late_sent}

    def send(self, connection: psycopg.Connection, to_us: int, *, late: bool) -> int:
        """Lands what is sent up to `to_us`; returns how many records that is.

        Args:
            connection: The ODS.
            to_us: Event time, microseconds since 1970.
            late: Whether spools bring one in a thousand of the samples of seven minutes before.
        """
        span = {"from_us": self._sent_to_us, "to_us": to_us, "late": False, "delay": timedelta()}
        sent = sum(self._land(connection, topic, **span) for topic in TOPICS)
        if late:
            by_us = LATE_BY // timedelta(microseconds=1)
            before = {"from_us": self._sent_to_us - by_us, "to_us": to_us - by_us}
            came = self._land(connection, TELEMETRY, **before, late=True, delay=LATE_BY)
            self._late_sent += came
            sent += came
        self._sent_to_us = to_us
        return sent

    def _land(self, connection: psycopg.Connection, topic: str, **given: object) -> int:
        table = topic.replace(".", "_")
        for day in {at(int(str(given[end]))).date() for end in ("from_us", "to_us")}:
            connection.execute("select landing.ensure_day(%s, %s)", [table, day])
        insert = sql.SQL(
            'insert into landing.{} (epoch, "partition", "offset", kafka_ts, kafka_ts_type,'
            " payload, device_id, site_id, event_ts) {}"
        ).format(sql.Identifier(table), sql.SQL(_RECORDS))
        values = {
            "topic": topic,
            "devices": self.devices,
            "minute_0": self._start_us // MINUTE,
            "first_offset": self._late_sent,
            "slots": _SLOTS,
            **given,
        }
        return connection.execute(insert, values).rowcount
