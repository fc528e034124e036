"""Ticketing: intents, attempts, incidents."""

from fleetpulse.migrate import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs sql/0002_ticketing.sql."""
    run_sql("0002_ticketing.sql")
