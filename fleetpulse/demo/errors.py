"""What can go wrong in a demo."""

from fleetpulse.errors import CommandError


class DemoError(CommandError):
    """A part of the demo failed; the message names it and shows its log's end."""
