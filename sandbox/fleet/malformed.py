"""Records as broken machines, collectors and pranksters send them.

Each is made from a good record of an unscripted machine and sent beside it, never in its place: so
nothing that a rule needs is missing, and what lands of them says again what was said already.
"""

import random
import re
from collections.abc import Callable

from sandbox.fleet.records import Record, uuid7
from sandbox.fleet.registry import NEVER_REGISTERED

Value = bytes
Break = Callable[[Value], Value]

_HUGE_BYTES = 1_000_000
_HUGE_EVERY = 20
_EVENT_ID = re.compile(rb'"event_id":"[^"]*"')
_DEVICE_ID = re.compile(rb'"device_id":"[^"]*",')
_FIELD = {
    "seq": re.compile(rb'"seq":\d+'),
    "event_ts": re.compile(rb'"event_ts":"[^"]*"'),
    "fw": re.compile(rb'"fw":"[^"]*"'),
}


def _set(name: str, literal: bytes) -> Break:
    replacement = b'"%b":%b' % (name.encode(), literal)
    return lambda value: _FIELD[name].sub(lambda _: replacement, value, count=1)


def _append(members: bytes) -> Break:
    return lambda value: value[:-1] + b"," + members + b"}"


_BROKEN_VALUES: dict[str, Break] = {
    "truncated": lambda value: value[: len(value) // 2],
    "array": lambda value: b"[" + value + b"]",
    "empty": lambda value: b"",
    "not_utf8": _set("fw", b'"4.1.0\xff\xfe"'),
    "not_a_number": _set("seq", b"NaN"),
    "overflow": _set("seq", b"1e400"),
    "out_of_range": _set("seq", b"9223372036854775808"),
    "string_for_number": _set("seq", b'"12"'),
    "fraction_for_integer": _set("seq", b"60.0"),
    "nul_escape": _set("fw", rb'"4.1.0\u0000"'),
    "lone_surrogate": _set("fw", rb'"\ud800"'),
    "event_ts_1970": _set("event_ts", b'"1970-01-01T00:00:00.000Z"'),
    "event_ts_2999": _set("event_ts", b'"2999-12-31T23:59:59.999Z"'),
    "event_ts_year_0": _set("event_ts", b'"0000-01-01T00:00:00.000Z"'),
    "missing_field": lambda value: _DEVICE_ID.sub(b"", value, count=1),
    "duplicate_key": lambda value: _append(_FIELD["seq"].findall(value)[0])(value),
    "unknown_field": _append(b'"x_vendor":{"lot":"A7","tags":[1,2]}'),
}


def _tombstone(good: Record) -> Record:
    return good._replace(value=None)


def _no_key(good: Record) -> Record:
    return good._replace(key=None)


def _disagreeing_key(good: Record) -> Record:
    return good._replace(key=NEVER_REGISTERED.encode())


def _unknown_device(good: Record) -> Record:
    device = NEVER_REGISTERED.encode()
    value = _DEVICE_ID.sub(b'"device_id":"%b",' % device, good.value or b"", count=1)
    return good._replace(key=device, value=value)


_BROKEN_RECORDS: dict[str, Callable[[Record], Record]] = {
    "tombstone": _tombstone,
    "no_key": _no_key,
    "disagreeing_key": _disagreeing_key,
    "unknown_device": _unknown_device,
}

HUGE = "huge"
KINDS = (*_BROKEN_VALUES, *_BROKEN_RECORDS)
"""All kinds but `HUGE`, which is a megabyte and therefore seldom."""


def kind_of(rank: int, count: int) -> str:
    """Returns the kind of the n-th malformed record of the machine with this rank.

    Machines begin three kinds apart, so the smallest fleet shows all kinds within its history.
    """
    if rank == 0 and count % _HUGE_EVERY == 0:
        return HUGE
    return KINDS[(3 * rank + count) % len(KINDS)]


def malform(good: Record, kind: str, rng: random.Random) -> Record:
    """Returns a broken copy of a good record, with an event id of its own."""
    if good.value is None:
        raise ValueError("a tombstone cannot be broken further")
    event_id = b'"event_id":"%b"' % uuid7(good.arrival, rng).encode()
    copy = good._replace(value=_EVENT_ID.sub(event_id, good.value, count=1))
    if (broken := _BROKEN_RECORDS.get(kind)) is not None:
        return broken(copy)
    value = copy.value or b""
    if kind == HUGE:
        padding = b"x" * (_HUGE_BYTES - len(_append(b'"x_padding":""')(value)))
        return copy._replace(value=_append(b'"x_padding":"%b"' % padding)(value))
    return copy._replace(value=_BROKEN_VALUES[kind](value))
