"""All machines' records in the order of their arrival. A pure function of the plan."""

from collections.abc import Iterator
from heapq import merge
from itertools import count, takewhile
from operator import attrgetter

from sandbox.fleet.instants import MINUTE
from sandbox.fleet.machine import Machine
from sandbox.fleet.plan import Plan
from sandbox.fleet.records import Record


def records(plan: Plan) -> Iterator[Record]:
    """Yields the records of history and live time, lazily, until the run's end.

    Equal plans yield equal records. Malformed records come from machines without a script alone,
    and from those of the first minute: so many of each kind follow from the fleet's size.
    """
    end = plan.config.end_ms
    first_minute = plan.config.begin_ms + MINUTE
    ranks = count()
    machines = [
        Machine(
            device,
            plan.config.seed,
            next(ranks) if device.script is None and device.commissioned < first_minute else None,
        )
        for device in plan.devices
    ]
    everything = merge(*(machine.records() for machine in machines), key=attrgetter("arrival"))
    return takewhile(lambda record: record.arrival < end, everything)
