"""Reads reference files and judges them. Pure: it touches nothing but the files."""

import csv
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streaming.errors import ReferenceFileError
from streaming.reference.contracts import TABLES, ReferenceRow

Tables = dict[str, list[ReferenceRow]]


def read_files(paths: Sequence[Path]) -> Tables:
    """Returns the rows of the files by table.

    Raises:
        ReferenceFileError: A file cannot be read, or breaks its contract; the message names file,
            line, column and value.
    """
    tables: Tables = {}
    for path in paths:
        contract = TABLES.get(path.stem)
        if contract is None or path.suffix != ".csv":
            raise ReferenceFileError(
                f"{path}: what is it? Name it {', '.join(f'{table}.csv' for table in TABLES)}"
            )
        if contract.table in tables:
            raise ReferenceFileError(f"{path}: there are two files of {contract.table}; give one")
        tables[contract.table] = _read(path, contract)
    return tables


def _read(path: Path, contract: type[ReferenceRow]) -> list[ReferenceRow]:
    rows: list[ReferenceRow] = []
    lines: dict[tuple[object, ...], int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(path, header, contract)
            for cells in reader:
                row = _row(f"{path}: line {reader.line_num}", header, cells, contract)
                first = lines.setdefault(row.identity(), reader.line_num)
                if first != reader.line_num:
                    raise ReferenceFileError(
                        f"{path}: line {reader.line_num}: {_name(row)} is in line {first} already"
                    )
                rows.append(row)
    except OSError as error:
        raise ReferenceFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReferenceFileError(f"{path}: is not UTF-8 ({error.reason}): save it so") from error
    except csv.Error as error:
        raise ReferenceFileError(f"{path}: line {reader.line_num}: is no CSV: {error}") from error
    return rows


def _check_header(path: Path, header: list[str], contract: type[ReferenceRow]) -> None:
    wanted = [field.encode_name for field in msgspec.structs.fields(contract)]
    problems = {
        "lacks": [name for name in wanted if name not in header],
        "does not know": [name for name in header if name not in wanted],
        "repeats": sorted({name for name in header if header.count(name) > 1}),
    }
    for what, names in problems.items():
        if names:
            raise ReferenceFileError(
                f"{path}: line 1: the header {what} {', '.join(map(repr, names))}; "
                f"the columns of {contract.table} are {','.join(wanted)}"
            )


def _row(
    where: str, header: list[str], cells: list[str], contract: type[ReferenceRow]
) -> ReferenceRow:
    if len(cells) != len(header):
        raise ReferenceFileError(f"{where}: has {len(cells)} cells, the header {len(header)}")
    texts = dict(zip(header, cells, strict=True))
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(contract):
        text = texts[field.encode_name]
        try:
            values[field.name] = _convert(text, field.type)
        except msgspec.ValidationError as error:
            raise ReferenceFileError(
                f"{where}: column {field.encode_name}: {text!r}: {_lower(str(error))}"
            ) from error
    try:
        return contract(**values)
    except ValueError as error:
        raise ReferenceFileError(f"{where}: {error}") from error


def _convert(text: str, kind: object) -> object:
    """Returns a cell as its type; strictly, but for numbers: a cell is always text."""
    if text == "":
        return msgspec.convert(None, kind)
    return msgspec.convert(text, kind, strict="float" not in str(kind))


def _name(row: ReferenceRow) -> str:
    return " ".join(str(value) for value in row.identity())


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
