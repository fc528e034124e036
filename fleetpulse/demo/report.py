"""What a demo ends with: the numbers as JSON for scripts, as words for people."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from fleetpulse.demo.chaos import Kill
from fleetpulse.demo.sight import Counts
from fleetpulse.score import show
from fleetpulse.score.compare import Score


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
        counts = self.counts
        problems = show.problems(self.score)
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
        score = show.as_json(self.score)
        report: dict[str, Any] = {
            "devices": self.devices,
            "seed": self.seed,
            "live_s": round(self.live_s, 1),
            **asdict(self.counts),
            "sound": not self.unsound,
            **score,
            "opened": self.opened,
            "first_incident_s": self.first_incident_s,
            "latency_s": self.score.total.spread("latency_s"),
            "dagster": {"runs": self.runs, "failed": self.failed},
            "problems": self.problems(),
        }
        if self.kills is not None:
            report["chaos"] = [asdict(kill) for kill in self.kills]
        return report

    def print(self, console: Console) -> None:
        """Says it to a person."""
        console.print(show.tables(self.score, kinds=False))
        counts, score = self.counts, self.score
        same = "=" if counts.equal else "≠"
        lines = [
            f"recall {_share(score.total.recall)}, precision {_share(score.total.precision)}",
            (
                f"{counts.produced:,} records produced {same} {counts.landed:,} landed + "
                f"{counts.quarantined:,} quarantined {same} {counts.lake:,} in the lake"
            ),
            f"{self.opened} incidents opened, {score.resolved} resolved after their fault was over",
        ]
        if self.first_incident_s is not None:
            lines.append(f"first incident {self.first_incident_s:.0f} s after the command")
        if (latency := score.total.spread("latency_s")) is not None:
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


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
