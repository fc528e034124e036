"""Ports on loopback: free when chosen, and kept for the life of the sandbox."""

import random
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from sandbox.errors import StateError
from sandbox.files import read_json, write_json

HOST = "127.0.0.1"
# Below what Linux (32768) and macOS (49152) give to outgoing connections, so that nothing takes
# a port by chance while its server is down.
RANGE = range(20000, 30000)


class Ports:
    """The ports of one sandbox, by name, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = read_json(path) or {}

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def settle(self, names: Iterable[str], preferred: dict[str, int]) -> None:
        """Gives a port to each name that has none.

        Args:
            names: Who needs a port.
            preferred: The port that a name takes if it is free at that moment.
        """
        for name in names:
            if name not in self._ports:
                wish = preferred.get(name)
                self._ports[name] = wish if wish and self._usable(wish) else self._choose()
        write_json(self._path, self._ports)

    def replace_if_taken(self, name: str) -> int | None:
        """Gives a name whose server is down another port if a stranger listens on its own.

        Returns:
            The port that was given up, None if it could stay.
        """
        old = self._ports[name]
        if is_free(old):
            return None
        self._ports[name] = self._choose()
        write_json(self._path, self._ports)
        return old

    def _usable(self, port: int) -> bool:
        return port not in self._ports.values() and is_free(port)

    def _choose(self) -> int:
        for port in random.sample(RANGE, len(RANGE)):
            if self._usable(port):
                return port
        raise StateError(
            f"no free port on {HOST} between {RANGE.start} and {RANGE.stop}: free some"
        )


def is_free(port: int) -> bool:
    """Returns whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: a connection that is only lingering is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Returns whether somebody accepts connections there."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def listens(process: psutil.Process, port: int) -> bool:
    """Returns whether it is this process that accepts connections there."""
    try:
        sockets = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        for each in sockets
    )
