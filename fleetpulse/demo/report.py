"""What a demo ends with: the numbers as JSON for scripts, as words for people."""

from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fleetpulse.demo.chaos import Kill
from fleetpulse.demo.score import Score
from fleetpulse.demo.sight import Counts


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured.

    Attributes:
        devices: Size of the fleet.
        seed: Of the fleet, and of the kills.
        live_s: Seconds of live time.
        counts: The records, counted where they are.
        unsound: Partitions in which Kafka, ODS and lake differ.
        score: What was found, compared with the truth.
        opened: Incidents that ServiceNow has.
        first_incident_s: From the command to the first incident; None without one.
        runs: Dagster's runs.
        failed: Those of them that failed.
        kills: With `--chaos`, each kill.
    """

    devices: int
    seed: int
    live_s: float
    counts: Counts
    unsound: list[str]
    score: Score
    opened: int
    first_incident_s: float | None
    runs: int
    failed: int
    kills: list[Kill] | None

    def problems(self) -> list[str]:
        """Returns what is not as promised, in words."""
        counts, score = self.counts, self.score
        problems = [f"not found: {words}" for words in score.missed]
        problems += [f"found without a fault: {words}" for words in score.false_episodes]
        problems += [f"{number}: incident without a fault" for number in score.false_incidents]
        problems += [f"{number}: resolved too early" for number in score.early]
        problems += [f"{where}: Kafka, ODS and lake differ" for where in self.unsound]
        if not counts.equal:
            problems.append(
                f"{counts.produced:,} produced, {counts.landed:,} landed, "
                f"{counts.quarantined:,} quarantined, {counts.lake:,} in the lake"
            )
        if self.failed:
            problems.append(f"{self.failed} of Dagster's runs failed")
        return problems

    def as_json(self) -> dict[str, Any]:
        """Returns the report as it is written to a file."""
        score = self.score
        report: dict[str, Any] = {
            "devices": self.devices,
            "seed": self.seed,
            "live_s": round(self.live_s, 1),
            **asdict(self.counts),
            "sound": not self.unsound,
            "faults": {rule_id: asdict(each) for rule_id, each in score.faults.items()},
            "incidents": {
                "opened": self.opened,
                "resolved": score.resolved,
                "false": len(score.false_incidents),
                "late": len(score.late),
                "early": len(score.early),
            },
            "recall": score.recall,
            "precision": score.precision,
            "first_incident_s": self.first_incident_s,
            "latency_s": score.latency_s(),
            "dagster": {"runs": self.runs, "failed": self.failed},
            "problems": self.problems(),
        }
        if self.kills is not None:
            report["chaos"] = [asdict(kill) for kill in self.kills]
        return report

    def print(self, console: Console) -> None:
        """Says it to a person."""
        console.print(self._faults())
        counts, score = self.counts, self.score
        same = "=" if counts.equal else "≠"
        lines = [
            (
                f"{counts.produced:,} records produced {same} {counts.landed:,} landed + "
                f"{counts.quarantined:,} quarantined {same} {counts.lake:,} in the lake"
            ),
            f"{self.opened} incidents opened, {score.resolved} resolved after their fault was over",
        ]
        if self.first_incident_s is not None:
            lines.append(f"first incident {self.first_incident_s:.0f} s after the command")
        if (latency := score.latency_s()) is not None:
            lines.append(
                f"from the deciding event to the incident: {latency['p50']:.0f} s (median), "
                f"{latency['p95']:.0f} s (95 %)"
            )
        lines.append(f"{self.runs} Dagster runs, {self.failed} failed")
        lines += [
            f"consumer killed at {kill.at_s:.0f} s with {kill.unacknowledged:,} records polled "
            "and not acknowledged"
            for kill in self.kills or ()
        ]
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        for problem in self.problems():
            console.print(f"not as promised: {problem}", style="red", highlight=False)

    def _faults(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("rule")
        for name in ("faults", "look-alikes", "due", "found"):
            table.add_column(name, justify="right")
        for rule_id, each in self.score.faults.items():
            numbers = (each.injected, each.lookalikes, each.due, each.found)
            table.add_row(rule_id, *(str(number) for number in numbers))
        score = self.score
        table.caption = f"recall {_share(score.recall)}, precision {_share(score.precision)}"
        return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
