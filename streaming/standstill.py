"""A standstill of landing: for longer than this no next offset has moved, of any partition."""

from datetime import timedelta

STANDSTILL = timedelta(seconds=60)
