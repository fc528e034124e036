"""The ODS: landing, control, reference."""

from fleetpulse.migrate import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Runs sql/0001_ods.sql."""
    run_sql("0001_ods.sql")
