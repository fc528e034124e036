"""What the consumer tells Prometheus. The names are a promise to dashboards and alerts."""

from prometheus_client import Counter, Gauge, Histogram

LANDED = Counter("fleetpulse_landing_records", "Records landed in the ODS.", ["topic"])
QUARANTINED = Counter("fleetpulse_landing_quarantined", "Of those, records put into quarantine.")
FLUSH_S = Histogram(
    "fleetpulse_landing_flush_seconds",
    "One transaction of the ODS.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
LAKE_FILES = Counter("fleetpulse_landing_lake_files", "Files put in the lake.")
LAKE_BYTES = Counter("fleetpulse_landing_lake_bytes", "Bytes of those files.")
OUTAGE = Gauge(
    "fleetpulse_landing_outage", "1 while a system does not serve and its stage waits.", ["system"]
)
CHORE_HINDERED = Gauge(
    "fleetpulse_landing_chore_hindered", "1 while work beside landing is hindered.", ["chore"]
)
PAUSED = Gauge("fleetpulse_landing_paused", "1 while the buffer is full and nothing is read.")
WAITING_BYTES = Gauge("fleetpulse_landing_waiting_bytes", "What was read and not landed in both.")
FENCED = Counter("fleetpulse_landing_fenced", "Times that another consumer had taken over.")
NEXT_OFFSET = Gauge(
    "fleetpulse_landing_next_offset",
    "How far a copy of a partition has come: `kafka` is the end of its log, as last told.",
    ["copy", "topic", "partition"],
)
