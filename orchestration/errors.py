"""The errors of orchestration.

OrchestrationError
├── ManifestMissingError   dbt's manifest has not been built: `fleetpulse dbt parse`
├── DbtError               dbt refused, or a model failed: the message is dbt's
├── NothingTestedError     a run of dbt's tests ran none: nothing has been checked
└── BatchBusyError         another run works on the batch: it, or a retry, will finish it
"""


class OrchestrationError(Exception):
    """Base of all errors of this package."""


class ManifestMissingError(OrchestrationError):
    """The file that dbt's models are known from does not exist."""


class DbtError(OrchestrationError):
    """A command of dbt did not succeed."""


class NothingTestedError(OrchestrationError):
    """Tests were asked for and none ran."""


class BatchBusyError(OrchestrationError):
    """Another run holds the lock of the micro-batch."""
