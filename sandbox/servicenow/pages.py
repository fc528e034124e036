"""Two plain pages for people: the list of incidents, and one incident with its notes."""

from collections.abc import Iterable
from html import escape
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox.servicenow import query
from sandbox.servicenow.fields import INCIDENT
from sandbox.servicenow.rules import Record
from sandbox.servicenow.store import Entry, Store

_REFRESH_S: Final = 3
_SHOWN: Final = 500
_FILTERS: Final = {
    "all": "",
    "open": "stateNOT IN6,7,8",
    "resolved": "stateIN6,7",
}
_FACTS: Final = (
    "priority",
    "state",
    "impact",
    "urgency",
    "cmdb_ci",
    "assignment_group",
    "caller_id",
    "category",
    "opened_at",
    "resolved_at",
    "close_code",
    "close_notes",
    "reopen_count",
    "correlation_id",
    "correlation_display",
)
_HEADS: Final = (
    "Number",
    "Priority",
    "State",
    "Short description",
    "Configuration item",
    "Assignment group",
    "Opened (UTC)",
    "Updated (UTC)",
)
_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --dim: #777; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
header { padding: 1.2rem 2rem; background: #14342b; color: #fff; }
header h1 { margin: 0; font-size: 1.25rem; font-weight: 600; }
header p { margin: .2rem 0 0; opacity: .75; font-size: .875rem; }
header a { color: inherit; }
main { padding: 1.25rem 2rem 3rem; max-width: 90rem; }
nav { display: flex; gap: .5rem; margin-bottom: 1rem; }
nav a { padding: .25rem .85rem; border: 1px solid var(--line); border-radius: 2rem;
        text-decoration: none; color: inherit; }
nav a[aria-current] { background: #1f7a5c; border-color: #1f7a5c; color: #fff; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: .8125rem; font-weight: 600; color: var(--dim); }
th, td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line);
         vertical-align: top; }
td.time, td.number { white-space: nowrap; }
tr.done td { opacity: .6; }
.badge { display: inline-block; padding: 0 .6rem; border-radius: 1rem; white-space: nowrap;
         background: var(--soft); font-size: .8125rem; }
.p1 { background: #b3261e; color: #fff; } .p2 { background: #c4561a; color: #fff; }
.p3 { background: #e0b040; color: #221; }
.s1, .s2 { background: #1f7a5c; color: #fff; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: .35rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; }
article { border-left: 3px solid #1f7a5c; padding: .1rem 0 .1rem 1rem; margin: 1rem 0; }
article small { color: var(--dim); }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.empty { color: var(--dim); padding: 3rem 0; text-align: center; }
"""


class Pages:
    """The handlers of the HTML pages.

    Args:
        store: The instance's tables.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """The list at `/` and an incident at `/incident/<number>`."""
        return [
            Route("/", self.list, methods=["GET"]),
            Route("/incident/{number}", self.incident, methods=["GET"]),
        ]

    async def list(self, request: Request) -> Response:
        """Incidents, the newest first; `?show=open|resolved` narrows them."""
        chosen = request.query_params.get("show", "all")
        if chosen not in _FILTERS:
            chosen = "all"
        html = await run_in_threadpool(self._list, chosen)
        return HTMLResponse(html, headers=_POLICY)

    async def incident(self, request: Request) -> Response:
        """One incident, or 404."""
        html = await run_in_threadpool(self._incident, request.path_params["number"])
        if html is None:
            return HTMLResponse(_page("No such incident", "", ""), 404, headers=_POLICY)
        return HTMLResponse(html, headers=_POLICY)

    def _list(self, chosen: str) -> str:
        totals = {}
        for name, encoded in _FILTERS.items():
            page = self._store.find(query.parse(encoded, INCIDENT), limit=0, offset=0)
            totals[name] = page.total
        newest = query.parse(f"{_FILTERS[chosen]}^ORDERBYDESCnumber", INCIDENT)
        records = self._store.find(newest, limit=_SHOWN, offset=0).records
        tabs = "".join(
            f'<a href="/?show={name}"{" aria-current=page" if name == chosen else ""}>'
            f"{name.capitalize()} {total}</a>"
            for name, total in totals.items()
        )
        table = (
            f"<table><thead><tr>{''.join(f'<th>{h}</th>' for h in _HEADS)}</tr></thead>"
            f"<tbody>{''.join(self._row(r) for r in records)}</tbody></table>"
        )
        empty = '<p class="empty">No incidents. The machines are well.</p>'
        return _page("Incidents", "", f"<nav>{tabs}</nav>{table if records else empty}")

    def _row(self, record: Record) -> str:
        number = escape(record["number"])
        done = ' class="done"' if record["state"] in {"6", "7", "8"} else ""
        return (
            f"<tr{done}>"
            f'<td class="number"><a href="/incident/{number}">{number}</a></td>'
            f"<td>{_badge('p', 'priority', record)}</td><td>{_badge('s', 'state', record)}</td>"
            f"<td>{escape(record['short_description'])}</td>"
            f"<td>{escape(self._store.name_of(record['cmdb_ci']))}</td>"
            f"<td>{escape(self._store.name_of(record['assignment_group']))}</td>"
            f'<td class="time">{escape(record["opened_at"])}</td>'
            f'<td class="time">{escape(record["sys_updated_on"])}</td></tr>'
        )

    def _incident(self, number: str) -> str | None:
        found = query.Query("number = ?", (number,), "number", ())
        page = self._store.find(found, limit=1, offset=0)
        if not page.records:
            return None
        record = page.records[0]
        facts = "".join(
            f"<dt>{escape(INCIDENT[name].label)}</dt><dd>{escape(value)}</dd>"
            for name in _FACTS
            if (value := self._shown(name, record))
        )
        body = (
            f"<h2>{escape(record['short_description'])}</h2><dl>{facts}</dl>"
            f"<h2>Description</h2><pre>{escape(record['description'])}</pre>"
            f"<h2>Activity</h2>{_activity(self._store.journal(record['sys_id']))}"
        )
        return _page(record["number"], '<a href="/">All incidents</a>', body)

    def _shown(self, name: str, record: Record) -> str:
        field, value = INCIDENT[name], record[name]
        return self._store.name_of(value) if field.reference else field.display(value)


def _activity(entries: Iterable[Entry]) -> str:
    articles = "".join(
        f"<article><small>{escape(e.created_on)} · {escape(e.created_by)} ·"
        f" {escape(INCIDENT[e.element].label)}</small><pre>{escape(e.value)}</pre></article>"
        for e in entries
    )
    return articles or '<p class="empty">No notes yet.</p>'


def _badge(prefix: str, name: str, record: Record) -> str:
    value = record[name]
    label = escape(INCIDENT[name].display(value))
    return f'<span class="badge {prefix}{escape(value)}">{label}</span>'


def _page(title: str, back: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{_REFRESH_S}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} · ServiceNow sandbox</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>ServiceNow sandbox {back}</p></header>"
        f"<main>{body}</main></body></html>"
    )
