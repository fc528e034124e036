from pathlib import Path

import pytest

from benchmarks.landing.__main__ import median, ratios
from benchmarks.landing.telegraf import BuildError, build
from benchmarks.measure import Usage

OURS = {
    "ours": Usage(seconds=10, client_cpu_s=9, server_cpu_s=6, client_memory_mb=200),
    "ours, ods alone": Usage(9, 7, 5, 180),
    "ours, lake alone": Usage(4, 3, 0, 200),
    "server-side COPY": Usage(5, 0, 5, 0),
}


def test_one_run_that_was_disturbed_does_not_change_the_result() -> None:
    calm, calmer, disturbed = Usage(10, 8, 5, 200), Usage(9, 8, 6, 210), Usage(40, 16, 7, 205)

    assert median([calm, disturbed, calmer]) == Usage(10, 8, 6, 205)


def test_ratios_compare_both_ends_of_the_ods_leg_and_our_own_end_of_the_lake_leg() -> None:
    peers = {
        "Debezium JDBC": Usage(40, 24, 18, 800),
        "Quix Streams to S3": Usage(24, 21, 1, 500),
        "Telegraf": Usage(5, 4, 2, 100),
    }

    assert ratios(OURS | peers) == {
        "of_copy_ceiling": 0.5,
        "debezium_jdbc_cpu": 3.5,
        "debezium_jdbc_memory": 4.0,
        "quix_s3_cpu": 7.0,
        "telegraf_cpu": 0.5,
    }


def test_who_did_not_run_has_no_ratio() -> None:
    assert ratios(OURS) == {"of_copy_ceiling": 0.5}


def test_without_go_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BuildError, match=r"install it .* or run without WITH=telegraf"):
        build(tmp_path)
