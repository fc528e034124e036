from datetime import UTC, datetime, timedelta

import pytest
import typer

from fleetpulse.options import duration, instant


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120), ("90s", 90), ("15m", 900), ("1.5h", 5_400), ("1d", 86_400)]
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: int) -> None:
    assert duration(text, "--for") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-5s", "2 hours", "1h30m", "nan"])
def test_what_is_no_duration_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        duration(text, "--for")
    assert refused.value.param_hint == "--for"


def test_an_instant_is_brought_to_utc() -> None:
    assert instant("2026-03-01T14:00:00+02:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert instant("2026-03-01T12:00:00Z").tzinfo is UTC


@pytest.mark.parametrize("text", ["now", "2026-03-01T12:00:00", "2026-03-01"])
def test_what_is_no_instant_or_has_no_offset_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        instant(text)
