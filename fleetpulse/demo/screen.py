"""What a person sees while a demo runs: a live table on a terminal, lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleetpulse.demo.sight import Now

LINE_EVERY_S = 10.0


class Screen:
    """Shows the steps, then the numbers.

    Args:
        console: Where to.
        headless: Whether to write lines even on a terminal.
    """

    def __init__(self, console: Console, *, headless: bool) -> None:
        self._console = console
        self._live = console.is_terminal and not headless
        self._began = time.monotonic()
        self._line_at = 0.0
        self._addresses: list[tuple[str, str]] = []

    def say(self, words: str) -> None:
        """Says one thing that happened, with the seconds since the start."""
        seconds = time.monotonic() - self._began
        self._console.print(f"{seconds:6.1f} s  {words}", highlight=False, soft_wrap=True)

    def step(self, server: str, step: str) -> None:
        """Says what a server is doing, where that is worth a line."""
        if step.startswith("ready"):
            self.say(f"{server} {step}")

    def addresses(self, addresses: list[tuple[str, str]]) -> None:
        """Says where to look."""
        self._addresses = addresses
        for name, address in addresses:
            self.say(f"{name}: {address}")

    @contextmanager
    def numbers(self) -> Iterator["Numbers"]:
        """Shows the numbers for the time of the block."""
        if not self._live:
            yield Numbers(self, None)
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            yield Numbers(self, live)

    def line(self, what: str, now: Now, *, at_once: bool) -> None:
        """Writes the numbers as a line, every ten seconds or at once."""
        if at_once or time.monotonic() - self._line_at >= LINE_EVERY_S:
            self._line_at = time.monotonic()
            self.say(
                f"{what}: {now.produced:,} produced, {now.landed:,} landed, lag {now.lag:,}, "
                f"{now.findings} findings, {now.opened} incidents, {now.resolved} resolved"
            )

    def table(self, what: str, now: Now) -> RenderableType:
        """Returns the numbers as a table."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in (
            *("produced", "landed", "quarantined", "lag", "batches"),
            *("findings", "incidents", "resolved"),
        ):
            table.add_column(name, justify="right")
        table.add_row(
            *(f"{each:,}" for each in (now.produced, now.landed, now.quarantined, now.lag)),
            *(f"{each:,}" for each in (now.batches, now.findings, now.opened, now.resolved)),
        )
        hint = Text("\n".join(f"{name}: {address}" for name, address in self._addresses), "dim")
        return Group(Text(what, "bold"), table, hint)


class Numbers:
    """The numbers, again and again."""

    def __init__(self, screen: Screen, live: Live | None) -> None:
        self._screen = screen
        self._live = live
        self._last = Now()

    def show(self, what: str, now: Now) -> None:
        """Shows the numbers; what changed for people is a line of its own."""
        if self._live is not None:
            self._live.update(self._screen.table(what, now))
            return
        told = (now.opened, now.resolved) != (self._last.opened, self._last.resolved)
        self._screen.line(what, now, at_once=told)
        self._last = now
