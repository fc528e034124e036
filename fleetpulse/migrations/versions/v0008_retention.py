"""Days of landing can be dropped once the lake has them and insights have read them."""

from fleetpulse.migrate import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Creates what drops a day, and what remembers it."""
    run_sql("0008_retention.sql")
