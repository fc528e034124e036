"""heartbeat.raw: a sign of life, every `interval_s` seconds."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from streaming.contracts.envelope import Count, Dbm, Envelope, Int64


class Heartbeat(Envelope, kw_only=True, frozen=True, gc=False):
    """One beat. `interval_s` is the machine's own promise of when the next one comes."""

    topic: ClassVar[str] = "heartbeat.raw"

    interval_s: Annotated[int, Meta(ge=1, le=86_400, description="seconds")] = 60
    status: Literal["ok", "degraded", "maintenance"]
    uptime_s: Count | None = None
    ip: Annotated[str, Meta(max_length=45)] | None = None
    rssi_dbm: Dbm | None = None
    spool_depth: Count | None = None
    clock_offset_ms: Int64 | None = None
