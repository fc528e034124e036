"""Epochs that were begun, and leader epochs."""

from fleetpulse.migrate import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Runs sql/0006_epochs.sql."""
    run_sql("0006_epochs.sql")
