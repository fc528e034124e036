"""Objects that are put once: the verbs the lake's protocol stands on, over S3 or a folder.

`put_if_absent` has exactly one winner for a key, whoever else tries at the same time, and an
object that is there is whole. Where the outcome is unknown (a time-out, 409, 5xx) it raises
`OutageError`: the caller reads that key before it does anything else.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

from streaming.errors import FatalError, OutageError
from streaming.settings import LakeSettings


class ObjectStore(Protocol):
    """A flat space of immutable objects."""

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Puts an object unless the key is taken; returns whether this call has put it.

        Raises:
            OutageError: The outcome is unknown.
            FatalError: The store refuses us; the message says why.
        """

    def get(self, key: str) -> bytes | None:
        """Returns an object's bytes, or None where there is none."""

    def exists(self, key: str) -> bool:
        """Returns whether there is such an object."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yields the keys that begin with a prefix and sort behind `after`, in order."""

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Yields as `keys` does, each key with its object's bytes."""

    def delete(self, key: str) -> None:
        """Deletes an object; one that is not there is no error."""


def open_store(settings: LakeSettings) -> ObjectStore:
    """Returns the store that the settings name. Does no I/O."""
    parts = urlsplit(settings.url)
    if parts.scheme == "file":
        return FileStore(Path(parts.path))
    return S3Store(settings, parts.netloc, parts.path.strip("/"))


class FileStore:
    """A folder. Written aside, synced, then linked: an exclusive create can leave a torn winner."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """See `ObjectStore`."""
        target = self._root / key
        aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        with _file_errors(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with aside.open("xb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    os.link(aside, target)
                except FileExistsError:
                    won = False
                else:
                    won = True
                _sync_folders(target.parent, self._root)
            finally:
                aside.unlink(missing_ok=True)
        return won

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore`."""
        with _file_errors(key):
            try:
                return (self._root / key).read_bytes()
            except FileNotFoundError:
                return None

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        with _file_errors(key):
            return (self._root / key).exists()

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `ObjectStore`."""
        with _file_errors(prefix):
            folder = (
                (self._root / prefix).parent if not prefix.endswith("/") else self._root / prefix
            )
            found = sorted(
                key
                for path in folder.rglob("*")
                if path.is_file() and not path.name.startswith(".")
                if (key := path.relative_to(self._root).as_posix()).startswith(prefix)
            )
        yield from (key for key in found if key > after)

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See `ObjectStore`."""
        for key in self.keys(prefix, after):
            with _file_errors(key), suppress(FileNotFoundError):  # deleted since
                yield key, (self._root / key).stat().st_size

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        with _file_errors(key):
            (self._root / key).unlink(missing_ok=True)


class S3Store:
    """A bucket, or a prefix in one."""

    def __init__(self, settings: LakeSettings, bucket: str, prefix: str) -> None:
        secret = settings.secret_access_key
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint_url,
            region_name=settings.region,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=secret and secret.get_secret_value(),
            config=Config(
                connect_timeout=3,
                read_timeout=15,
                retries={"total_max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "path"} if settings.endpoint_url else {},
            ),
        )

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """See `ObjectStore`."""
        with self._errors(key):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + key, Body=body, IfNoneMatch="*"
                )
            except botocore.exceptions.ClientError as error:
                if _status(error) == 412:
                    return False
                raise
        return True

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore`."""
        with self._errors(key):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                body: bytes = answer["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
        return body

    def exists(self, key: str) -> bool:
        """See `ObjectStore`."""
        with self._errors(key):
            try:
                # Not HEAD: its answer has no body, so that a refusal would not say why.
                first = {"Bucket": self._bucket, "Key": self._prefix + key, "Range": "bytes=0-0"}
                self._client.get_object(**first)["Body"].read()
            except botocore.exceptions.ClientError as error:
                if _status(error) == 416:
                    return True  # there is no first byte: it is empty
                if _status(error) == 404:
                    return False
                raise
        return True

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `ObjectStore`."""
        return (key for key, _ in self.sizes(prefix, after))

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """See `ObjectStore`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket,
            Prefix=self._prefix + prefix,
            StartAfter=self._prefix + after if after else "",
        )
        with self._errors(prefix):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self._prefix), found["Size"]

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        with self._errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        name = f"s3://{self._bucket}/{self._prefix}{key}"
        try:
            yield
        except botocore.exceptions.ClientError as error:
            status, code = _status(error), error.response.get("Error", {}).get("Code", "")
            if code == "RequestTimeTooSkewed":
                raise OutageError(
                    f"the object store answered {code} for {name}: set this machine's clock"
                ) from error
            if status in (408, 409, 429) or status >= 500 or code in ("SlowDown", "RequestTimeout"):
                raise OutageError(
                    f"the object store answered {status} {code} for {name}"
                ) from error
            raise FatalError(
                f"the object store refused {name}: {status} {code}: "
                "check the bucket, the keys and their rights (FLEETPULSE_LAKE__*)"
            ) from error
        except botocore.exceptions.NoCredentialsError as error:
            raise FatalError(
                f"no credentials for {name}: set FLEETPULSE_LAKE__ACCESS_KEY_ID and "
                "FLEETPULSE_LAKE__SECRET_ACCESS_KEY, or AWS's own"
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise OutageError(f"the object store does not answer for {name}: {error}") from error


@contextmanager
def _file_errors(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutageError(f"the lake's folder failed at {key}: {error.strerror}") from error


def _sync_folders(folder: Path, root: Path) -> None:
    """Makes a new name durable: each folder down to the root may have been new."""
    for path in (folder, *folder.parents):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path == root:
            return


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
