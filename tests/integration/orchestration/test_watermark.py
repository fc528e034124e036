"""A hold of the watermark is shown, ended by a person, and written down."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleetpulse.cli import app
from orchestration.resources.ods import Ods
from streaming import watermark
from streaming.errors import WatermarkError
from streaming.watermark import HEARTBEATS
from streaming.watermark_holds import release
from tests.integration.orchestration.landing import Landing

LATE = timedelta(seconds=5)


@pytest.fixture
def held(landing: Landing, ods: Ods) -> datetime:
    """Three sites, of which nothing is heard any more: the watermark of before is held."""
    landing.register_sites(3)
    landing.land(HEARTBEATS, 10)
    now = datetime.now(UTC)
    with ods.connect("orchestrator") as connection:
        connection.execute(
            "update control.watermark set watermark = %s, heard_once = true", [now - LATE]
        )
        watermark.advance(connection, {(HEARTBEATS, 0): 10}, now, LATE)
    return now


def run(environment: dict[str, str], *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["watermark", *arguments], env=environment, input=answer)


def shown(environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    done = run(environment, "show", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return done.exit_code, found


@pytest.mark.usefixtures("held")
def test_a_hold_is_shown_with_its_reason_its_counts_and_both_terms(
    environment: dict[str, str],
) -> None:
    code, found = shown(environment)
    assert code == 1
    assert found["held_reason"].startswith("only 0 of 3 devices were heard from in the 180 s")
    assert (found["devices_heard"], found["devices_expected"]) == (0, 3)
    (partition,) = found["partitions"]
    assert (partition["next_offset"], partition["end_offset"]) == (10, 10)
    assert None not in (partition["first_term"], partition["second_term"])
    words = run(environment, "show").stdout
    assert "0 of 3 devices; 40% are needed" in words
    assert "heartbeat.raw[0]" in words


def test_a_release_lets_it_move_until_all_is_well_and_is_written_down(
    held: datetime, environment: dict[str, str], landing: Landing, ods: Ods
) -> None:
    assert run(environment, "release", "--why", "winter", answer="n\n").exit_code == 1
    assert shown(environment)[0] == 1

    done = run(environment, "release", "--why", "closed for the winter", "--by", "ada", "--yes")
    assert (done.exit_code, done.stdout.split(":")[0]) == (0, "released")
    assert landing.releases() == [("ada", "closed for the winter", held)]

    later = datetime.now(UTC)
    with ods.connect("orchestrator") as connection:
        state = watermark.advance(connection, {(HEARTBEATS, 0): 10}, later, LATE)
    assert (state.watermark, state.held_since) == (later - LATE, None)
    assert shown(environment)[0] == 0


@pytest.mark.usefixtures("landing")
def test_what_is_not_held_cannot_be_released(ods: Ods) -> None:
    with (
        ods.connect("orchestrator") as connection,
        pytest.raises(WatermarkError, match="nothing to release"),
    ):
        release(connection, "ada", "in vain")
