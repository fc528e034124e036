"""What the sandbox needs to know of a server to start it, wait for it and stop it."""

import signal
from collections.abc import Callable
from typing import Protocol

from sandbox.process import Command

Report = Callable[[str], None]
"""Called with a few words on what a server is doing now."""


class NotReadyError(Exception):
    """The server does not answer yet, or not as it should. Not for users: it is waited out."""


class Server(Protocol):
    """One server of the sandbox. All its methods may be called again at any time."""

    @property
    def name(self) -> str:
        """Its name in tables, logs and files."""

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the ports that it listens on."""

    @property
    def address(self) -> str:
        """Where clients find it."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that it takes as "end in order, now"."""

    @property
    def abandon_signal(self) -> signal.Signals:
        """The signal that ends it at once, with all its processes; its data are not kept."""

    def prepare(self, report: Report) -> None:
        """Puts files in place, and what a start after a crash needs out of the way.

        Args:
            report: Told what goes on, where that may take long.
        """

    def command(self) -> Command:
        """Returns what to run."""

    def probe(self) -> None:
        """Asks it something that only a working server can answer.

        Raises:
            NotReadyError: It did not answer as it should.
        """

    def provision(self) -> None:
        """Creates what its users expect to find in it, where that is missing."""
