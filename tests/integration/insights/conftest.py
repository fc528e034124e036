"""dbt's models in an ODS of their own, emptied for each test."""

from collections.abc import Iterator

import pytest

from tests.fixtures.insights import server
from tests.fixtures.insights.warehouse import Warehouse


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with server.warehouse(tmp_path_factory.mktemp("ods")) as warehouse:
        warehouse.dbt("run")
        yield warehouse


@pytest.fixture
def warehouse(built: Warehouse) -> Warehouse:
    built.empty()
    return built
