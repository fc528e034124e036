"""`/api/now/table/{table}`: the Table API over the store."""

from typing import Final
from urllib.parse import urlencode

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.servicenow import query
from sandbox.servicenow.errors import BadRequestError
from sandbox.servicenow.faults import Faults
from sandbox.servicenow.fields import INCIDENT
from sandbox.servicenow.render import DisplayValue, Renderer
from sandbox.servicenow.rules import Record
from sandbox.servicenow.store import Page, Store

_TABLE: Final = "incident"
_DEFAULT_LIMIT: Final = 10_000


class TableApi:
    """The handlers of the Table API.

    Args:
        store: The instance's tables.
        faults: Where the property for invalid queries is kept.
    """

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def routes(self) -> list[Route]:
        """Collection and record, with and without the API's version in the path."""
        return [
            Route(f"/api/now{version}/table/{{table}}{path}", handler, methods=methods)
            for version in ("", "/v1", "/v2")
            for path, handler, methods in (
                ("", self.list, ["GET"]),
                ("", self.create, ["POST"]),
                ("/{sys_id}", self.get, ["GET"]),
                ("/{sys_id}", self.change, ["PUT", "PATCH"]),
                ("/{sys_id}", self.delete, ["DELETE"]),
            )
        ]

    async def list(self, request: Request) -> Response:
        """The records that `sysparm_query` matches, one page of them."""
        _check_table(request)
        params = request.query_params
        limit = _count(request, "sysparm_limit", _DEFAULT_LIMIT)
        offset = _count(request, "sysparm_offset", 0)
        plan = self._faults.plan
        known = {name: f for name, f in INCIDENT.items() if name not in plan.unknown_query_fields}
        parsed = query.parse(params.get("sysparm_query", ""), known)
        if parsed.ignored and plan.invalid_query_returns_no_rows:
            page = Page([], 0)
        else:
            page = await run_in_threadpool(self._store.find, parsed, limit=limit, offset=offset)
        headers = {}
        if params.get("sysparm_no_count") != "true":
            headers["X-Total-Count"] = str(page.total)
        if params.get("sysparm_suppress_pagination_header") != "true":
            headers["Link"] = _links(request, limit=limit, offset=offset, total=page.total)
        render = self._renderer(request)
        rows = await run_in_threadpool(lambda: [render(record) for record in page.records])
        return _json({"result": rows}, headers=headers)

    async def create(self, request: Request) -> Response:
        """Inserts a record: 201, with its address in `Location`."""
        _check_table(request)
        body = await _body(request)
        user = request.state.user
        record = await run_in_threadpool(self._store.insert, body, user=user)
        location = f"{request.base_url}api/now/table/{_TABLE}/{record['sys_id']}"
        return await self._one(request, record, status=201, headers={"Location": location})

    async def get(self, request: Request) -> Response:
        """One record by sys_id."""
        _check_table(request)
        record = await run_in_threadpool(self._store.get, request.path_params["sys_id"])
        return await self._one(request, record)

    async def change(self, request: Request) -> Response:
        """Changes the fields of the body; PUT and PATCH are alike here, as on the platform."""
        _check_table(request)
        body = await _body(request)
        sys_id, user = request.path_params["sys_id"], request.state.user
        record = await run_in_threadpool(self._store.update, sys_id, body, user=user)
        return await self._one(request, record)

    async def delete(self, request: Request) -> Response:
        """Removes a record: 204 without a body."""
        _check_table(request)
        await run_in_threadpool(self._store.delete, request.path_params["sys_id"])
        return Response(status_code=204)

    async def _one(
        self,
        request: Request,
        record: Record,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        rendered = await run_in_threadpool(self._renderer(request), record)
        return _json({"result": rendered}, status=status, headers=headers)

    def _renderer(self, request: Request) -> Renderer:
        params = request.query_params
        display = params.get("sysparm_display_value")
        return Renderer(
            self._store,
            base_url=str(request.base_url),
            display=DisplayValue(display) if display in {"true", "all"} else DisplayValue.FALSE,
            exclude_links=params.get("sysparm_exclude_reference_link") == "true",
            names=filter(None, params.get("sysparm_fields", "").split(",")),
        )


def _check_table(request: Request) -> None:
    table = request.path_params["table"]
    if table != _TABLE:
        raise BadRequestError(f"Invalid table {table}")


def _count(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, "")
    return int(value) if value.isdecimal() else default


async def _body(request: Request) -> dict[str, object]:
    raw = await request.body()
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise BadRequestError(
            "Exception while reading request", "The payload is not valid JSON."
        ) from None
    return body


def _json(content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(content), status, headers=headers, media_type="application/json;charset=UTF-8"
    )


def _links(request: Request, *, limit: int, offset: int, total: int) -> str:
    """The `Link` header: first, prev, next and last page, those that exist."""
    limit = max(limit, 1)
    offsets = {"first": 0}
    if offset > 0:
        offsets["prev"] = max(0, offset - limit)
    if offset + limit < total:
        offsets["next"] = offset + limit
    offsets["last"] = max(0, (total - 1) // limit * limit)
    others = [(k, v) for k, v in request.query_params.multi_items() if k != "sysparm_offset"]
    return ",".join(
        f"<{request.url.replace(query=urlencode([*others, ('sysparm_offset', start)]))}>"
        f';rel="{relation}"'
        for relation, start in offsets.items()
    )
