"""What a product takes from its inputs' headers, and what HDRTAB holds: `header_rules.csv`.

Here: reading the table, and the functions that combine values.  Not here: in which order the
cards stand (`header_template`), cards about the product itself (`headers`).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import fmean, pstdev
from typing import Literal

from hapdask.observe.cards import Value

Row = dict[str, Value]
#: Whose rules hold: of one exposure's product, of a visit's, of a visit's with several filters
#: (lines for a visit hold for it too), of a sky cell's.
Kind = Literal["exposure", "visit", "total", "cell"]

_KINDS = ("exposure", "visit", "total", "cell")
_FIELDS = ["keyword", "source", "function", "instruments", "products", "column", "comment"]
_DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; its head says what the fields mean."""

    keyword: str
    source: str
    function: str
    instruments: str
    products: str
    column: str
    comment: str

    def holds(self, instrument: str, kind: Kind) -> bool:
        """Whether the function holds for an instrument's product of a kind."""
        here = _among(kind, self.products) or (kind == "total" and _among("visit", self.products))
        return here and _among(instrument, self.instruments)


@dataclass(frozen=True)
class Rules:
    """The rules for one instrument and kind of product.

    Attributes
    ----------
    functions : tuple of (str, str, str)
        Keyword of the product, keyword of the inputs, name of the function; of several for one
        keyword the last that finds a value counts.
    removed : frozenset of str
        Keywords, and titles of sections with all that is in them, that leave the header.
    columns : tuple of str
        Keywords that are columns of HDRTAB, in order.
    """

    functions: tuple[tuple[str, str, str], ...]
    removed: frozenset[str]
    columns: tuple[str, ...]

    def blend(self, rows: Sequence[Row]) -> Row:
        """Combine the headers of the inputs.

        Parameters
        ----------
        rows : sequence of dict
            Keywords and values of every input, in input order; inputs without a keyword are
            passed over.

        Returns
        -------
        dict
            Values of the product by keyword; keywords that no input has are absent.
        """
        blended: Row = {}
        for target, source, function in self.functions:
            values = [v for row in rows if (v := row.get(source)) is not None]
            value = FUNCTIONS[function](values) if values else None
            if value is not None:
                blended[target] = value
        return blended


@cache
def read_table() -> tuple[Line, ...]:
    """Read the packaged table."""
    text = files("hapdask.products").joinpath("header_rules.csv").read_text("ascii")
    lines = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    if next(lines) != _FIELDS:
        raise ValueError(f"the columns of header_rules.csv are not {_FIELDS}")
    return tuple(Line(*fields) for fields in lines)


@cache
def rules_for(instrument: str, kind: Kind) -> Rules:
    """Select the rules of an instrument (its HAP name) and a kind of product."""
    functions: list[tuple[str, str, str]] = []
    columns, deleted = [], set()
    for line in read_table():
        if _among(instrument, line.column):
            columns.append(line.keyword)
        if not line.holds(instrument, kind):
            continue
        if line.function == _DELETE:
            deleted.add(line.keyword)
            functions = [each for each in functions if each[0] != line.keyword]
        elif line.function:
            functions.append((line.keyword, line.source or line.keyword, line.function))
    removed = frozenset(deleted | set(columns)) - {target for target, _, _ in functions}
    return Rules(tuple(functions), removed, tuple(columns))


@cache
def _comments() -> dict[str, str]:
    return {line.keyword: line.comment for line in read_table() if line.comment}


def comment_of(keyword: str) -> str:
    """Give the usual comment of a keyword; empty where none is known."""
    return _comments().get(keyword, "")


def _among(word: str, words: str) -> bool:
    return words == "all" or word in words.split()


def _common(other: str) -> Callable[[Sequence[Value]], Value]:
    """Make a function that gives the common value of all, or a text where there is none."""
    return lambda values: values[0] if all(v == values[0] for v in values) else other


def _numeric(function: Callable[[Sequence[float]], float]) -> Callable[[Sequence[Value]], Value]:
    """Make a function of the values that are numbers; None where none is."""

    def combine(values: Sequence[Value]) -> Value:
        numbers = [v for v in values if isinstance(v, int | float)]
        return function(numbers) if numbers else None

    return combine


def _mean(numbers: Sequence[float]) -> float:
    """Average numbers; equal ones give themselves, to the last bit."""
    same = all(number == numbers[0] for number in numbers)
    return float(numbers[0]) if same else fmean(numbers)


#: The functions of the table, by name.
FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "float_one": lambda values: 1.0,
    "int_one": lambda values: 1,
    "zero": lambda values: 0,
    "multi": _common("MULTIPLE"),
    "multi?": _common("?"),
    "mean": _numeric(_mean),
    "sum": _numeric(sum),
    "max": _numeric(max),
    "min": _numeric(min),
    "stddev": _numeric(pstdev),
}


def check_table(lines: Iterable[Line] | None = None) -> None:
    """Make sure that every line can be applied.

    Raises
    ------
    ValueError
        At the first that cannot.
    """
    for line in read_table() if lines is None else lines:
        if line.function and line.function not in FUNCTIONS and line.function != _DELETE:
            raise ValueError(f"{line.keyword}: no function {line.function!r}")
        if line.products != "all" and set(line.products.split()) - set(_KINDS):
            raise ValueError(f"{line.keyword}: no product {line.products!r}")
