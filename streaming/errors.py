"""What can go wrong in landing, by how one recovers.

StreamingError
├── SettingError         a setting is missing or unsafe: change it
├── FatalError           going on would lose or double records: a person decides
│   └── DroppedError     retention has dropped the rows: the lake has them
├── FencedError          another consumer has moved the offsets: read them, go on from there
├── QuarantineError      a quarantined record cannot be treated so: the message says why
├── ReferenceFileError   reference files are wrong: correct the lines that it names
├── WatermarkError       the watermark cannot be treated so: the message says why
├── BackfillError        the past cannot be judged again as asked: the message says why
└── OutageError          a system is not there or not well: pause, wait, resume

A record that breaks its contract is no error: it is `decoding.Rejected`, and goes to quarantine.
"""


class StreamingError(Exception):
    """Base of all errors of this package."""


class SettingError(StreamingError):
    """A setting is missing, or unsafe."""


class FatalError(StreamingError):
    """Going on would lose or double records. The message says what a person can do."""


class DroppedError(FatalError):
    """Retention has dropped rows that somebody asks the ODS for."""


class FencedError(StreamingError):
    """Another consumer has written what we were about to write."""


class OutageError(StreamingError):
    """A system that we need does not answer, or cannot serve us now."""


class ReferenceFileError(StreamingError):
    """A reference file cannot be read, breaks its contract, or contradicts what is loaded."""


class WatermarkError(StreamingError):
    """The watermark is not in a state that allows what was asked."""


class BackfillError(StreamingError):
    """The past cannot be judged again as it was asked for."""


class QuarantineError(StreamingError):
    """A quarantined record is not there, or not in a state that allows what was asked."""
