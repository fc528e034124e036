"""How the lake keeps an epoch."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from streaming.epochs import Epoch
from streaming.errors import FatalError

EPOCH = Epoch(
    "alerts.raw",
    2,
    "4Tq",
    {0: 17, 1: 0},
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    "Ada",
    "partition 0 truncated at 17",
)


def test_an_epoch_comes_back_from_the_lake_as_it_was() -> None:
    assert Epoch.decode(EPOCH.encode(), EPOCH.key) == EPOCH


def test_epochs_sort_by_their_keys() -> None:
    assert EPOCH.key == "_epochs/topic=alerts.raw/e0000000002"
    assert EPOCH.key < replace(EPOCH, epoch=10).key


@pytest.mark.parametrize("body", [b"", b"{}", EPOCH.encode()[:-1]])
def test_an_epoch_that_is_damaged_is_named(body: bytes) -> None:
    with pytest.raises(FatalError, match=EPOCH.key):
        Epoch.decode(body, EPOCH.key)
