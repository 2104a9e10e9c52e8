"""Pollers and @lists: text files that name exposures.

A poller is CSV without a header; its number of columns tells its kind (one table below).  An
@list has one file a line, and perhaps the file's inverse-variance map after a blank.
"""

from __future__ import annotations

import csv
from functools import partial

from hapdask.observe.inputs.entry import Entry, Input, bad_line, checked_line, read_lines
from hapdask.observe.inputs.finding import find_file, missing, usual_folders

#: Columns of the pollers of HAP's pipelines, by their number.
_COLUMNS = {
    1: ("filename",),
    2: ("filename", "aperture"),
    8: (
        *("filename", "proposal_id", "program_id", "obset_id"),
        *("exptime", "filters", "detector", "pathname"),
    ),
    10: (
        *("filename", "proposal_id", "program_id", "obset_id"),
        *("exptime", "filters", "detector", "skycell_id", "skycell_new", "pathname"),
    ),
}
_KINDS = "1 (names), 2 (with apertures of WFPC2), 8 (single-visit) or 10 (multi-visit)"


def read_poller(url: str) -> list[Entry]:
    """Read a poller file.

    Parameters
    ----------
    url : str
        Resolved address of the list.

    Returns
    -------
    list of Input or Unusable
        One per line, in their order, also of several lines of one file (a multi-visit poller of
        several sky cells).

    Raises
    ------
    InputError
        If the file cannot be read or is empty.

    Notes
    -----
    Files are looked for in the working directory, beside the poller, at ``pathname``, then
    under ``$DATA_PATH``.
    """
    lines = read_lines(url)
    width = len(_cells(lines[0][1]))
    found: list[Entry] = []
    for number, line in lines:
        cells = _cells(line)
        if len(cells) not in _COLUMNS or len(cells) != width:
            entry: Entry = bad_line(url, number, _wrong_width(len(cells), width))
        else:
            row = dict(zip(_COLUMNS[width], cells, strict=True))
            entry = checked_line(url, number, partial(_row, url, number, row))
        found.append(entry)
    return found


def read_at_list(url: str) -> list[Entry]:
    """Read an @list: a file name a line, and perhaps its inverse-variance map.

    Raises
    ------
    InputError
        If the list cannot be read or is empty.
    """
    return [
        checked_line(url, number, partial(_at_line, url, number, line.split()))
        for number, line in read_lines(url)
    ]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]))]


def _wrong_width(count: int, width: int) -> str:
    if count in _COLUMNS:
        return f"{count} columns; the first line has {width}"
    return f"{count} columns; a poller has {_KINDS}"


def _row(url: str, number: int, row: dict[str, str]) -> Entry:
    name, cell = row["filename"], row.get("skycell_id")
    if not name:
        return bad_line(url, number, "no file is named")
    status = row.get("skycell_new", "NEW").upper()
    if status not in ("NEW", "OLD"):
        return bad_line(url, number, f"skycell_new = {status!r}", "write NEW or OLD")
    found = _find(url, name, row.get("pathname", ""))
    if found is None:
        return missing(name, url, f"line {number}")
    return Input(
        found,
        skycells=(cell,) if cell else (),
        new=status == "NEW",
        aperture=row.get("aperture") or None,
        origin=f"{url} (line {number})",
    )


def _find(url: str, name: str, pathname: str) -> str | None:
    """Look for a poller's file; ``pathname`` is its whole path, or the folder that it is in."""
    near, far = usual_folders(url, name)
    found = find_file(name, near)
    if found is None and pathname:
        found = find_file(pathname, near) or find_file(f"{pathname.rstrip('/')}/{name}", near)
    return found or find_file(name, far)


def _at_line(url: str, number: int, words: list[str]) -> Entry:
    if len(words) > 2:
        problem = f"{len(words)} words; a file, and perhaps its IVM map, are expected"
        return bad_line(url, number, problem)
    found = []
    for word in words:
        near, far = usual_folders(url, word)
        path = find_file(word, (*near, *far))
        if path is None:
            return missing(word, url, f"line {number}")
        found.append(path)
    ivm = found[1] if len(found) == 2 else None
    return Input(found[0], ivm=ivm, origin=f"{url} (line {number})")
