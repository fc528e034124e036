from pathlib import Path

import pytest

from sandbox.files import tail
from sandbox.sandbox import OWNED, Health, Sandbox


def test_a_sandbox_that_was_never_started_is_down_and_asking_creates_nothing(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    found = Sandbox(home).status()
    assert [server.name for server in found] == ["postgres", "kafka", "s3", "servicenow"]
    assert {server.health for server in found} == {Health.DOWN}
    assert not home.exists()


def test_down_and_reset_of_nothing_do_nothing(tmp_path: Path) -> None:
    Sandbox(tmp_path / "home").down()
    Sandbox(tmp_path / "home").reset()
    assert not (tmp_path / "home").exists()


def test_reset_spares_what_the_sandbox_does_not_own(tmp_path: Path) -> None:
    for name in (*OWNED, "demo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    Sandbox(tmp_path).reset()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "lock"]


@pytest.mark.parametrize(("written", "shown"), [(3, "0\n1\n2"), (100, "98\n99")])
def test_a_tail_is_the_last_lines(tmp_path: Path, written: int, shown: str) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(written)))
    assert tail(log, lines=3 if written == 3 else 2) == shown


def test_a_missing_log_has_no_tail(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""
