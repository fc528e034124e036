"""What a command raises for the person at the terminal."""


class CommandError(Exception):
    """A command could not do its work; the message says why and what to do."""
