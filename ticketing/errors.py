"""The errors of ticketing, grouped by what can be done about them.

TicketingError
├── FatalError            people must act: wrong settings, credentials, rights. Nothing is retried.
├── RetriableError        it took no effect and may succeed later
│   └── UnavailableError  the whole instance refuses for now (`retry_after_s`): leave it alone
├── OutcomeUnknownError   it may have taken effect: look before writing again
├── RejectedError         ServiceNow refused this one write for good reasons of its own
├── LeaseLostError        another worker has taken over this dedupe key
├── NotReadyError         there is nothing to read yet
└── NotFoundError         nothing of that name in the ledger
"""


class TicketingError(Exception):
    """Base of all errors of ticketing."""


class FatalError(TicketingError):
    """Nothing succeeds until a person changes settings, credentials or rights."""


class RetriableError(TicketingError):
    """The request took no effect; the same one may succeed later."""


class UnavailableError(RetriableError):
    """The instance as a whole refuses for now.

    Attributes:
        retry_after_s: Seconds that it asked us to wait, if it said.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(TicketingError):
    """A write was sent and its answer is not known: it may have taken effect, or still may."""


class RejectedError(TicketingError):
    """ServiceNow refused one write, by policy, rule or right; others may well succeed."""


class LeaseLostError(TicketingError):
    """This worker's lease on a dedupe key ended and another worker may be acting on it."""


class NotReadyError(TicketingError):
    """A table that ticketing reads does not exist yet."""


class NotFoundError(TicketingError):
    """No incident or episode of that name is in the ledger."""
