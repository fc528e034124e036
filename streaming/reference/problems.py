"""What is wrong with reference files: all of it at once, each with its file, line and column."""

from collections.abc import Sequence
from dataclasses import dataclass

from streaming.errors import ReferenceFileError

MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Without a line it is about the file, without a column about both."""

    file: str
    line: int | None
    column: str | None
    words: str

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}: "
        column = "" if self.column is None else f"column {self.column}: "
        return f"{self.file}: {line}{column}{self.words}"


class WrongFilesError(ReferenceFileError):
    """Reference files are wrong; nothing was loaded.

    Attributes:
        problems: The first of them.
        left_out: How many more there are.
    """

    def __init__(self, problems: Sequence[Problem], left_out: int) -> None:
        self.problems = tuple(problems)
        self.left_out = left_out
        more = (f"… and {left_out:,} more",) if left_out else ()
        super().__init__("\n  ".join([*map(str, problems), *more]))


class Problems:
    """Gathers what is wrong, in bounded memory, until somebody asks."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._left_out = 0

    def add(self, file: str, line: int | None, column: str | None, words: str) -> None:
        """Takes note of a problem."""
        if len(self._found) < MOST_TOLD:
            self._found.append(Problem(file, line, column, words))
        else:
            self._left_out += 1

    def check(self) -> None:
        """Ends it here if anything is wrong.

        Raises:
            WrongFilesError: Something is.
        """
        if self._found:
            raise WrongFilesError(self._found, self._left_out)
