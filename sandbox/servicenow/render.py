"""Records as the Table API writes them: plain values, display values, or both."""

from collections.abc import Iterable
from enum import StrEnum

from sandbox.servicenow.fields import COLUMNS, INCIDENT, JOURNALS, Field, Kind
from sandbox.servicenow.rules import Record
from sandbox.servicenow.store import Entry, Store


class DisplayValue(StrEnum):
    """`sysparm_display_value`."""

    FALSE = "false"
    TRUE = "true"
    ALL = "all"


class Renderer:
    """Writes records for one request.

    Args:
        store: Where names and journals are looked up.
        base_url: The instance's address, for reference links.
        display: Which values are wanted.
        exclude_links: `sysparm_exclude_reference_link`.
        names: The wanted fields; empty for all. Unknown ones are left out.
    """

    def __init__(
        self,
        store: Store,
        *,
        base_url: str,
        display: DisplayValue,
        exclude_links: bool,
        names: Iterable[str],
    ) -> None:
        self._store = store
        self._base_url = base_url.rstrip("/")
        self._display = display
        self._exclude_links = exclude_links
        wanted = tuple(INCIDENT[name] for name in names if name in INCIDENT)
        self._fields = wanted or (*COLUMNS, *JOURNALS)

    def __call__(self, record: Record) -> dict[str, object]:
        """One record as JSON values."""
        needs_journal = self._display is not DisplayValue.FALSE and any(
            f.kind is Kind.JOURNAL for f in self._fields
        )
        entries = self._store.journal(record["sys_id"]) if needs_journal else []
        return {field.name: self._value(field, record, entries) for field in self._fields}

    def _value(self, field: Field, record: Record, entries: list[Entry]) -> object:
        if field.kind is Kind.JOURNAL:
            value, display = "", journal_text(field, entries)
        else:
            value = record[field.name]
            display = self._store.name_of(value) if field.reference else field.display(value)
        if self._display is DisplayValue.ALL:
            both = {"display_value": display, "value": value}
            return both | self._link(field, value)
        link = self._link(field, value)
        if self._display is DisplayValue.TRUE:
            return {"display_value": display} | link if link else display
        return link | {"value": value} if link else value

    def _link(self, field: Field, value: str) -> dict[str, str]:
        if self._exclude_links or not field.reference or not value:
            return {}
        return {"link": f"{self._base_url}/api/now/table/{field.reference}/{value}"}


def journal_text(field: Field, entries: list[Entry]) -> str:
    """A journal field's display value: its entries, newest first, each with its heading."""
    return "".join(
        f"{e.created_on} - {e.created_by} ({field.label})\n{e.value}\n\n"
        for e in entries
        if e.element == field.name
    )
