"""How far verification has come."""

from fleetpulse.migrate import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Runs sql/0007_verified.sql."""
    run_sql("0007_verified.sql")
