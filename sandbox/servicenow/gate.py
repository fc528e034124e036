"""What a request passes before the Table API: credentials, the hour's quota, planned faults."""

import base64
import hmac
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.servicenow.errors import ApiError, NotAuthenticatedError, RateLimitError
from sandbox.servicenow.faults import Failure, Faults, Quota

_RULE: Final = "5a1b0c7de4f84f6f9d0c2f1d6f0e3a11"
_MAINTENANCE: Final = "<html><body><h1>The instance is being maintained</h1></body></html>"
_PROTECTED: Final = ("/api/", "/_control")

Next = Callable[[Request], Awaitable[Response]]


class LostResponse(Response):
    """Breaks the connection after the headers, so that the client never has the answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts an answer and leaves it unfinished; the server then closes the connection."""
        headers = [(b"content-length", b"65536"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class Gate:
    """A middleware in front of everything but the pages for people.

    Args:
        username: The one account of the instance.
        password: Its password.
        faults: The planned faults.
    """

    def __init__(self, *, username: str, password: str, faults: Faults) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._authorization = f"Basic {token}".encode()
        self._username = username
        self._faults = faults

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Lets an authenticated request through, unless a fault is planned for it."""
        path = request.url.path
        if not path.startswith(_PROTECTED):
            return await call_next(request)
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return refuse(NotAuthenticatedError())
        request.state.user = self._username
        if path.startswith("/_control"):
            return await call_next(request)
        return await self._with_faults(request, call_next)

    async def _with_faults(self, request: Request, call_next: Next) -> Response:
        try:
            quota = self._faults.count_request()
        except RateLimitError as error:
            return refuse(error)
        failure = self._faults.take_failure(request.method)
        if failure is not None:
            return _fail(failure)
        response = await call_next(request)
        if self._faults.take_lost_answer(request.method):
            return LostResponse()
        if quota is not None:
            response.headers.update(_quota_headers(quota))
        return response


def refuse(error: ApiError) -> Response:
    """An error as the platform answers it."""
    headers = {}
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = 'BASIC realm="Service-now"'
    if isinstance(error, RateLimitError):
        headers["Retry-After"] = str(error.retry_after_s)
        headers["X-RateLimit-Rule"] = _RULE
    return Response(
        orjson.dumps(error.body()), error.status, headers=headers, media_type="application/json"
    )


def _fail(failure: Failure) -> Response:
    headers = {}
    if failure.retry_after_s is not None:
        headers["Retry-After"] = str(failure.retry_after_s)
    return HTMLResponse(_MAINTENANCE, failure.status, headers=headers)


def _quota_headers(quota: Quota) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(quota.limit),
        "X-RateLimit-Reset": str(int(quota.reset.timestamp())),
        "X-RateLimit-Rule": _RULE,
    }
