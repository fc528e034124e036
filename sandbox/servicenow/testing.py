"""An instance for tests: served over real HTTP from a thread of the test's own process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import requests
import uvicorn

from sandbox.servicenow.app import create_app
from sandbox.servicenow.faults import Plan
from sandbox.servicenow.store import Store

USERNAME = "fleetpulse"
PASSWORD = "only-for-tests"  # noqa: S105 - the account of an instance that lives for one test
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance.

    Attributes:
        url: Its address.
        store: Its tables, to look at and to edit as people would.
        ca_file: The certificate to trust, where it speaks TLS.
    """

    url: str
    store: Store
    ca_file: Path | None

    @property
    def account(self) -> tuple[str, str]:
        """User name and password."""
        return USERNAME, PASSWORD

    def plan(self, faults: Plan) -> None:
        """Sets the planned faults."""
        answer = requests.put(
            f"{self.url}/_control",
            data=msgspec.json.encode(faults),
            auth=self.account,
            verify=True if self.ca_file is None else str(self.ca_file),
            timeout=_PATIENCE_S,
        )
        answer.raise_for_status()


@contextmanager
def serve(
    database: Path, *, certificate: Path | None = None, key: Path | None = None
) -> Iterator[Instance]:
    """Serves an instance on a free port until the block ends.

    Clients close their connections before that: the server waits for them.

    Args:
        database: Its SQLite file.
        certificate: A certificate for 127.0.0.1, to serve HTTPS.
        key: The certificate's key.
    """
    with closing(Store(database)) as store, socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(store, username=USERNAME, password=PASSWORD),
                ssl_certfile=certificate,
                ssl_keyfile=key,
                lifespan="off",
                ws="none",
                log_level="critical",
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        scheme = "http" if certificate is None else "https"
        # The socket listens already: a request that comes before the server is ready is queued.
        yield Instance(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", store, certificate)
        server.should_exit = True
        thread.join(_PATIENCE_S)
