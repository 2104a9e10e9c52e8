"""One file to open and what the list that named it says about it; texts of lists.

Not here: the kinds of lists (`pollers`, `associations`), where named files lie (`finding`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from hapdask.errors import InputError
from hapdask.observe.source import open_source

#: A list that is longer is no list of exposures, nor is a longer line one of its lines.
_MAX_TEXT = 64 << 20
_MAX_LINE = 1 << 14


@dataclass(frozen=True, slots=True)
class Input:
    """One file to open.

    Attributes
    ----------
    url : str
        Resolved address.
    ivm : str or None
        Resolved address of its inverse-variance map, from the second column of an @list.
    product : str or None
        Name of the product, from an association.
    skycells : tuple of str
        Sky cells that an MVM poller names it for.
    new : bool
        False where an MVM poller says OLD: it has been in the cell's mosaic before.
    aperture : str or None
        What a WFPC2 poller puts in place of the header's APERTURE.
    origin : str
        List and line that named it; empty for a file that was given itself.
    """

    url: str
    ivm: str | None = None
    product: str | None = None
    skycells: tuple[str, ...] = ()
    new: bool = True
    aperture: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something that was asked for and is not there, with the reason."""

    url: str
    error: InputError


Entry = Input | Unusable


def merged(first: Input, second: Input) -> Entry:
    """Make one of what two lists say about one file; unusable where they contradict each other.

    Examples
    --------
    >>> merged(Input("a.fits"), Input("a.fits", product="m83")).product
    'm83'
    >>> merged(Input("a.fits", ivm="b.fits"), Input("a.fits", ivm="c.fits")).error.problem
    'is given twice, with ivm b.fits and c.fits'
    """
    for name in ("ivm", "aperture"):
        one, two = getattr(first, name), getattr(second, name)
        if one and two and one != two:
            problem = f"is given twice, with {name} {one} and {two}"
            remedy = "the first is used; give it once"
            return Unusable(second.url, InputError(second.url, problem, remedy=remedy))
    same = first.product == second.product or not (first.product and second.product)
    return replace(
        first,
        ivm=first.ivm or second.ivm,
        aperture=first.aperture or second.aperture,
        product=(first.product or second.product) if same else None,  # it belongs to both
        skycells=tuple(dict.fromkeys((*first.skycells, *second.skycells))),
        new=first.new or second.new,
        origin=first.origin or second.origin,
    )


def product_of(inputs: Iterable[Input], urls: Collection[str]) -> str:
    """Name the product that an association makes of all these files; empty where there is none."""
    products = {entry.url: entry.product for entry in inputs}
    found = {products.get(url) or "" for url in urls}
    return found.pop() if len(found) == 1 else ""


def bad_line(url: str, number: int, problem: str, remedy: str = "mend that line") -> Unusable:
    """Make the entry of a line of a list that cannot be understood."""
    where = f"line {number}"
    return Unusable(f"{url} ({where})", InputError(url, problem, ext=where, remedy=remedy))


def checked_line(url: str, number: int, read: Callable[[], Entry]) -> Entry:
    """Read a line of a list; what names an impossible address loses no other line."""
    try:
        return read()
    except InputError as error:
        return bad_line(url, number, f"{error.path}: {error.problem}", error.remedy or "")


def read_lines(url: str) -> list[tuple[int, str]]:
    """Read a text list: the lines that are neither blank nor comments (#), with their numbers.

    Raises
    ------
    InputError
        If it cannot be read, is not text, or has no such line.
    """
    with open_source(url) as source:
        if source.size > _MAX_TEXT:
            raise InputError(url, f"{source.size} bytes: no list", remedy="name a list of files")
        raw = source.read(0, source.size)
    try:
        text = raw.decode("utf-8-sig")
        lines = [line.strip() for line in text.splitlines()]
        if "\0" in text or max(map(len, lines), default=0) > _MAX_LINE:
            raise ValueError("a zero byte, or a line without end")
    except ValueError as error:
        raise InputError(
            url, "is neither FITS nor a text list", remedy="name a FITS file or a list"
        ) from error
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not numbered:
        raise InputError(url, "the list is empty", remedy="write one file name per line into it")
    return numbered
