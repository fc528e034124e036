"""Quarantined records can be repaired, redriven and dropped."""

from fleetpulse.migrate import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Runs sql/0005_redrive.sql."""
    run_sql("0005_redrive.sql")
