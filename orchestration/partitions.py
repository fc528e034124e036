"""How assets are partitioned."""

import dagster as dg

LAKE_HOURS = dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00")
"""Hours of the lake (UTC). What is older is compacted with any of them."""

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
"""Days (UTC) of event time, to be judged again."""
