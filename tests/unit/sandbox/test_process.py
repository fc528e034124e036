import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.files import write_json
from sandbox.process import Command, Daemon, Identity, State, plain_environment

STUBBORN = "import signal,time;signal.signal(signal.SIGTERM,signal.SIG_IGN);print('on',flush=True)"
HALF_ENDED = """
import ctypes, threading
threading.Thread(target=threading.Event().wait).start()
print("on", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""
FOREVER = "\nwhile True: time.sleep(60)"


def python(code: str, folder: Path) -> Command:
    return Command((sys.executable, "-I", "-c", code), plain_environment(folder), folder)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true within 10 s"
        time.sleep(0.01)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon("server", tmp_path)
    yield daemon
    daemon.stop(signal.SIGKILL, 1)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_a_daemon_runs_in_a_session_of_its_own_and_logs(tmp_path: Path, daemon: Daemon) -> None:
    assert daemon.state() is State.DOWN
    daemon.start(
        python("import os,time;print(os.getsid(0),os.getpid(),flush=True)" + FOREVER, tmp_path)
    )
    assert daemon.state() is State.RUNNING
    process = daemon.process()
    assert process is not None
    eventually(lambda: daemon.log.exists() and daemon.log.read_text().endswith("\n"))
    assert daemon.log.read_text().split() == [str(process.pid)] * 2
    assert os.getsid(0) != process.pid


def test_a_daemon_gets_nothing_of_our_environment(
    tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-user")
    daemon.start(python("import os;print(sorted(os.environ),flush=True)", tmp_path))
    eventually(lambda: daemon.log.exists() and daemon.log.read_text().endswith("\n"))
    assert daemon.log.read_text() == "['HOME', 'LANG', 'LC_ALL', 'PATH', 'TZ']\n"


def _signals(mask: str) -> set[int]:
    """Returns what a mask of /proc holds, without what the C library keeps for itself (32, 33)."""
    bits = int(mask, 16)
    return {number for number in signal.valid_signals() if bits >> (number - 1) & 1}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_daemon_ignores_no_signal_because_we_do(tmp_path: Path, daemon: Daemon) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        daemon.start(Command(("/bin/cat", "/proc/self/status"), {}, tmp_path))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, before)
    eventually(lambda: daemon.state() is State.DIED)
    status = dict(line.split(":", 1) for line in daemon.log.read_text().splitlines())
    assert _signals(status["SigIgn"]) == _signals(status["SigBlk"]) == set()


def test_stop_ends_it_and_forgets_it(tmp_path: Path, daemon: Daemon) -> None:
    daemon.start(python("import time" + FOREVER, tmp_path))
    identity = daemon.identity()
    assert identity is not None
    assert daemon.stop(signal.SIGTERM, 10)
    assert identity.process() is None
    assert daemon.state() is State.DOWN
    assert not daemon.stop(signal.SIGTERM, 10)


def test_what_ignores_the_signal_is_killed_after_the_deadline(
    tmp_path: Path, daemon: Daemon
) -> None:
    daemon.start(python(STUBBORN + FOREVER, tmp_path))
    identity = daemon.identity()
    assert identity is not None
    eventually(lambda: daemon.log.exists() and daemon.log.read_text() == "on\n")
    assert daemon.stop(signal.SIGTERM, 0.2)
    assert identity.process() is None


def test_what_ended_by_itself_has_died(tmp_path: Path, daemon: Daemon) -> None:
    daemon.start(python("print('last words', flush=True)", tmp_path))
    eventually(lambda: daemon.state() is State.DIED)
    assert daemon.log.read_text() == "last words\n"


def test_a_recycled_pid_is_not_signalled(daemon: Daemon, stranger: subprocess.Popen[bytes]) -> None:
    began = psutil.Process(stranger.pid).create_time()
    write_json(daemon.record, {"pid": stranger.pid, "started_at": began - 3600})
    assert daemon.state() is State.DIED
    assert not daemon.stop(signal.SIGKILL, 1)
    assert stranger.poll() is None


def test_a_clock_that_was_adjusted_does_not_hide_a_process(
    stranger: subprocess.Popen[bytes],
) -> None:
    began = psutil.Process(stranger.pid).create_time()
    assert Identity(stranger.pid, began + 1).process() is not None


def test_a_zombie_counts_as_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        identity = Identity.of(process.pid)
        eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert identity.process() is None


def test_nothing_starts_if_the_caller_dies_before_it_has_stored_the_identity(
    tmp_path: Path,
) -> None:
    launch = Path(sys.modules[Daemon.__module__].__file__ or "").with_name("launch.py")
    made = tmp_path / "made"
    launched = subprocess.run(
        [sys.executable, "-I", "-S", launch, tmp_path / "log", "/usr/bin/env", "touch", made],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    pid = int(launched.stdout)
    eventually(lambda: not psutil.pid_exists(pid) or Identity.of(pid).process() is None)
    assert not made.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux ends a process of many threads")
def test_a_process_lives_until_its_last_thread_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", HALF_ENDED]) as process:
        identity = Identity.of(process.pid)
        seen = psutil.Process(process.pid)
        eventually(lambda: seen.status() == psutil.STATUS_ZOMBIE)
        assert identity.process() is not None
        process.kill()
        eventually(lambda: identity.process() is None)
