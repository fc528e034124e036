"""Quarantined records can be repaired, redriven and dropped."""

from fleetpulse.migrate import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Runs sql/0004_redrive.sql."""
    run_sql("0004_redrive.sql")
