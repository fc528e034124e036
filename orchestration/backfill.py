"""A day of the past judged again; several are a backfill of Dagster's."""

from collections import Counter

import dagster as dg
from pydantic import Field

from orchestration.partitions import DAYS
from orchestration.resources import Backfills, Differences, Wanted


class BackfillConfig(dg.Config):
    """What else is asked for; by itself a run only tells what would differ."""

    rules: list[str] = Field(default=[], description="Only by these; none means all.")
    apply: bool = False
    tickets: bool = False


@dg.op
def judge_again(
    context: dg.OpExecutionContext, config: BackfillConfig, backfills: dg.ResourceParam[Backfills]
) -> None:
    """Judges the day (UTC) again, and tells what differs from what had been found."""
    day = context.partition_time_window
    wanted = Wanted(
        since=day.start,
        until=day.end,
        by="Dagster",
        rules=config.rules,
        apply=config.apply,
        tickets=config.tickets,
    )
    context.add_output_metadata(told(backfills.run(wanted, context.log.info)))


@dg.job(
    description="Judges days of the past again from the lake; by configuration also merges them.",
    partitions_def=DAYS,
    tags={"dagster/max_runtime": "86400"},
)
def insights_backfill() -> None:
    """Beside the batches, in a schema of its own."""
    judge_again()


def told(found: Differences) -> dict[str, dg.MetadataValue | int | str]:
    """Returns what a run's page says of the differences."""
    findings = Counter((each.rule_id, each.change) for each in found.findings)
    episodes = Counter((each.rule_id, each.change) for each in found.episodes)
    lines = ["| rule | | findings | episodes |", "|---|---|---|---|"]
    lines += [
        f"| {rule} | {change} | {findings[rule, change]} | {episodes[rule, change]} |"
        for rule, change in sorted(findings.keys() | episodes.keys())
    ]
    return {
        "differences": dg.MetadataValue.md("\n".join(lines)),
        "findings": len(found.findings),
        "clears_and_holds": found.others,
        "episodes": len(found.episodes),
        "unsettled": found.unsettled,
        "left_out": found.left_out,
        "compared_with_batch": found.compared_with,
        "merged_by_batch": "none" if found.batch_id is None else str(found.batch_id),
    }
