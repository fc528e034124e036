"""A rule is two files; what is wrong with them is told by file, line and field, before dbt runs."""

import re
from pathlib import Path

import pytest

from fleetpulse import dbt
from fleetpulse.paths import DBT_PROJECT
from fleetpulse.rules import UNION, RulesError, read_rules, unite
from fleetpulse.rules.meta import Meta
from tests.oracle.rules import RULES

RULE = """\
models:
  - name: rule_too_hot
    description: Too hot.
    config:
      meta:
        version: "1"
        severity: 3
        subject_kind: device
        clear_for: {windows: 2}
        quiet_interval_s: 900
        reach_s: 0
        thresholds: {celsius: 40.5}
        assignment_group: Field Service
        runbook: docs/runbooks/too_hot.md
        short_description: It's too hot
"""
META = 5
"""The line of `meta`."""
TOO_HOT = "project/models/rules/rule_too_hot.yml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project with one rule."""
    project = tmp_path / "project"
    for path in (project / "models/rules", project / UNION.parent):
        path.mkdir(parents=True)
    write(project, "rule_too_hot.sql", "select 1")
    write(project, "rule_too_hot.yml", RULE)
    return project


def write(project: Path, name: str, text: str) -> None:
    (project / "models/rules" / name).write_text(text, encoding="utf-8")


def problems(project: Path) -> list[str]:
    with pytest.raises(RulesError) as found:
        unite(project)
    assert not (project / UNION).exists()
    return [line.strip() for line in str(found.value).splitlines()[1:]]


def test_the_union_has_every_rule_in_order(project: Path) -> None:
    write(project, "rule_ajar.sql", "select 1")
    write(project, "rule_ajar.yml", RULE.replace("too_hot", "ajar"))
    unite(project)
    refs = re.findall(r"ref\('(\w+)'\)", (project / UNION).read_text(encoding="utf-8"))
    assert refs == ["rule_ajar", "rule_too_hot"]


def test_a_union_that_fits_is_not_written_again(project: Path) -> None:
    unite(project)
    before = (project / UNION).stat()
    unite(project)
    assert (project / UNION).stat() == before
    assert [path.name for path in (project / UNION).parent.iterdir()] == [UNION.name]


@pytest.mark.parametrize("key", [name for name in Meta.model_fields if name != "thresholds"])
def test_a_missing_key_is_named_with_the_line_of_meta(project: Path, key: str) -> None:
    lines = [line for line in RULE.splitlines() if not line.strip().startswith(f"{key}:")]
    write(project, "rule_too_hot.yml", "\n".join(lines))
    assert problems(project) == [f"{TOO_HOT}:{META}: meta.{key}: Field required"]


@pytest.mark.parametrize(
    ("right", "wrong", "line", "field"),
    [
        ("reach_s", "raech_s", 11, "meta.raech_s: Extra inputs are not permitted"),
        ("severity: 3", "severity: 6", 7, "meta.severity: Input should be less than or equal to 5"),
        ("severity: 3", "severity: high", 7, "meta.severity: Input should be a valid integer"),
        ("severity: 3", "severity: 3\n        severity: 4", 8, "meta.severity: is there twice"),
        ('version: "1"', "version: 1", 6, "meta.version: Input should be a valid string"),
        ("kind: device", "kind: fleet", 8, "meta.subject_kind: Input should be 'device' or 'site'"),
        ("{windows: 2}", "{windows: 0}", 9, "meta.clear_for.windows: Input should be greater"),
        ("{windows: 2}", "{hours: 2}", 9, "meta.clear_for.hours: Extra inputs"),
        ("{windows: 2}", "{}", 9, "meta.clear_for: Value error, give either windows or seconds"),
        ("{windows: 2}", "{windows: 2, seconds: 5}", 9, "meta.clear_for: Value error, give either"),
        ("celsius: 40.5", "celsius: warm", 12, "meta.thresholds.celsius"),
        ("docs/runbooks/too_hot.md", "too_hot.md", 14, "meta.runbook: String should match"),
        ("It's too hot", "''", 15, "meta.short_description: String should have at least 1"),
        ("meta:", "mata:", 4, "meta: is missing"),
        ("config:", "konfig:", 2, "config: is missing"),
        ("name: rule_too_hot", "name: too_hot", 1, "models: has none with the name rule_too_hot"),
        ("{windows: 2}", "{windows: 2", 10, "is not YAML"),
        ("{windows: 2}", "{[windows]: 2}", 9, "is not YAML: found unhashable key"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    project: Path, right: str, wrong: str, line: int, field: str
) -> None:
    write(project, "rule_too_hot.yml", RULE.replace(right, wrong))
    found = problems(project)
    assert any(each.startswith(f"{TOO_HOT}:{line}: {field}") for each in found), found


def test_all_that_is_wrong_is_told_at_once(project: Path) -> None:
    write(
        project, "rule_too_hot.yml", RULE.replace("severity: 3", "severity: 9\n        colour: red")
    )
    write(project, "rule_ajar.sql", "select 1")
    write(project, "rule_alone.yml", RULE)
    write(project, "reboot_loop.sql", "select 1")
    assert problems(project) == [
        "project/models/rules/reboot_loop.sql: is no rule: name it rule_<id>.sql or .yml",
        "project/models/rules/rule_ajar.yml: does not exist: it must say what rule_ajar.sql means",
        "project/models/rules/rule_alone.sql: does not exist, but its .yml does",
        f"{TOO_HOT}:7: meta.severity: Input should be less than or equal to 5",
        f"{TOO_HOT}:8: meta.colour: Extra inputs are not permitted",
    ]


@pytest.mark.parametrize(
    "rubbish", [b"", b"models", b"models: x", b"models: [x]", b"- 1", b"\xff\xfe"]
)
def test_rubbish_is_told_as_such(project: Path, rubbish: bytes) -> None:
    (project / "models/rules/rule_too_hot.yml").write_bytes(rubbish)
    (problem,) = problems(project)
    assert problem.startswith(TOO_HOT)


def test_a_project_without_rules_has_nothing_to_judge_by(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="nothing to judge by"):
        read_rules(tmp_path)


def test_dbt_is_not_asked_before_the_rules_are_right(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "rule_too_hot.yml", RULE.replace("severity: 3", "severity: 9"))
    monkeypatch.setattr(dbt, "DBT_PROJECT", project)
    monkeypatch.setattr(dbt.subprocess, "run", None)
    with pytest.raises(RulesError, match=r"rule_too_hot\.yml:7: meta\.severity"):
        dbt.prepare()


def test_every_rule_has_its_oracle() -> None:
    assert read_rules(DBT_PROJECT).keys() == RULES.keys()


def test_dbt_by_hand_asks_for_the_same_keys() -> None:
    macro = (DBT_PROJECT / "macros/rules_as_rows.sql").read_text(encoding="utf-8")
    (keys,) = re.findall(r"set keys = \[(.*?)\]", macro, re.DOTALL)
    assert {*re.findall(r"'(\w+)'", keys), "thresholds"} == Meta.model_fields.keys()
