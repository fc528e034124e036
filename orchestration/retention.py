"""Old days of landing are dropped, and the tables' assets say what was."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from assets.landed import landing_key
from orchestration.resources import Landing
from streaming.retention import Day, State


@dg.op
def drop_old_days(context: dg.OpExecutionContext, landing: dg.ResourceParam[Landing]) -> None:
    """Drops what nobody needs any more; fails where a day could not go, once the others have."""
    done: list[Day] = []
    for each in landing.drop_old_days(datetime.now(UTC)):
        context.log.info(f"{each.topic} {each.day}: {each.records} records {each.state} {each.why}")
        done.append(each)
    dropped = [each for each in done if each.state is State.DROPPED]
    for topic in sorted({each.topic for each in dropped}):
        of_topic = [each for each in dropped if each.topic == topic]
        context.log_event(dg.AssetObservation(landing_key(topic), metadata=_told(of_topic)))
    context.add_output_metadata(_told(dropped))
    if stayed := [each for each in done if each.state is not State.DROPPED]:
        told = (f"{each.topic} {each.day} {each.state}: {each.why}" for each in stayed)
        raise dg.Failure("; ".join(told))


def _told(dropped: Sequence[Day]) -> dict[str, int | str]:
    return {
        "days_dropped": ", ".join(sorted({each.day.isoformat() for each in dropped})),
        "records_dropped": sum(each.records for each in dropped),
        "bytes_freed": sum(each.freed for each in dropped),
    }
