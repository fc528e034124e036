"""The `meta` of a rule: what dbt, Dagster and ticketing know of it besides its SQL."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Seconds = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ClearFor(_Strict):
    """What ends an episode: so many clear verdicts in a row, or clear for so long."""

    windows: Annotated[int, Field(ge=1)] | None = None
    seconds: Seconds | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "ClearFor":
        if len(self.model_fields_set) != 1:
            raise ValueError("give either windows or seconds")
        return self


class Meta(_Strict):
    """The meta of a rule. CONTRIBUTING.md says what each key means."""

    version: Words
    severity: Annotated[int, Field(ge=1, le=5)]
    subject_kind: Literal["device", "site"]
    clear_for: ClearFor
    quiet_interval_s: Seconds
    reach_s: Seconds
    thresholds: dict[str, int | float] = {}
    assignment_group: Words
    runbook: Annotated[str, StringConstraints(pattern=r"^docs/runbooks/.+\.md$")]
    short_description: Words
