"""telemetry.raw: a machine's sensors and counters, every 60 s."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from streaming.contracts.envelope import (
    Celsius,
    Count,
    Dbm,
    Envelope,
    Identifier,
    Int32,
    Int64,
    Percent,
)


class Slot(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One selection of the machine: how many items it holds, of how many, at which price."""

    slot: Identifier
    qty: Int32
    capacity: Int32
    price_minor: Annotated[Int64, Meta(description="in minor units of the event's currency")]


class Telemetry(Envelope, kw_only=True, frozen=True, gc=False):
    """One sample. A null means that the sensor is absent. Counters count since boot."""

    topic: ClassVar[str] = "telemetry.raw"

    cabinet_temp_c: Celsius | None = None
    ambient_temp_c: Celsius | None = None
    evaporator_temp_c: Celsius | None = None
    humidity_pct: Percent | None = None
    compressor_on: bool | None = None
    compressor_current_a: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None
    supply_voltage_v: Annotated[float, Meta(ge=0.0, le=1000.0)] | None = None
    power_w: Annotated[float, Meta(ge=0.0, le=100_000.0)] | None = None
    door_open: bool | None = None
    rssi_dbm: Dbm | None = None
    vends_ok_total: Count | None = None
    vends_failed_total: Count | None = None
    cashbox_pct: Percent | None = None
    coin_tubes: dict[str, Int32] | None = None
    cashless_online: bool | None = None
    slots: list[Slot] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")] | None = None
