"""Settings of landing and of its batches. Validated once, then passed on as values."""

from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from streaming.contracts import CONTRACTS
from streaming.errors import SettingError

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """How to reach the broker, and as which consumer group."""

    bootstrap_servers: str
    group_id: str = "fleetpulse-landing"
    group_protocol: Literal["classic", "consumer"] = "classic"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None

    def client(self) -> dict[str, str | int | float | bool]:
        """Returns librdkafka's properties for the connection, secrets in clear."""
        properties = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password and self.sasl_password.get_secret_value(),
            "ssl.ca.location": self.ssl_ca_location,
        }
        return {name: str(value) for name, value in properties.items() if value is not None}


class OdsPasswords(_Section):
    """Passwords of the ODS roles. A process needs those of the roles that it acts as."""

    owner: SecretStr | None = None
    consumer: SecretStr | None = None
    dbt: SecretStr | None = None
    orchestrator: SecretStr | None = None
    ticketing: SecretStr | None = None
    reference: SecretStr | None = None
    analyst: SecretStr | None = None
    ods_reader: SecretStr | None = None


ROLES = {
    name: name if name in ("analyst", "ods_reader") else f"fleetpulse_{name}"
    for name in OdsPasswords.model_fields
}
"""Postgres role by its name in the settings."""


class OdsSettings(_Section):
    """Where the ODS is, and the roles in it."""

    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: str = "fleetpulse"
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    passwords: OdsPasswords = OdsPasswords()

    def password(self, role: str) -> str:
        """Returns a role's password.

        Raises:
            SettingError: It is not set.
        """
        secret: SecretStr | None = getattr(self.passwords, role)
        if secret is None:
            raise SettingError(
                f"the password of the role {ROLES[role]} is not set: "
                f"set FLEETPULSE_ODS__PASSWORDS__{role.upper()}"
            )
        return secret.get_secret_value()

    def url(self, role: str) -> str:
        """Returns the connection URL of a role, its password in clear.

        A host that has vanished is noticed within half a minute, not after the system's two hours.

        Raises:
            SettingError: The role's password is not set.
        """
        credentials = f"{ROLES[role]}:{quote(self.password(role), safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"postgresql://{credentials}@{host}:{self.port}/{quote(self.database, safe='')}"
            f"?sslmode={self.sslmode}&connect_timeout=5&application_name=fleetpulse-{role}"
            "&tcp_user_timeout=30000&keepalives_idle=10&keepalives_interval=5&keepalives_count=4"
        )


class LakeSettings(_Section):
    """Where the lake is: `s3://bucket[/prefix]`, or `file:///folder`.

    Without keys the AWS default credentials are used.
    """

    url: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme == "s3" and parts.netloc and not parts.query:
            return url.rstrip("/")
        if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
            return url
        raise ValueError("must be s3://bucket[/prefix] or file:///folder")


class LandingSettings(_Section):
    """How the consumer groups its writes."""

    topics: tuple[str, ...] = tuple(CONTRACTS)
    flush_interval_s: Seconds = 0.5
    flush_max_records: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    max_buffer_mb: Annotated[float, Field(gt=0, le=65_536)] = 48
    file_max_mb: Annotated[float, Field(gt=0, le=1024)] = 16
    file_max_age_s: Seconds = 300
    file_silence_s: Seconds = 60
    stop_within_s: Seconds = 20
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    metrics_host: str = "127.0.0.1"
    dead_letters: bool = False
    poison_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    keep_days: Annotated[int, Field(ge=7, le=3_650)] | None = None

    @property
    def unread_bytes(self) -> int:
        """What may wait in the Kafka client's own queue: an eighth of the buffer."""
        return self._share(1)

    @property
    def unlanded_bytes(self) -> int:
        """What may have been read and not landed: three eighths of the buffer."""
        return self._share(3)

    @property
    def open_file_bytes(self) -> int:
        """What the lake's open files may hold: half of the buffer."""
        return self._share(4)

    def _share(self, eighths: int) -> int:
        return int(self.max_buffer_mb * 1_000_000 * eighths / 8)

    @field_validator("topics")
    @classmethod
    def _with_contract(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [topic for topic in topics if topic not in CONTRACTS]:
            raise ValueError(
                f"no contract for {', '.join(unknown)}; there are {', '.join(CONTRACTS)}"
            )
        if not topics or len(set(topics)) != len(topics):
            raise ValueError("must name at least one topic, and each once")
        return topics


class CompactionSettings(_Section):
    """How the lake's small files become large ones."""

    target_mb: Annotated[float, Field(gt=0, le=1024)] = 128
    max_buffer_mb: Annotated[float, Field(gt=0, le=1024)] = 64
    settle_s: Annotated[float, Field(ge=0, le=86_400)] = 900
    grace_s: Annotated[float, Field(ge=0, le=30 * 86_400)] = 3600


class InsightsSettings(_Section):
    """When the next micro-batch is cut, and what the watermark allows for."""

    min_interval_s: Seconds = 10
    idle_interval_s: Seconds = 60
    max_batch_records: Annotated[int, Field(ge=1)] = 500_000
    late_tolerance_s: Annotated[float, Field(ge=0, le=20 * 86_400)] = 5
