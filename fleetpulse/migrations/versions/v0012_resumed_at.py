"""A standstill of landing is known afterwards."""

from fleetpulse.migrate import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Runs sql/0012_resumed_at.sql."""
    run_sql("0012_resumed_at.sql")
