"""Takes the pictures in `docs/images/` with a real browser: `make screenshots ARGS="…"`.

Wants Dagster and the ServiceNow sandbox at work (`fleetpulse demo` prints their addresses), and a
Chromium on this machine (Debian: `apt-get install chromium`). Each picture waits for the moment
that it is to show; where that does not come, the old picture stays. For the lineage, Dagster's
sensors and schedules are stopped and started again: a batch runs nearly always, and its assets are
blue meanwhile.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import requests
import typer
from playwright.sync_api import Error, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
WIDTH = 1600
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Whole from topic to ticket and mart. Left out: what would only cross the picture.
SELECTION = 'not (group:"reference" or group:"intermediate" or key:"control/batches")'
GROUPS = ("kafka", "landing", "lake", "staging", "rules", "insights", "tickets", "marts")

GRAPH = "[data-svg-viewport]"
GRAPH_SIZE = """graph => {
    const svg = graph.querySelector('svg');
    return [graph.getBoundingClientRect().x, svg.clientWidth, svg.clientHeight];
}"""
ALL_GREEN = """() => {
    const nodes = [...document.querySelectorAll('[class*="minimalAssetNodeBox"]')];
    const isTopic = node => node.textContent.includes('.');
    const isGreen = node => node.style.getPropertyValue('--minimal-border').includes('green');
    return nodes.some(isTopic) && nodes.every(node => isTopic(node) || isGreen(node));
}"""
OPEN_AND_RESOLVED = """() => {
    const done = document.querySelectorAll('tbody tr.done').length;
    return done > 0 && document.querySelectorAll('tbody tr').length > done;
}"""

REPOSITORY = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "orchestration.definitions",
}
INSTIGATORS = """query($repository: RepositorySelector!) {
    repositoryOrError(repositorySelector: $repository) { ... on Repository {
        sensors { name sensorState { id status } }
        schedules { name scheduleState { id status } } } } }"""
STOP = {
    "sensor": "mutation($id: String!) { stopSensor(id: $id) { __typename } }",
    "schedule": "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }",
}
START = {
    "sensor": "mutation($which: SensorSelector!) {"
    " startSensor(sensorSelector: $which) { __typename } }",
    "schedule": "mutation($which: ScheduleSelector!) {"
    " startSchedule(scheduleSelector: $which) { __typename } }",
}


def ask(dagster: str, query: str, **variables: Any) -> Any:
    """Asks Dagster's GraphQL.

    Raises:
        requests.RequestException: It does not answer, or not as asked.
    """
    body = {"query": query, "variables": variables}
    response = requests.post(f"{dagster}/graphql", json=body, timeout=60)
    response.raise_for_status()
    answer = response.json()
    if "errors" in answer:
        raise requests.RequestException(f"Dagster: {answer['errors'][0]['message']}")
    return answer["data"]


@contextmanager
def at_rest(dagster: str) -> Iterator[None]:
    """Stops what starts runs, for the time of the block."""
    found = ask(dagster, INSTIGATORS, repository=REPOSITORY)["repositoryOrError"]
    with ExitStack() as again:
        for kind in ("sensor", "schedule"):
            for each in found[f"{kind}s"]:
                state = each[f"{kind}State"]
                if state["status"] == "RUNNING":
                    which = {**REPOSITORY, f"{kind}Name": each["name"]}
                    again.callback(ask, dagster, START[kind], which=which)
                    ask(dagster, STOP[kind], id=state["id"])
        yield


def lineage(page: Page, dagster: str, picture: Path) -> None:
    """The asset graph, as wide as the picture, at rest: all that is made is green.

    Dagster fits the graph to its width only when the page is loaded, so the page is loaded twice.
    """
    query = urlencode({"expanded": ",".join(f"global@global:{group}" for group in GROUPS)})
    page.goto(f"{dagster}/asset-groups~{quote(SELECTION, safe='')}?{query}")
    graph = page.locator(GRAPH)
    graph.locator("foreignObject").first.wait_for(state="attached")
    panel, width, height = graph.evaluate(GRAPH_SIZE)
    page.set_viewport_size(
        {"width": WIDTH + round(panel), "height": round(height * WIDTH / width) + 130}
    )
    with at_rest(dagster):
        page.reload()
        page.wait_for_function(ALL_GREEN)
        graph.screenshot(path=picture)


def incidents(page: Page, servicenow: str, picture: Path) -> None:
    """The list of incidents, once there are open and resolved ones."""
    page.goto(servicenow)
    page.wait_for_function(OPEN_AND_RESOLVED)
    page.screenshot(path=picture)


def incident(page: Page, servicenow: str, picture: Path) -> None:
    """A resolved incident: why it was opened, and what became of it."""
    page.goto(f"{servicenow}/?show=resolved")
    page.locator("tbody tr.done a").first.click()
    page.get_by_role("heading", name="Activity").wait_for()
    page.screenshot(path=picture, full_page=True)


def main(
    dagster: Annotated[str, typer.Option(help="Address of Dagster's UI.")],
    servicenow: Annotated[str, typer.Option(help="Address of the list of incidents.")],
    patience: Annotated[float, typer.Option(help="Seconds to wait for each moment.")] = 120,
    browser: Annotated[str | None, typer.Option(help="Chromium's program.")] = None,
) -> None:
    """Take all pictures."""
    program = browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise typer.BadParameter(
            f"none of {', '.join(BROWSERS)} is installed", param_hint="--browser"
        )
    pictures: dict[str, tuple[Callable[[Page, str, Path], None], str]] = {
        "incidents": (incidents, servicenow.rstrip("/")),
        "incident": (incident, servicenow.rstrip("/")),
        "lineage": (lineage, dagster.rstrip("/")),
    }
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root.
        unboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=program, args=unboxed)
        for name, (take, address) in pictures.items():
            page = chromium.new_page(viewport={"width": WIDTH, "height": 900})
            page.set_default_timeout(patience * 1_000)
            picture = IMAGES / f"{name}.png"
            try:
                take(page, address, picture)
            except (Error, requests.RequestException) as error:
                typer.echo(f"error: no picture of {name}: {error}", err=True)
                raise typer.Exit(1) from None
            typer.echo(f"{picture} ({picture.stat().st_size / 1000:.0f} kB)")
            page.close()


if __name__ == "__main__":
    typer.run(main)
