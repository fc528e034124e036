"""Encoded queries, as SQL."""

import pytest

from sandbox.servicenow.fields import INCIDENT
from sandbox.servicenow.query import parse


@pytest.mark.parametrize(
    ("encoded", "where", "values"),
    [
        ("", "(1)", ()),
        ("category=a", "((category = ?))", ("a",)),
        ("category=a^ORcategory=b", "((category = ? OR category = ?))", ("a", "b")),
        ("category=a^number=b", "((category = ?) AND (number = ?))", ("a", "b")),
        ("category=a^NQnumber=b", "((category = ?)) OR ((number = ?))", ("a", "b")),
        ("category=a^^b", "((category = ?))", ("a^b",)),
        ("category=a=b", "((category = ?))", ("a=b",)),
        ("stateNOT IN6,7", "((state NOT IN (?, ?)))", ("6", "7")),
        ("impact>=2", "((CAST(impact AS INTEGER) >= CAST(? AS INTEGER)))", ("2",)),
        ("numberLIKE5%_", "((number LIKE ? ESCAPE '\\'))", ("%5\\%\\_%",)),
        ("cmdb_ciISEMPTY", "((cmdb_ci = ''))", ()),
        ("category=a^EQ", "((category = ?))", ("a",)),
    ],
)
def test_conditions(encoded: str, where: str, values: tuple[str, ...]) -> None:
    parsed = parse(encoded, INCIDENT)
    assert (parsed.where, parsed.values) == (where, values)


@pytest.mark.parametrize(
    ("encoded", "order"),
    [
        ("", "number"),
        ("ORDERBYsys_created_on", "sys_created_on ASC, number"),
        (
            "ORDERBYDESCpriority^ORDERBYcategory",
            "CAST(priority AS INTEGER) DESC, category ASC, number",
        ),
        ("ORDERBYno_such_field", "number"),
    ],
)
def test_order(encoded: str, order: str) -> None:
    assert parse(encoded, INCIDENT).order == order


@pytest.mark.parametrize(
    "encoded",
    ["corelation_id=x", "work_notesLIKEx", "no operator at all", "1=1) or (1=1", "sys_id;drop=x"],
)
def test_what_the_table_does_not_have_is_left_out(encoded: str) -> None:
    parsed = parse(encoded, INCIDENT)
    assert (parsed.where, parsed.values, parsed.ignored) == ("(1)", (), (encoded,))
