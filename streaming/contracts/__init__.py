"""The contracts of the topics: one file a topic, one frozen msgspec Struct each.

A topic is added by its contract file, one line in `CONTRACTS`, and its staging model pair.
"""

from typing import Any

import msgspec

from streaming.contracts.alerts import Alert
from streaming.contracts.envelope import Column, Envelope
from streaming.contracts.heartbeat import Heartbeat
from streaming.contracts.telemetry import Slot, Telemetry

CONTRACTS: dict[str, type[Envelope]] = {
    contract.topic: contract for contract in (Telemetry, Heartbeat, Alert)
}
"""Contract by topic name."""


def json_schema(topic: str) -> dict[str, Any]:
    """Returns the contract of a topic as JSON Schema (draft 2020-12).

    Raises:
        KeyError: The topic has no contract.
    """
    return msgspec.json.schema(CONTRACTS[topic])


__all__ = [
    "CONTRACTS",
    "Alert",
    "Column",
    "Envelope",
    "Heartbeat",
    "Slot",
    "Telemetry",
    "json_schema",
]
