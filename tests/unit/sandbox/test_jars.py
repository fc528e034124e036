import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import requests
from jgo.env import LockFile
from jgo.env._lockfile import compute_spec_hash

from sandbox import jars
from sandbox.errors import JarError
from sandbox.jars import Jar, fetch, read_lock
from sandbox.object_store import S3PROXY
from sandbox.sandbox import JAR_LOCK

CONTENT = b"classes"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Maven:
    """Answers jgo's requests: `content` for the jar, 404 for its checksum file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[str] = []

    def __call__(self, url: str, **_: object) -> requests.Response:
        self.asked.append(url.rpartition("/")[2])
        answer = requests.Response()
        answer.status_code = 200 if url.endswith(".jar") else 404
        answer.raw = io.BytesIO(self.content)
        return answer


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    return tmp_path / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"


@pytest.fixture
def maven(monkeypatch: pytest.MonkeyPatch) -> Maven:
    maven = Maven(CONTENT)
    monkeypatch.setattr("jgo.util.http.get", maven)
    return maven


def test_a_jar_in_the_cache_is_not_fetched_again(cached: Path, maven: Maven) -> None:
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert fetch([JAR], lambda *_: None) == [cached]
    assert maven.asked == []


def test_a_missing_jar_is_fetched_and_counted(cached: Path, maven: Maven) -> None:
    steps: list[tuple[int, int]] = []
    assert fetch([JAR], lambda done, total: steps.append((done, total))) == [cached]
    assert cached.read_bytes() == CONTENT
    assert steps == [(1, 1)]


def test_a_jar_that_was_cut_short_is_fetched_anew(cached: Path, maven: Maven) -> None:
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:3])
    assert fetch([JAR], lambda *_: None) == [cached]
    assert cached.read_bytes() == CONTENT


def test_two_sandboxes_at_once_fetch_into_an_empty_cache_one_after_the_other(
    cached: Path, maven: Maven, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_lack_it = Barrier(2)
    lock = jars._cache_lock
    monkeypatch.setattr(jars, "_cache_lock", lambda: (both_lack_it.wait(10), lock())[1])
    with ThreadPoolExecutor(2) as pool:
        fetched = list(pool.map(lambda _: fetch([JAR], lambda *_: None), range(2)))
    assert fetched == [[cached]] * 2
    assert maven.asked.count(cached.name) == 1


def test_a_jar_that_another_sandbox_removes_while_we_look_is_missing_and_fetched(
    cached: Path, maven: Maven, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:3])
    sha256 = jars._sha256

    def removed(path: Path) -> str:
        monkeypatch.setattr(jars, "_sha256", sha256)
        path.unlink()
        return sha256(path)

    monkeypatch.setattr(jars, "_sha256", removed)
    assert fetch([JAR], lambda *_: None) == [cached]
    assert cached.read_bytes() == CONTENT


def test_a_jar_that_differs_from_the_lock_is_refused_and_removed(
    cached: Path, maven: Maven
) -> None:
    maven.content = b"malware"
    with pytest.raises(JarError, match=r"org\.example:thing:1\.0 has SHA-256"):
        fetch([JAR], lambda *_: None)
    assert not cached.exists()


def test_the_order_of_the_class_path_is_the_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "_cached", lambda jar: tmp_path / jar.artifact)
    order = [Jar("g", name, "1", "") for name in ("kafka", "log4j", "asm")]
    assert [path.name for path in fetch(order, lambda *_: None)] == ["kafka", "log4j", "asm"]


def test_the_lock_belongs_to_jgo_toml_and_pins_every_jar() -> None:
    lock = LockFile.load(JAR_LOCK)
    assert lock.spec_hash == compute_spec_hash(JAR_LOCK.with_name("jgo.toml"))
    locked = {jar.artifact: jar for jar in read_lock(JAR_LOCK)}
    assert locked["kafka_2.13"].version == "4.2.0"
    assert all(len(jar.sha256) == 64 for jar in [*locked.values(), S3PROXY])


def test_an_entry_without_a_checksum_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "jgo.lock.toml"
    lock.write_text('[[dependencies]]\ngroupId = "g"\nartifactId = "bare"\nversion = "1"\n')
    with pytest.raises(JarError, match="no sha256 for bare"):
        read_lock(lock)
