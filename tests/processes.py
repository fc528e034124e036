"""How `pytest -n` shares the tests out between processes, each with servers of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from sandbox import ports
from sandbox.sandbox import Sandbox

TOGETHER = {
    "tests/integration/insights/": "dbt's models, built in a Postgres of their own",
    "tests/integration/sandbox/": "a sandbox of their own",
    "tests/integration/orchestration/": "dbt's manifest",
    "tests/unit/orchestration/": "dbt's manifest",
}
"""Folders whose tests share what takes long to make. Else each file is given out by itself."""

LONGEST_FIRST = (
    "tests/integration/demo/",
    "tests/integration/insights/",
    "tests/integration/sandbox/",
    "tests/chaos/",
    "tests/integration/",
)
"""So that what is left at the end is short, and the processes end together."""

PROCESSES = 2
"""More would not be faster by much: each starts servers of its own, and the demo is one test."""

MOST_PROCESSES = 16


class Shares(LoadScopeScheduling):
    """Gives a process the tests of a file, or of what is `TOGETHER`; when they are done, others."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        # In our order: how many tests a file has says little of the time that they take.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return next((what for folder, what in TOGETHER.items() if file.startswith(folder)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: what somebody names is run in this process, as `-s` and `--pdb` want it."""
    return PROCESSES if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Shares:
    return Shares(config, log)


def pytest_configure(config: pytest.Config) -> None:
    if (number := number_of(config)) is not None:
        # Else one could take a port whose server the other has just killed, to start it again.
        ports.RANGE = ports.RANGE[number % MOST_PROCESSES :: MOST_PROCESSES]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if number_of(config) is not None:
        items.sort(key=rank)


class Failures:
    """Names what has failed at once: a dot does not say whose it is."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line(f"\nFAILED in {report.when}: {report.nodeid}")


def pytest_sessionstart(session: pytest.Session) -> None:
    plugins = session.config.pluginmanager
    if plugins.hasplugin("dsession") and (terminal := plugins.getplugin("terminalreporter")):
        plugins.register(Failures(terminal))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ends the servers of processes that could not do so: xdist gives them 10 s after Ctrl-C."""
    if session.config.pluginmanager.hasplugin("dsession"):
        for home in homes(session.config._tmp_path_factory.getbasetemp()):
            Sandbox(home).reset()


def homes(folder: Path) -> Iterator[Path]:
    """Yields the sandboxes, in the temporary folders of all processes, that have servers."""
    for depth in ("*/*", "*/*/*"):
        found = folder.glob(f"{depth}/run/*.json")
        yield from {record.parents[1].resolve() for record in found}  # pytest links to the last


def number_of(config: pytest.Config) -> int | None:
    """Returns which of the processes this is; None for the one that shares out, or is alone."""
    told = getattr(config, "workerinput", None)
    return None if told is None else int(told["workerid"].removeprefix("gw"))


def rank(item: pytest.Item) -> int:
    """Returns the place of a test in the order in which tests are given out."""
    ranks = (at for at, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder))
    return next(ranks, len(LONGEST_FIRST))
