"""alerts.raw: something happened in the machine, or is over."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from streaming.contracts.envelope import Envelope, Identifier, Text


class Alert(Envelope, kw_only=True, frozen=True, gc=False):
    """One alert raised or cleared. `code` is open: COIN_JAM, BILL_JAM, MOTOR_FAULT, and others."""

    topic: ClassVar[str] = "alerts.raw"

    alert_id: Identifier
    code: Identifier
    component: Identifier
    state: Literal["raised", "cleared"]
    severity: Annotated[int, Meta(ge=1, le=5, description="ServiceNow's scale: 1 is critical")]
    message: Text | None = None
    attrs: dict[str, Any] | None = None
