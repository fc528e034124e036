"""Windows, time policies and operators mean what the oracle says, to the microsecond."""

import pytest

from tests.fixtures.insights.warehouse import DbtFailedError, Warehouse
from tests.fixtures.windows import comparison
from tests.fixtures.windows.expected import EXPECTED
from tests.fixtures.windows.random_logs import Log
from tests.oracle.difference import DifferenceError

COMPARISONS = 200


@pytest.fixture(scope="module")
def windows(built: Warehouse) -> Warehouse:
    return comparison.build(built)


def test_random_logs_give_the_rows_of_the_oracle(windows: Warehouse) -> None:
    assert comparison.search(windows, COMPARISONS, 1, lambda done: None) == COMPARISONS


def test_a_difference_is_found_and_told_of_the_smallest_log(windows: Warehouse) -> None:
    def never(log: Log) -> list[tuple[str]]:
        return []

    with pytest.raises(DifferenceError, match="tumbling differs") as found:
        comparison.search(windows, 10, 1, lambda done: None, EXPECTED | {"tumbling": never})
    assert str(found.value).count("Event(") == 1


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        ("tumbling_windows('events', 0)", "size of a tumbling window is 0 µs: give a whole number"),
        ("hopping_windows('events', seconds(8 * 86400), 5)", "size of a hopping window is 691200"),
        (
            "system_time('events', 'number', 1, 'wait', 0, 'drop')",
            "time policy is wait: give drop or adjust",
        ),
        ("joins_within('a', 'b', 5, 4)", "upper bound of a temporal join is 4 µs"),
        ("lag_within('value', 1.5, 'key', 'number')", "limit duration of lag is 1.5 µs"),
    ],
)
def test_what_stream_analytics_refuses_is_refused(
    windows: Warehouse, call: str, complaint: str
) -> None:
    with pytest.raises(DbtFailedError, match=complaint):
        windows.dbt("compile", "--inline", f"{{{{ {call} }}}}")
