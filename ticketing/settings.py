"""How to reach ServiceNow, and what to write there."""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Seconds = Annotated[float, Field(gt=0)]


class ServiceNowSettings(BaseModel):
    """The instance, the account and the habits of the people who work there.

    Attributes:
        url: The instance's address; plain HTTP is accepted to this machine only.
        username: The account that opens incidents.
        password: Its password.
        ca_file: Certificates to trust instead of the system's.
        connect_timeout_s: Patience for a connection.
        read_timeout_s: Patience for an answer.
        create_grace_s: How long after an attempt a create may still take effect. The platform
            cancels REST transactions after 60 s by default.
        lease_s: How long a worker owns a dedupe key without renewing.
        close_code: The resolution code; must be one of the instance's choices.
        caller: Caller of the incidents: a user's name or sys_id; none if it is not set.
        category: Category of the incidents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    username: str
    password: SecretStr
    ca_file: Path | None = None
    connect_timeout_s: Seconds = 5
    read_timeout_s: Seconds = 30
    create_grace_s: Annotated[float, Field(ge=0)] = 60
    lease_s: Seconds = 120
    close_code: str = "Solution provided"
    caller: str | None = None
    category: str = "hardware"

    @field_validator("url")
    @classmethod
    def _safe_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be https://<instance>")
        if parts.username or parts.password:
            raise ValueError("must not carry credentials: set USERNAME and PASSWORD")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("must be https: the password would travel in clear text")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _lease_outlives_a_request(self) -> "ServiceNowSettings":
        if self.lease_s <= self.connect_timeout_s + self.read_timeout_s:
            raise ValueError("lease_s must be longer than connect_timeout_s + read_timeout_s")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
