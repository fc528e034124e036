"""The instance as an ASGI application."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.servicenow.api import TableApi
from sandbox.servicenow.errors import ApiError, BadRequestError
from sandbox.servicenow.faults import Faults, Plan
from sandbox.servicenow.gate import Gate, refuse
from sandbox.servicenow.pages import Pages
from sandbox.servicenow.store import Store, utc_now


def create_app(
    store: Store, *, username: str, password: str, now: Callable[[], datetime] = utc_now
) -> Starlette:
    """The Table API, the pages for people, `/health`, and `/_control` for planned faults.

    Args:
        store: The instance's tables.
        username: The one account that may use the API.
        password: Its password.
        now: The clock of the rate limit's hours.
    """
    faults = Faults(now)
    gate = Gate(username=username, password=password, faults=faults)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def show_plan(request: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(faults.plan))

    async def set_plan(request: Request) -> Response:
        try:
            plan = msgspec.json.decode(await request.body(), type=Plan)
        except msgspec.DecodeError as error:
            raise BadRequestError("Not a plan of faults", str(error)) from error
        faults.set(plan)
        return Response(status_code=204)

    async def answer_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, ApiError):
            raise error
        return refuse(error)

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/_control", show_plan, methods=["GET"]),
            Route("/_control", set_plan, methods=["PUT"]),
            *TableApi(store, faults).routes(),
            *Pages(store).routes(),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=gate)],
        exception_handlers={ApiError: answer_error},
    )
