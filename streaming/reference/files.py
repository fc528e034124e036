"""Reads reference files and judges them row by row. Pure: it touches nothing but the files."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec

from streaming.reference.contracts import TABLES, Instant, ReferenceRow
from streaming.reference.problems import Problems
from streaming.reference.timeline import EVER, Entry

Tables = dict[str, list[Entry]]

VALIDITY = ("valid_from", "valid_to")
FIRST_YEAR, LAST_YEAR = 1970, 2199


def read_files(paths: Sequence[Path]) -> Tables:
    """Returns the rows of the files by table.

    Raises:
        WrongFilesError: Files cannot be read, or break their contracts; all that is wrong is told
            at once.
    """
    problems = Problems()
    tables: Tables = {}
    for path in paths:
        contract = TABLES.get(path.stem)
        if contract is None or path.suffix != ".csv":
            names = ", ".join(f"{table}.csv" for table in TABLES)
            problems.add(str(path), None, None, f"what is it? Name it {names}")
        elif contract.table in tables:
            words = f"there are two files of {contract.table}; give one"
            problems.add(str(path), None, None, words)
        else:
            tables[contract.table] = list(_File(path, contract, problems).entries())
    problems.check()
    return tables


class _File:
    """One file: yields its good rows, and takes note of what is wrong."""

    def __init__(self, path: Path, contract: type[ReferenceRow], problems: Problems) -> None:
        self._path = path
        self._name = str(path)
        self._contract = contract
        self._fields = msgspec.structs.fields(contract)
        self._problems = problems

    def entries(self) -> Iterator[Entry]:
        """Yields the rows that keep the contract."""
        line = 0
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, [])
                line = 1
                if not self._header_is_known(header):
                    return
                for cells in reader:
                    line = reader.line_num
                    if (entry := self._entry(line, header, cells)) is not None:
                        yield entry
        except OSError as error:
            self._problems.add(self._name, None, None, f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            words = f"is not UTF-8 ({error.reason}): save it so"
            self._problems.add(self._name, None, None, words)
        except csv.Error as error:
            self._problems.add(self._name, line + 1, None, f"is no CSV: {error}")

    def _header_is_known(self, header: list[str]) -> bool:
        wanted = [field.encode_name for field in self._fields]
        wrong = {
            "lacks": [name for name in wanted if name not in header],
            "does not know": [name for name in header if name not in (*wanted, *VALIDITY)],
            "repeats": sorted({name for name in header if header.count(name) > 1}),
        }
        for what, names in wrong.items():
            if names:
                self._problems.add(
                    self._name,
                    1,
                    None,
                    f"the header {what} {', '.join(map(repr, names))}; the columns of "
                    f"{self._contract.table} are {','.join(wanted)}, and {','.join(VALIDITY)} "
                    "if wanted",
                )
        return not any(wrong.values())

    def _entry(self, line: int, header: list[str], cells: list[str]) -> Entry | None:
        if len(cells) != len(header):
            words = f"has {len(cells)} cells, the header {len(header)}"
            self._problems.add(self._name, line, None, words)
            return None
        texts = dict(zip(header, cells, strict=True))
        wrong = False
        values: dict[str, object] = {}
        kinds = [(field.name, field.encode_name, field.type) for field in self._fields]
        kinds += [(name, name, Instant | None) for name in VALIDITY if texts.get(name)]
        for name, column, kind in kinds:
            try:
                values[name] = _convert(name, texts[column], kind)
            except ValueError as error:  # msgspec's too
                words = f"{texts[column]!r}: {_lower(str(error))}"
                self._problems.add(self._name, line, column, words)
                wrong = True
        if wrong:
            return None
        since, until = (cast(datetime | None, values.pop(name, None)) for name in VALIDITY)
        row = self._contract(**values)
        for column, words in row.contradictions():
            self._problems.add(self._name, line, column, words)
            wrong = True
        if wrong:
            return None
        return Entry(row, self._name, line, since, until)


def _convert(name: str, text: str, kind: object) -> object:
    """Returns a cell as its type; strictly, but for numbers: a cell is always text."""
    if text == "":
        return msgspec.convert(None, kind)
    if name == "valid_from" and text == "-infinity":
        return EVER
    value = msgspec.convert(text, kind, strict="float" not in str(kind))
    if isinstance(value, datetime):
        if not FIRST_YEAR <= value.year <= LAST_YEAR:
            raise ValueError(f"the year is not from {FIRST_YEAR} to {LAST_YEAR}")
        return value.astimezone(UTC)
    return value


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
