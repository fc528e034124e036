"""What people read fits what there is: links, runbooks, settings, commands, pictures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from fleetpulse.paths import DBT_PROJECT, PROJECT_ROOT
from fleetpulse.settings import PREFIX, Settings

DOCS = PROJECT_ROOT / "docs"
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *DOCS.rglob("*.md")])
RULES = sorted((DBT_PROJECT / "models" / "rules").glob("rule_*.yml"))
PICTURES = sorted((DOCS / "images").glob("*.png"))
MOST_BYTES = 400_000

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SETTING = re.compile(r"^\| `(FLEETPULSE_\w+)` \| (.+?) \|", re.MULTILINE)
TEST = re.compile(r"`([\w/]+)::(test_\w+)`")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(page)))
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(PROJECT_ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_tests_that_show_the_guarantees_exist() -> None:
    named = TEST.findall(text_of(DOCS / "guarantees.md"))
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in text_of(PROJECT_ROOT / "tests" / f"{file}.py"), (file, test)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_pages_name_exist(page: Path) -> None:
    makefile = text_of(PROJECT_ROOT / "Makefile")
    named = set(TARGET.findall(" ".join(re.findall(r"`[^`]*`|^make .*$", text_of(page), re.M))))
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.M)} == set()


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_the_runbook_of_a_rule_exists_and_is_about_it(rule: Path) -> None:
    (model,) = yaml.safe_load(text_of(rule))["models"]
    runbook = PROJECT_ROOT / model["config"]["meta"]["runbook"]
    assert runbook.parent == DOCS / "runbooks"
    assert text_of(runbook).startswith(f"# {model['name'].removeprefix('rule_')}: ")


def test_every_runbook_is_some_rules() -> None:
    rules = {rule.stem.removeprefix("rule_") for rule in RULES}
    assert {page.stem for page in (DOCS / "runbooks").glob("*.md")} == rules


def test_the_tables_of_settings_are_the_settings() -> None:
    documented = dict(SETTING.findall(text_of(DOCS / "configuration.md")))
    assert documented == dict(settings(Settings, PREFIX))


def settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Yields each variable with its default as the tables say it."""
    for name, field in model.model_fields.items():
        sections = [
            each
            for each in (field.annotation, *get_args(field.annotation))
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        for section in sections:
            yield from settings(section, f"{prefix}{name.upper()}__")
        if not sections:
            default = "required" if field.is_required() else shown(field.default)
            yield f"{prefix}{name.upper()}", default


def shown(default: Any) -> str:
    if default is None:
        return "–"
    if isinstance(default, tuple):
        return "`[{}]`".format(", ".join(f'"{each}"' for each in default))
    return f"`{default}`"


@pytest.mark.parametrize("picture", PICTURES, ids=name_of)
def test_pictures_are_shown_somewhere_and_small_enough_to_clone(picture: Path) -> None:
    assert any(name_of(picture) in text_of(page) for page in PAGES)
    assert picture.stat().st_size <= MOST_BYTES
