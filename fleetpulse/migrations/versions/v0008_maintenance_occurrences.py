"""Planned work as it takes place."""

from fleetpulse.migrate import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Runs sql/0008_maintenance_occurrences.sql."""
    run_sql("0008_maintenance_occurrences.sql")
