from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.landing.scene import Scene


@pytest.fixture
def scene(
    sandbox_home: Path,
    sandbox_env: dict[str, str],
    fresh_database: Callable[[], str],
    tmp_path: Path,
) -> Iterator[Scene]:
    """An empty ODS, an empty lake and empty logs; its processes end with the test."""
    with Scene(sandbox_home, sandbox_env, fresh_database(), tmp_path) as scene:
        yield scene
