"""Jars from Maven Central, fetched by jgo into the user's Maven cache and checked by SHA-256.

What is fetched is what the lock names: nothing is resolved again, so no POM is read.
"""

import fcntl
import hashlib
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from sandbox.errors import JarError

if TYPE_CHECKING:
    from jgo.maven import Artifact

PARALLEL = 8

Progress = Callable[[int, int], None]
"""Called with the number of jars that are ready, and of all."""


@dataclass(frozen=True)
class Jar:
    """One file of Maven Central, by its coordinates and its SHA-256."""

    group: str
    artifact: str
    version: str
    sha256: str
    classifier: str = ""

    def __str__(self) -> str:
        return ":".join(
            part for part in (self.group, self.artifact, self.version, self.classifier) if part
        )


def read_lock(path: Path) -> list[Jar]:
    """Reads the jars of a `jgo.lock.toml`.

    Raises:
        JarError: The file is missing, or an entry has no checksum.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["dependencies"]
    except FileNotFoundError as error:
        raise JarError(f"{path} is missing: restore it from the repository") from error
    if unchecked := [entry["artifactId"] for entry in entries if "sha256" not in entry]:
        raise JarError(f"{path}: no sha256 for {', '.join(unchecked)}: lock again")
    return [
        Jar(
            entry["groupId"],
            entry["artifactId"],
            entry["version"],
            entry["sha256"],
            entry.get("classifier", ""),
        )
        for entry in entries
    ]


def fetch(jars: Sequence[Jar], progress: Progress) -> list[Path]:
    """Returns the jars' files, in order, after downloading those that the cache lacks.

    Raises:
        JarError: One cannot be downloaded, or is not what the lock says.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = dict(zip(jars, pool.map(_cached, jars), strict=True))
        missing = [jar for jar, path in found.items() if path is None]
        if missing:
            with _cache_lock():
                done = len(jars) - len(missing)
                for jar, path in zip(missing, pool.map(_download, missing), strict=True):
                    found[jar] = path
                    done += 1
                    progress(done, len(jars))
    return [path for path in found.values() if path is not None]


def _artifact(jar: Jar) -> "Artifact":
    # Imported late here and below: production has no jgo, and the command line starts sooner.
    from jgo.maven import MavenContext

    component = MavenContext().project(jar.group, jar.artifact).at_version(jar.version)
    return component.artifact(classifier=jar.classifier)


def _cached(jar: Jar) -> Path | None:
    path = _artifact(jar).cached_path
    try:
        return path if path is not None and _sha256(path) == jar.sha256 else None
    except FileNotFoundError:  # never fetched, or another sandbox is fetching it anew
        return None


def _download(jar: Jar) -> Path:
    if (path := _cached(jar)) is not None:  # another sandbox held the lock before us
        return path
    artifact = _artifact(jar)
    # jgo writes downloads in place: what is there and differs was cut short, or tampered with.
    if artifact.cached_path is not None:
        artifact.cached_path.unlink(missing_ok=True)
    try:
        path = artifact.resolve()
    except (requests.RequestException, RuntimeError) as error:
        raise JarError(
            f"{jar} cannot be downloaded ({error}): is Maven Central reachable?"
        ) from error
    if (actual := _sha256(path)) != jar.sha256:
        path.unlink()
        raise JarError(f"{jar} has SHA-256 {actual}, the lock says {jar.sha256}: it was removed")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _cache_lock() -> Iterator[None]:
    """Keeps two sandboxes from downloading into the same cache at once."""
    from jgo.constants import default_maven_repo

    cache = default_maven_repo()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".fleetpulse.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
