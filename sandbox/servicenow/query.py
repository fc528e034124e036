"""Encoded queries (`a=1^ORb=2^ORDERBYc`) as SQL conditions with bound values.

As on the platform by default, a condition on a field that the table does not have is left out:
a misspelt field name therefore returns every incident.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.servicenow.fields import Field, Kind

_CARET: Final = "\x00"
_CONDITION: Final = re.compile(
    r"(?P<field>[a-z_][a-z0-9_.]*?)"
    r"(?P<operator>ISNOTEMPTY|ISEMPTY|ANYTHING|NOT IN|NOT LIKE|NOTLIKE|STARTSWITH|ENDSWITH"
    r"|CONTAINS|LIKE|IN|!=|>=|<=|=|>|<)"
    r"(?P<value>.*)",
    re.DOTALL,
)
_COMPARISONS: Final = frozenset({"=", "!=", ">", "<", ">=", "<="})
_PATTERNS: Final = {
    "LIKE": ("LIKE", "%{}%"),
    "CONTAINS": ("LIKE", "%{}%"),
    "NOT LIKE": ("NOT LIKE", "%{}%"),
    "NOTLIKE": ("NOT LIKE", "%{}%"),
    "STARTSWITH": ("LIKE", "{}%"),
    "ENDSWITH": ("LIKE", "%{}"),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What `sysparm_query` asks for.

    Attributes:
        where: An SQL condition with `?` for its values.
        values: The bound values, in order.
        order: The columns of ORDER BY; never empty, so that paging is stable.
        ignored: The conditions left out because the table has no such field.
    """

    where: str
    values: tuple[str, ...]
    order: str
    ignored: tuple[str, ...]


def parse(encoded: str, fields: Mapping[str, Field]) -> Query:
    """Reads an encoded query against a table's fields.

    Args:
        encoded: The query; `^^` is a literal caret.
        fields: The table's fields by name.
    """
    order: list[str] = []
    ignored: list[str] = []
    values: list[str] = []
    alternatives: list[str] = []
    for part in encoded.replace("^^", _CARET).split("^NQ"):
        groups: list[list[str]] = []
        for term in filter(None, part.split("^")):
            text = term.replace(_CARET, "^")
            if text.startswith("ORDERBY"):
                order.extend(_ordering(text, fields))
                continue
            if text == "EQ":
                continue
            either = text.startswith("OR")
            condition = _condition(text.removeprefix("OR"), fields, values)
            if condition is None:
                ignored.append(text)
            elif either and groups:
                groups[-1].append(condition)
            else:
                groups.append([condition])
        alternatives.append(" AND ".join(f"({' OR '.join(group)})" for group in groups) or "1")
    return Query(
        where=" OR ".join(f"({each})" for each in alternatives),
        values=tuple(values),
        order=", ".join([*order, "number"]),
        ignored=tuple(ignored),
    )


def _column(name: str, fields: Mapping[str, Field]) -> Field | None:
    field = fields.get(name)
    return None if field is None or field.kind is Kind.JOURNAL else field


def _ordering(term: str, fields: Mapping[str, Field]) -> list[str]:
    descending = term.startswith("ORDERBYDESC")
    field = _column(term.removeprefix("ORDERBYDESC" if descending else "ORDERBY"), fields)
    return [] if field is None else [f"{_operand(field)} {'DESC' if descending else 'ASC'}"]


def _operand(field: Field) -> str:
    return f"CAST({field.name} AS INTEGER)" if field.kind is Kind.INTEGER else field.name


def _condition(text: str, fields: Mapping[str, Field], values: list[str]) -> str | None:
    """One condition as SQL, its values appended; None if it has no meaning for this table."""
    match = _CONDITION.fullmatch(text)
    field = _column(match["field"], fields) if match else None
    if match is None or field is None:
        return None
    operator, value = match["operator"], match["value"]
    if operator == "ANYTHING":
        return "1"
    if operator in {"ISEMPTY", "ISNOTEMPTY"}:
        return f"{field.name} {'=' if operator == 'ISEMPTY' else '<>'} ''"
    if operator in {"IN", "NOT IN"}:
        options = value.split(",")
        values.extend(options)
        return f"{field.name} {operator} ({', '.join('?' * len(options))})"
    if operator in _COMPARISONS:
        values.append(value)
        if field.kind is Kind.INTEGER and operator not in {"=", "!="}:
            return f"{_operand(field)} {operator} CAST(? AS INTEGER)"
        return f"{field.name} {operator} ?"
    keyword, pattern = _PATTERNS[operator]
    escaped = re.sub(r"([\\%_])", r"\\\1", value)
    values.append(pattern.format(escaped))
    return f"{field.name} {keyword} ? ESCAPE '\\'"
