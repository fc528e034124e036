"""One round: work, faults, peace; then each record must be once in each sink, to the byte."""

import json
import random
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.postgres import Postgres
from tests.chaos import history
from tests.chaos.arena import SLOTS, Arena, pause
from tests.chaos.faults import FAULTS
from tests.chaos.history import NONE, Verdict
from tests.chaos.plan import Planned, Round
from tests.chaos.workload import Workload
from tests.integration.landing.scene import Scene

WORKS_ON_WITHIN_S = 90
FIRST_ASSIGNED_WITHIN_S = 60


@dataclass
class Outcome:
    """What came of a round. `problem` says what else was not as it should be."""

    records: int = 0
    seconds: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = NONE
    problem: str = ""

    @property
    def good(self) -> bool:
        return self.verdict == NONE and not self.problem


def play(
    plan: Round, home: Path, environment: dict[str, str], postgres: Postgres, folder: Path
) -> Outcome:
    """Plays a round on a sandbox that is up.

    Args:
        plan: What is to happen.
        home: The sandbox's home.
        environment: The settings by which it is found, with a fresh database.
        postgres: Its database server.
        folder: Where the logs go, and the histories if the round is not good.
    """
    began = time.monotonic()
    outcome = Outcome()
    database = environment["FLEETPULSE_ODS__DATABASE"]
    with (
        Scene(home, environment, database, folder) as scene,
        Arena(scene, postgres, plan.protocol, plan.seed, folder) as arena,
    ):
        try:
            _torment(plan, arena, outcome)
            for slot in range(SLOTS):
                arena.leave(slot)
        except Exception as error:  # noqa: BLE001 - whatever it is, the histories are compared
            outcome.problem = f"{type(error).__name__}: {error}"
        _compare(scene, outcome, folder)
        outcome.seconds = time.monotonic() - began
        if not outcome.good:
            _keep(plan, scene, outcome, folder)
    return outcome


def _torment(plan: Round, arena: Arena, outcome: Outcome) -> None:
    scene = arena.scene
    workload = Workload(scene, plan.seed)
    try:
        scene.wait_for(lambda: arena.told("assigned") > 0, FIRST_ASSIGNED_WITHIN_S)
        with ThreadPoolExecutor(len(plan.lanes)) as pool:
            for befell in [pool.submit(_befall, arena, lane) for lane in plan.lanes]:
                outcome.fired += befell.result()
    finally:
        workload.stop()
    arena.revive()
    workload.once_everywhere()
    scene.wait_until_landed(WORKS_ON_WITHIN_S)


def _befall(arena: Arena, lane: tuple[Planned, ...]) -> Counter[str]:
    fired: Counter[str] = Counter()
    for each in lane:
        pause(each.gap_s)
        fired[each.fault] += FAULTS[each.fault](arena, random.Random(each.seed))
    return fired


def _compare(scene: Scene, outcome: Outcome, folder: Path) -> None:
    outcome.records = len(scene.produced)
    for name, found in (("ods", scene.in_ods()), ("lake", scene.in_lake())):
        differences = history.compare(scene.produced, found)
        outcome.verdict = outcome.verdict.plus(differences.verdict)
        history.write(folder / f"{name}.jsonl", found)
        (folder / f"{name}-differences.json").write_text(json.dumps(vars(differences)))


def _keep(plan: Round, scene: Scene, outcome: Outcome, folder: Path) -> None:
    """Keeps what a person needs to find out what happened."""
    history.write(folder / "produced.jsonl", sorted(scene.produced.items()))
    (folder / "problem.txt").write_text(f"{outcome.verdict}\n{outcome.problem}\n")
    (folder / "plan.json").write_text(json.dumps(plan._asdict(), indent=2))
    if scene.lake_folder.exists():
        shutil.copytree(scene.lake_folder, folder / "lake")
