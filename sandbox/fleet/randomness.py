"""Chance that can be repeated."""

import random


def generator(*names: object) -> random.Random:
    """Returns a generator that depends on the names alone, on every platform and Python."""
    return random.Random("/".join(map(str, names)))  # noqa: S311 (a simulation, no secret)
