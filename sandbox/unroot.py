"""Becomes an ordinary user in a user namespace. A script, run by path: `unroot.py PROGRAM ARG…`.

Postgres refuses to run as root. Inside the namespace root's files belong to user 1000, so nothing
has to change hands. By ctypes, since Python 3.11 has no `os.unshare` and not every machine the
command.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
INSIDE = 1000


def main(*argv: str) -> None:
    """Enters the namespace and becomes the program."""
    outside_user, outside_group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        reason = os.strerror(ctypes.get_errno())
        sys.exit(
            f"Postgres does not run as root, and a user namespace is refused here ({reason}): "
            "run as an ordinary user"
        )
    # The kernel takes a group map from the namespace itself only once setgroups is given up.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INSIDE} {outside_user} 1")
    Path("/proc/self/gid_map").write_text(f"{INSIDE} {outside_group} 1")
    os.execv(argv[0], argv)  # noqa: S606 (replacing this process is the purpose)


if __name__ == "__main__":
    main(*sys.argv[1:])
