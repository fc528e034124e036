"""Who ended a hold of the watermark."""

from fleetpulse.migrate import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Runs sql/0009_watermark_releases.sql."""
    run_sql("0009_watermark_releases.sql")
