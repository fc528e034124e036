"""Planned work as it takes place."""

from fleetpulse.migrate import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Runs sql/0009_maintenance_occurrences.sql."""
    run_sql("0009_maintenance_occurrences.sql")
