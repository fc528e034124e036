"""What a comparison raises."""


class DifferenceError(Exception):
    """SQL and the oracle do not agree; the message shows the smallest example, and both answers."""
