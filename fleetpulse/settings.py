"""The settings tree: `FLEETPULSE_*` in the environment, `__` between the levels.

`.env` is exported to processes (here by the command line, in Dagster by Dagster) and never read
by pydantic, so that there is one source. Unknown names are refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streaming.errors import SettingError
from streaming.settings import (
    CompactionSettings,
    InsightsSettings,
    KafkaSettings,
    LakeSettings,
    LandingSettings,
    OdsSettings,
)
from ticketing.settings import ServiceNowSettings

PREFIX = "FLEETPULSE_"
Section = TypeVar("Section")


class DagsterSettings(BaseModel):
    """Dagster's own storage, its page, and how long it keeps its history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage_url: SecretStr | None = None
    webserver_port: int = 3000
    keep_hours: float = 24


class SandboxSettings(BaseModel):
    """Where the sandbox keeps its state; the default is `.fleetpulse` in the project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: str | None = None


class Settings(BaseSettings):
    """All settings. A section that is None has not been set at all."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka: KafkaSettings | None = None
    ods: OdsSettings | None = None
    lake: LakeSettings | None = None
    servicenow: ServiceNowSettings | None = None
    landing: LandingSettings = LandingSettings()
    compaction: CompactionSettings = CompactionSettings()
    insights: InsightsSettings = InsightsSettings()
    dagster: DagsterSettings = DagsterSettings()
    sandbox: SandboxSettings = SandboxSettings()


def load() -> Settings:
    """Reads the settings from the environment.

    Raises:
        SettingError: A value is missing or wrong; the message names its variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'__'.join(str(part).upper() for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise SettingError("wrong settings\n  " + "\n  ".join(lines)) from None


def require(section: Section | None, name: str) -> Section:
    """Returns a section of the settings that must be there.

    Raises:
        SettingError: Nothing of it has been set.
    """
    if section is None:
        raise SettingError(
            f"{PREFIX}{name.upper()}__* is not set: run `fleetpulse sandbox up`, "
            "or export the settings of your systems"
        )
    return section


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Refuses names that begin like ours and mean nothing.

    Raises:
        SettingError: There are some; the message names them.
    """
    known = set(_names(Settings, PREFIX))
    if unknown := sorted(
        name for name in environment if name.startswith(PREFIX) and name.upper() not in known
    ):
        raise SettingError(f"unknown setting {', '.join(unknown)}")


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name.upper()}"
        yield path
        for section in _sections(field.annotation):
            yield from _names(section, f"{path}__")


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            yield candidate
