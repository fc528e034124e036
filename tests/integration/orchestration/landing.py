"""What the consumer and dbt would have left in the ODS, without them."""

from datetime import UTC, datetime

import psycopg


class Landing:
    """What has landed, as the consumer would have left it, from empty tables."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._db = connection
        self._db.execute(
            "truncate landing.offsets, landing.quarantine, landing.quarantine_log,"
            " landing.heartbeat_raw,"
            " control.batches, control.partition_progress, control.watermark,"
            " control.watermark_releases, control.alarms,"
            " ticketing.intents, ticketing.attempts, reference.devices restart identity;"
            " update landing.redrives set last = 0;"
            " insert into control.watermark default values;"
            " insert into reference.devices values"
            " ('VM-000001', 'SITE-0001', 'COLD-300', '2026-01-01Z', null, null, null,"
            " '2026-01-01Z')"
        )

    def register_sites(self, count: int) -> None:
        """Registers a device at each of so many sites, and nobody else."""
        self.forget_devices()
        self._db.execute(
            "insert into reference.devices select 'VM-' || n, 'SITE-' || n, 'COLD-300',"
            " '2026-01-01Z', null, null, null, '2026-01-01Z' from generate_series(1, %s) n",
            [count],
        )

    def forget_devices(self) -> None:
        """Empties the registry."""
        self._db.execute("truncate reference.devices")

    def land(self, topic: str, offsets: int, *, seen: datetime | None = None) -> None:
        """Moves the one partition of a topic on by so many offsets."""
        self._db.execute(
            'insert into landing.offsets as o (topic, epoch, "partition", topic_id, start_offset,'
            " next_offset, lake_claim, max_event_ts) values (%(topic)s, 0, 0, 'id', 0, %(by)s, 0,"
            ' %(seen)s) on conflict (topic, epoch, "partition") do update set'
            " next_offset = o.next_offset + %(by)s, moved_at = now(),"
            " max_event_ts = greatest(o.max_event_ts, %(seen)s)",
            {"topic": topic, "by": offsets, "seen": seen or datetime.now(UTC)},
        )

    def beat(self, at: datetime) -> None:
        """Lets every registered device send a beat."""
        self._db.execute(
            'insert into landing.heartbeat_raw (epoch, "partition", "offset", kafka_ts,'
            " kafka_ts_type, device_id, gateway_ts) select 0, 0, (select count(*)"
            "  from landing.heartbeat_raw) + row_number() over (), %(at)s, 1, device_id, %(at)s"
            " from reference.devices",
            {"at": at},
        )

    def pass_time(self, seconds: float) -> None:
        """Puts back when landing last moved, and since when the watermark is held or returns."""
        self._db.execute(
            "update landing.offsets set moved_at = moved_at - make_interval(secs => %s)", [seconds]
        )
        self._db.execute(
            "update control.watermark set held_since = held_since - make_interval(secs => %(s)s),"
            " returned_at = returned_at - make_interval(secs => %(s)s),"
            " updated_at = updated_at - make_interval(secs => %(s)s)",
            {"s": seconds},
        )

    def alarms(self) -> list[tuple[str, str]]:
        """Returns what was told of the platform: which alarm, and what became of it."""
        return self._db.execute(
            "select alarm, kind from control.alarms order by alarm_id"
        ).fetchall()

    def quarantine(self, topic: str, offsets: int) -> None:
        """Puts the first offsets of a topic's one partition into quarantine."""
        self._db.execute(
            'insert into landing.quarantine (topic, epoch, "partition", "offset", kafka_ts,'
            " kafka_ms, kafka_ts_type, reason, detail)"
            " select %s, 0, 0, n, now(), 0, 1, 'MALFORMED', 'test' from generate_series(0, %s) n",
            [topic, offsets - 1],
        )

    def redrive(self, records: int) -> None:
        """Numbers so many records, as redriving them does."""
        self._db.execute("update landing.redrives set last = last + %s", [records])

    def finish(self, batch_id: int) -> None:
        """Moves a batch to done, as dbt does."""
        self._db.execute(
            "update control.batches set state = 'done', done_at = now() where batch_id = %s",
            [batch_id],
        )

    def put_back(self, **duration: float) -> None:
        """Makes the batches older than they are."""
        self._db.execute(
            "update control.batches set cut_at = cut_at - make_interval(secs => %(secs)s),"
            " attempted_at = attempted_at - make_interval(secs => %(secs)s)",
            duration,
        )

    def batches(self) -> list[tuple[int, int, str]]:
        """Returns id, attempt and state of all batches."""
        return self._db.execute(
            "select batch_id, attempt, state from control.batches order by batch_id"
        ).fetchall()

    def watermarks(self) -> list[datetime]:
        """Returns up to where each batch has closed windows."""
        return [
            at
            for (at,) in self._db.execute(
                "select watermark from control.batches order by batch_id"
            ).fetchall()
        ]

    def redrives(self) -> list[tuple[int, int]]:
        """Returns the redrives (from, to] of all batches."""
        return self._db.execute(
            "select from_redrive, to_redrive from control.batches order by batch_id"
        ).fetchall()

    def releases(self) -> list[tuple[str, str, datetime]]:
        """Returns who ended which holds of the watermark, and why."""
        return self._db.execute(
            "select released_by, why, held_since from control.watermark_releases order by 1"
        ).fetchall()

    def intent(self, key: str, kind: str, no: int = 1) -> None:
        """Adds an intent that is due."""
        self._db.execute(
            "insert into ticketing.intents (episode_id, transition_no, dedupe_key, kind, severity,"
            " muted, at) values (md5(%s)::uuid, %s, %s, %s, 2, false, now())",
            [key, no, key, kind],
        )
