"""The past can be judged again."""

from fleetpulse.migrate import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Runs sql/0013_backfills.sql."""
    run_sql("0013_backfills.sql")
