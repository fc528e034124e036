"""Who ended a hold of the watermark."""

from fleetpulse.migrate import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Runs sql/0010_watermark_releases.sql."""
    run_sql("0010_watermark_releases.sql")
