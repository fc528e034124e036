"""The model that unites the verdicts of all rules."""

import os
from collections.abc import Iterable
from pathlib import Path

from fleetpulse.rules.files import read_rules

UNION = Path("models/intermediate/int_verdicts_unioned.sql")


def unite(project: Path) -> None:
    """Lets a dbt project have the union of its rules, in one step.

    Raises:
        RulesError: The rules are not as they must be; nothing is written.
    """
    union, wanted = project / UNION, union_of(read_rules(project))
    if union.is_file() and union.read_text(encoding="utf-8") == wanted:
        return
    aside = union.with_suffix(f".{os.getpid()}")
    aside.write_text(wanted, encoding="utf-8")
    aside.replace(union)


def union_of(rule_ids: Iterable[str]) -> str:
    """Returns the SQL of the model, the rules in the order given."""
    selects = "\nunion all\n".join(map(_select, rule_ids))
    return (
        "-- Made by `fleetpulse dbt parse` of models/rules: do not edit.\n"
        "{{ config(materialized='view', tags=['batch']) }}\n\n" + selects + "\n"
    )


def _select(rule_id: str) -> str:
    return f"""\
select
    '{rule_id}' as rule_id,
    subject,
    subject_kind,
    component,
    window_start_us,
    window_end_us,
    verdict,
    observed,
    threshold,
    evidence
from {{{{ ref('rule_{rule_id}') }}}}"""  # noqa: S608 - a file's name, into a dbt model
