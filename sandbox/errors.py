"""What can go wrong in the sandbox. Every message names the thing and the remedy.

SandboxError
├── StartError    a server did not come up, or died: its log's end is in the message
│   └── PortLostError  because somebody else has taken its port
├── StopError     a process of ours would not end
├── LockedError   another command is changing this sandbox
├── JarError      a jar is missing, or is not the one that the lock file names
├── StateError    a file of the sandbox is not what we wrote
└── PlatformError this machine or user cannot run a server
"""


class SandboxError(Exception):
    """Base of all errors of this package."""


class StartError(SandboxError):
    """A server did not come up, or died while it was waited for."""


class PortLostError(StartError):
    """A server died while starting, and somebody else listens on a port of its own."""


class StopError(SandboxError):
    """A process of ours would not end."""


class LockedError(SandboxError):
    """Another command holds the sandbox's lock."""


class JarError(SandboxError):
    """A jar cannot be had, or differs from the locked one."""


class StateError(SandboxError):
    """A file of the sandbox cannot be used as it is."""


class PlatformError(SandboxError):
    """This machine, or this user, cannot run a server of the sandbox."""
