"""The failures that the API answers with, in the shape of the platform's error bodies."""


class ApiError(Exception):
    """An answer of status 4xx: `{"error": {"message", "detail"}, "status": "failure"}`."""

    status = 400

    def __init__(self, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def body(self) -> dict[str, object]:
        """The JSON that the platform would send."""
        return {"error": {"message": self.message, "detail": self.detail}, "status": "failure"}


class BadRequestError(ApiError):
    """The payload or the table is not one that the instance knows."""


class NotAuthenticatedError(ApiError):
    """No credentials, or wrong ones."""

    status = 401

    def __init__(self) -> None:
        super().__init__("User Not Authenticated", "Required to provide Auth information")


class DataPolicyError(ApiError):
    """Mandatory fields of the new state are empty."""

    status = 403

    def __init__(self, labels: list[str]) -> None:
        super().__init__(
            "Operation Failed",
            "Data Policy Exception: The following fields are mandatory: " + ", ".join(labels),
        )


class NoRecordError(ApiError):
    """No such sys_id."""

    status = 404

    def __init__(self) -> None:
        super().__init__(
            "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
        )


class RateLimitError(ApiError):
    """The hour's quota is used up."""

    status = 429

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(
            "Rate limit exceeded", f"Limit of {limit} requests per hour has been exceeded"
        )
        self.retry_after_s = retry_after_s
