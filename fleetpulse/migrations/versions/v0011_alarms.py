"""Alarms of the platform, and tickets that are held or suppressed."""

from fleetpulse.migrate import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Runs sql/0011_alarms.sql."""
    run_sql("0011_alarms.sql")
