"""The envelope that every event carries, and the field types that contracts share.

Bounds are part of the types, so that one decoding pass checks them and the JSON Schema shows them.
Integers are bounded to what Postgres' types hold: a value beyond would halt every rule.
"""

from datetime import datetime
from typing import Annotated, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=4096)]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
Timestamp = Annotated[
    datetime, Meta(tz=True, description="RFC 3339, UTC, milliseconds; the year is 0001 to 9999.")
]
# Patterns are checked by `decoding`, for many values at once: msgspec would check them one by one,
# which costs more than all the rest of an event.
UUID_PATTERN = "^[0-9a-fA-F-]{36}$"
VERSION_PATTERN = r"^1\.[0-9]{1,6}$"
Uuid = Annotated[
    str, Meta(min_length=36, max_length=36, extra_json_schema={"pattern": UUID_PATTERN})
]
Version = Annotated[
    str, Meta(min_length=3, max_length=8, extra_json_schema={"pattern": VERSION_PATTERN})
]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Celsius = Annotated[float, Meta(ge=-40.0, le=85.0, description="°C")]
Percent = Annotated[float, Meta(ge=0.0, le=100.0, description="%")]
Dbm = Annotated[int, Meta(ge=-150, le=50, description="dBm")]


class Column(NamedTuple):
    """A column of the view that users of the ODS read.

    Attributes:
        source: A field of the contract, or a column of the landing table such as `kafka_ts`.
        name: What the column is called; without one, like its source.
        type: Its SQL type; without one, what the field needs.
    """

    source: str
    name: str | None = None
    type: str | None = None


class Envelope(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What every event says of itself, whatever its topic. Unknown fields are kept in the payload.

    `event_ts` is the device's clock, `gateway_ts` the collector's; `seq` grows within a `boot_id`;
    `spooled` says that the event was sent from the offline buffer.
    """

    topic: ClassVar[str]
    ods_columns: ClassVar[tuple[Column, ...]] = ()
    """The view's columns in their order; without any, all fields, then the record's identity."""

    event_id: Annotated[Uuid, Meta(description="UUID version 7")]
    schema_version: Version
    event_type: Identifier
    device_id: Identifier
    site_id: Identifier
    seq: Int64
    boot_id: Uuid
    event_ts: Timestamp
    gateway_ts: Timestamp | None = None
    spooled: bool = False
    fw: Annotated[str, Meta(max_length=64, description="semantic version")]
    model: Identifier
