"""Turns itself into a daemon. A script, run by path in isolated mode: `launch.py LOG PROGRAM ARG…`.

It prints the daemon's pid, and the daemon waits for one byte on stdin before it becomes PROGRAM.
So whoever starts it can store its identity first; if he dies before that, nothing has started.
"""

import os
import signal
import sys


def main(log: str, *argv: str) -> None:
    """Forks; the parent prints the child's pid and ends, the child becomes the program."""
    if pid := os.fork():
        os.write(1, f"{pid}\n".encode())
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # whoever reads the pid also waits for the end of that pipe
    if not os.read(0, 1):
        return
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _forget_signals()
    os.execv(argv[0], argv)  # noqa: S606 (descriptors above 2 close by themselves)


def _forget_signals() -> None:
    """A daemon ignores and blocks nothing because its caller does, as a background job SIGINT."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    main(*sys.argv[1:])
