"""Quarantine keeps the exact Kafka timestamp."""

from fleetpulse.migrate import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs sql/0003_quarantine_kafka_ms.sql."""
    run_sql("0003_quarantine_kafka_ms.sql")
