"""The schema of the typed views."""

from fleetpulse.migrate import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Runs sql/0004_ods_views.sql."""
    run_sql("0004_ods_views.sql")
