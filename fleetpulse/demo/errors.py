"""What can go wrong in a demo."""


class DemoError(Exception):
    """A part of the demo failed; the message names it and shows its log's end."""
