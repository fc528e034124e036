import dagster as dg
import pytest


@pytest.fixture(scope="session")
def definitions(dbt_manifest: None) -> dg.Definitions:
    """The real definitions."""
    from orchestration.definitions import defs

    return defs
