import dagster as dg
import pytest

from fleetpulse import dbt


@pytest.fixture(scope="session")
def definitions() -> dg.Definitions:
    """The real definitions, from a manifest that fits the models of this checkout."""
    dbt.prepare()
    from orchestration.definitions import defs

    return defs
