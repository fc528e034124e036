"""Reads the rules of a dbt project, and says by file, line and field what is wrong with them."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fleetpulse.errors import CommandError
from fleetpulse.rules.meta import Meta

FOLDER = Path("models/rules")
_FILE = re.compile(r"(rule_[a-z0-9_]+)\.(sql|yml)")
_WAY = ("config", "meta")


class RulesError(CommandError):
    """Rules are not as they must be; each line names a file, and where in it."""


def read_rules(project: Path) -> dict[str, Meta]:
    """Returns the meta of each rule by its id, in the order of the ids.

    Raises:
        RulesError: Something is wrong; all of it is told at once.
    """
    rules, problems = {}, []
    names, strangers = _names(project / FOLDER)
    for name in strangers:
        problems.append(
            f"{project.name / FOLDER / name}: is no rule: name it rule_<id>.sql or .yml"
        )
    for name in names:
        path = FOLDER / name
        try:
            rules[name.removeprefix("rule_")] = _read(project / path)
        except _WrongError as error:
            problems += [f"{project.name / path}.{words}" for words in error.problems]
    if problems:
        raise RulesError("\n  ".join(["rules are not as they must be:", *problems]))
    if not rules:
        raise RulesError(f"no {FOLDER}/rule_*.sql in {project}: there is nothing to judge by")
    return rules


def _names(folder: Path) -> tuple[list[str], list[str]]:
    """Returns the models of a folder, and the files that belong to none."""
    files = {path.name: _FILE.fullmatch(path.name) for path in folder.glob("[!.]*")}
    names = {match[1] for match in files.values() if match}
    return sorted(names), sorted(name for name, match in files.items() if not match)


class _WrongError(Exception):
    """What is wrong with one rule, each beginning with the suffix of the file."""

    def __init__(self, *problems: str) -> None:
        super().__init__()
        self.problems = problems


def _read(path: Path) -> Meta:
    model, description = path.with_suffix(".sql"), path.with_suffix(".yml")
    if not model.is_file():
        raise _WrongError("sql: does not exist, but its .yml does")
    if not description.is_file():
        raise _WrongError(f"yml: does not exist: it must say what {model.name} means")
    try:
        document = yaml.compose(description.read_bytes(), Loader=yaml.SafeLoader)
        return _validated(*_meta_of(document, model.stem))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _WrongError(f"yml{line}: is not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise _WrongError(f"yml: is not text in UTF-8: {error.reason}") from None


def _meta_of(document: Any, name: str) -> tuple[int, Any]:
    """Returns the line and the node of `meta` in `models: [{name, config: {meta}}]`."""
    for model in getattr(_child(document, "models"), "value", ()):
        if getattr(_child(model, "name"), "value", None) == name:
            line, node = _line(model), model
            for key in _WAY:
                found = _pair(node, key)
                if found is None or not isinstance(found[1], yaml.MappingNode):
                    raise _WrongError(f"yml:{line}: {key}: is missing")
                line, node = _line(found[0]), found[1]
            return line, node
    raise _WrongError(f"yml:1: models: has none with the name {name}")


def _validated(line: int, node: Any) -> Meta:
    found: set[str] = set()
    problems = []
    for key, _ in node.value:
        if key.value in found:
            problems.append(f"yml:{_line(key)}: meta.{key.value}: is there twice")
        found.add(key.value)
    try:
        meta = Meta.model_validate(yaml.SafeLoader("").construct_document(node))
    except ValidationError as error:
        problems += [_told(line, node, each["loc"], each["msg"]) for each in error.errors()]
        raise _WrongError(*problems) from None
    if problems:
        raise _WrongError(*problems)
    return meta


def _told(line: int, node: Any, place: tuple[int | str, ...], words: str) -> str:
    """Returns a problem with the line of the field, or, where it is missing, of what lacks it."""
    for key in place:
        found = _pair(node, str(key))
        if found is None:
            break
        line, node = _line(found[0]), found[1]
    return f"yml:{line}: {'.'.join(map(str, ('meta', *place)))}: {words}"


def _child(node: Any, key: str) -> Any:
    found = _pair(node, key)
    return None if found is None else found[1]


def _pair(node: Any, key: str) -> tuple[Any, Any] | None:
    """Returns the nodes of a key and its value; none where the node is no mapping with that key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((pair for pair in pairs if pair[0].value == key), None)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
