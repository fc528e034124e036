"""What every object store must keep, for the lake's protocol stands on it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from pydantic import SecretStr

from streaming.errors import FatalError, OutageError
from streaming.object_store import ObjectStore, open_store
from streaming.settings import LakeSettings

WRITERS = 8
BIG = 3_000_000


def file_store(tmp_path: Path, _: Callable[[], dict[str, str]]) -> ObjectStore:
    return open_store(LakeSettings(url=(tmp_path / "lake").as_uri()))


def s3_store(_: Path, sandbox: Callable[[], dict[str, str]]) -> ObjectStore:
    return open_store(s3_settings(sandbox()))


def s3_settings(environment: dict[str, str], **changes: object) -> LakeSettings:
    names = ("endpoint_url", "region", "access_key_id", "secret_access_key")
    told: dict[str, object] = {
        name: environment[f"FLEETPULSE_LAKE__{name.upper()}"] for name in names
    }
    url = f"{environment['FLEETPULSE_LAKE__URL']}/store-{uuid4().hex[:8]}"
    return LakeSettings.model_validate({"url": url, **told, **changes})


@pytest.fixture(params=[file_store, s3_store], ids=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    made: ObjectStore = request.param(tmp_path, lambda: request.getfixturevalue("sandbox_env"))
    return made


def test_what_was_put_is_there_to_the_byte(store: ObjectStore) -> None:
    body = bytes(range(256)) * 10
    assert store.put_if_absent("raw/topic=a/dt=2026-03-01/x.parquet", body) is True
    assert store.get("raw/topic=a/dt=2026-03-01/x.parquet") == body
    assert store.exists("raw/topic=a/dt=2026-03-01/x.parquet")


def test_an_empty_object_is_one(store: ObjectStore) -> None:
    assert store.put_if_absent("empty", b"")
    assert (store.get("empty"), store.exists("empty")) == (b"", True)


def test_what_is_not_there_is_none_and_no_error(store: ObjectStore) -> None:
    assert (store.get("a/b"), store.exists("a/b"), list(store.keys("a/"))) == (None, False, [])
    store.put_if_absent("a/b/c", b"")
    assert (store.get("a/bb"), store.exists("a/bb")) == (None, False)


def test_a_key_that_is_taken_stays_as_it_is(store: ObjectStore) -> None:
    assert store.put_if_absent("key", b"first")
    assert store.put_if_absent("key", b"second") is False
    assert store.get("key") == b"first"


def test_of_writers_at_once_one_wins_and_its_object_is_whole(store: ObjectStore) -> None:
    start = Barrier(WRITERS)

    def write(writer: int) -> list[bool]:
        won = []
        for number in range(10):
            start.wait()
            won.append(store.put_if_absent(f"claims/o{number:03}", bytes([writer]) * 10_000))
        return won

    with ThreadPoolExecutor(WRITERS) as pool:
        attempts = list(pool.map(write, range(WRITERS)))

    for number, won in enumerate(zip(*attempts, strict=True)):
        assert sum(won) == 1
        assert store.get(f"claims/o{number:03}") == bytes([won.index(True)]) * 10_000


def test_who_reads_while_it_is_written_sees_nothing_or_all_of_it(store: ObjectStore) -> None:
    body = bytes(BIG)
    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.put_if_absent, "big", body)
        while not writing.done() or len(seen) == 0:
            found = store.get("big")
            seen.append(-1 if found is None else len(found))
        assert writing.result()
    assert store.get("big") == body
    assert set(seen) <= {-1, BIG}


def test_keys_come_in_order_by_prefix_and_after_one(store: ObjectStore) -> None:
    names = [f"claims/p0/o{number:020}" for number in (30, 4, 200)]
    for name in (*names, "claims/p01/o1", "claims/p1/o1", "raw/x"):
        store.put_if_absent(name, b"")
    assert list(store.keys("claims/p0/")) == sorted(names)
    assert list(store.keys("claims/p0/", after=names[1])) == sorted([names[0], names[2]])
    assert list(store.keys("claims/p0/", after=names[2])) == []
    assert list(store.keys("")) == sorted([*names, "claims/p01/o1", "claims/p1/o1", "raw/x"])


def test_a_refusal_names_the_object_and_no_secret(sandbox_env: dict[str, str]) -> None:
    store = open_store(s3_settings(sandbox_env, secret_access_key=SecretStr("wrong")))
    with pytest.raises(FatalError, match=r"refused s3://.*/key: 403") as refused:
        store.put_if_absent("key", b"")
    assert "wrong" not in str(refused.value)


def test_a_store_that_does_not_answer_is_an_outage(sandbox_env: dict[str, str]) -> None:
    store = open_store(s3_settings(sandbox_env, endpoint_url="http://127.0.0.1:1"))
    with pytest.raises(OutageError, match="does not answer for s3://"):
        store.exists("key")


def test_a_clock_that_is_an_hour_off_is_an_outage_until_it_is_set(
    sandbox_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_settings(sandbox_env))
    early = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    with monkeypatch.context() as clock:
        clock.setattr("botocore.auth.get_current_datetime", lambda: early)
        with pytest.raises(OutageError, match=r"RequestTimeTooSkewed for s3://.*: set .* clock"):
            store.put_if_absent("key", b"")
        with pytest.raises(OutageError, match="RequestTimeTooSkewed"):
            store.exists("key")
    assert store.put_if_absent("key", b"")


def test_a_folder_that_cannot_be_written_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    store = open_store(LakeSettings(url=(tmp_path / "lake").as_uri()))
    with pytest.raises(OutageError, match="the lake's folder failed at key"):
        store.put_if_absent("key", b"")


def test_sizes_are_told_with_the_keys(store: ObjectStore) -> None:
    store.put_if_absent("raw/a/1", b"123")
    store.put_if_absent("raw/a/2", b"")
    store.put_if_absent("raw/b/1", b"1")
    assert list(store.sizes("raw/a/")) == [("raw/a/1", 3), ("raw/a/2", 0)]
    assert list(store.sizes("raw/", after="raw/a/1")) == [("raw/a/2", 0), ("raw/b/1", 1)]


def test_what_is_deleted_is_gone_and_its_key_is_free(store: ObjectStore) -> None:
    store.put_if_absent("a/b", b"first")
    for _ in range(2):
        store.delete("a/b")
        assert (store.get("a/b"), store.exists("a/b"), list(store.keys("a/"))) == (None, False, [])
    assert store.put_if_absent("a/b", b"second")
    assert store.get("a/b") == b"second"
