import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.servicenow.testing import Instance, serve


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with serve(tmp_path / "instance.db") as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run(
        [
            *command.split(),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def https_instance(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Instance]:
    with serve(tmp_path / "instance.db", certificate=certificate[0], key=certificate[1]) as running:
        yield running
