"""The score as JSON for scripts and as words for people."""

from typing import Any

from rich import box
from rich.table import Table

from fleetpulse.score.compare import Outcome, Score, Share, Unexplained
from sandbox.fleet.instants import rfc3339

_TIMES = ("delay_s", "latency_s", "lead_s")


def as_json(score: Score) -> dict[str, Any]:
    """Returns the score as it is written for scripts."""
    return {
        "recall": score.total.recall,
        "precision": score.total.precision,
        "rules": {
            rule_id: _numbers(share)
            | {
                "kinds": {
                    kind: _numbers(of_kind)
                    for (of_rule, kind), of_kind in score.kinds.items()
                    if of_rule == rule_id
                }
            }
            for rule_id, share in score.rules.items()
        },
        "missed": [_missed(each) for each in score.missed],
        "false": [_false(each) for each in score.false],
        "unwanted": [_false(Unexplained(*each)) for each in score.unwanted],
        "false_incidents": score.false_incidents,
        "early": list(score.early),
        "late": list(score.late),
        "resolved": score.resolved,
    }


def tables(score: Score, *, kinds: bool) -> Table:
    """Returns a line for each rule, and for each kind of fault if that is asked for."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("rule", no_wrap=True)
    for name in (
        *("faults", "alike", "due", "false", "recall", "prec."),
        *("delay", "wait", "lead"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for rule_id, share in score.rules.items():
        table.add_row(rule_id, *_cells(share))
        for (of_rule, kind), of_kind in score.kinds.items():
            if kinds and of_rule == rule_id:
                table.add_row(f"  {kind}", *_cells(of_kind), style="dim")
    table.add_section()
    table.add_row("all", *_cells(score.total))
    table.caption = (
        "alike: look-alikes; medians in seconds; delay: from a fault's beginning to its episode, "
        "in event time; wait: from the deciding instant to the incident; lead: from the finding to "
        "the damage"
    )
    return table


def problems(score: Score) -> list[str]:
    """Returns what was missed and what was found without reason, in words."""
    words = [f"not found: {_missed_words(each)}" for each in score.missed]
    words += [f"found without a fault: {_false_words(each)}" for each in score.false]
    words += [
        f"{each.incident.number}: incident without a fault"
        for each in score.false
        if each.incident is not None
    ]
    words += [
        f"{incident.number}: {episode.rule_id} on {episode.subject} is not to be ticketed"
        for episode, incident in score.unwanted
    ]
    words += [f"{each.number}: incident of no episode" for each in score.strangers]
    return words + [f"{number}: resolved too early" for number in score.early]


def _numbers(share: Share) -> dict[str, Any]:
    return {
        "faults": share.faults,
        "lookalikes": share.lookalikes,
        "due": share.due,
        "found": share.found,
        "false": share.false,
        "recall": share.recall,
        "precision": share.precision,
        **{name: share.spread(name) for name in _TIMES},
    }


def _cells(share: Share) -> list[str]:
    counts = (share.faults, share.lookalikes, share.due, share.false)
    spreads = [share.spread(name) for name in _TIMES]
    return [
        *(str(count) for count in counts),
        *("–" if value is None else f"{value:.3f}" for value in (share.recall, share.precision)),
        *("–" if each is None else f"{each['p50']:.0f}" for each in spreads),
    ]


def _missed(outcome: Outcome) -> dict[str, Any]:
    truth = outcome.truth
    return {
        "rule_id": truth.rule_id,
        "kind": truth.kind,
        "subject": truth.subject,
        "phase": truth.phase,
        "due_by": None if truth.due_by is None else rfc3339(truth.due_by),
        "lacks": _lacks(outcome),
    }


def _missed_words(outcome: Outcome) -> str:
    missed = _missed(outcome)
    return (
        f"{missed['rule_id']} on {missed['subject']} ({missed['kind']}, {missed['phase']}), "
        f"due by {missed['due_by']}: no {missed['lacks']}"
    )


def _lacks(outcome: Outcome) -> str:
    return "episode" if outcome.episode is None else "incident"


def _false(each: Unexplained) -> dict[str, Any]:
    return {
        "rule_id": each.episode.rule_id,
        "subject": each.episode.subject,
        "opened_at": each.episode.opened_at.isoformat(),
        "incident": None if each.incident is None else each.incident.number,
        "evidence": list(each.episode.evidence),
    }


def _false_words(each: Unexplained) -> str:
    episode = each.episode
    records = ", ".join(
        "/".join(str(record[part]) for part in ("topic", "epoch", "partition", "offset"))
        for record in episode.evidence
    )
    return (
        f"{episode.rule_id} on {episode.subject} at {episode.opened_at:%H:%M:%S} from "
        f"{records or 'the absence of records'}"
    )
