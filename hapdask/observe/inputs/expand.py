"""Paths, patterns, addresses and lists of them to one plain list of files to open."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable

from hapdask.errors import InputError
from hapdask.observe.inputs.associations import is_association, read_association
from hapdask.observe.inputs.entry import Entry, Input, Unusable, merged
from hapdask.observe.inputs.finding import find_file, not_here
from hapdask.observe.inputs.pollers import read_at_list, read_poller
from hapdask.observe.remote import is_remote
from hapdask.observe.source import PathLike, resolve

_FITS_NAME = re.compile(r"\.fits?(\.gz)?$", re.IGNORECASE)
_LIST_NAME = re.compile(r"\.(out|txt|lst|list|csv|poller)$", re.IGNORECASE)
_FITS_STARTS = (b"SIMPLE  =", b"\x1f\x8b", b"\x1f\x9d", b"BZh", b"PK\x03\x04")


def read_inputs(paths: PathLike | Iterable[PathLike]) -> list[Entry]:
    """Make one list of whatever a user has in hand.

    Parameters
    ----------
    paths : str, path-like, or several
        Each is a file, a glob pattern (sorted), an ``http(s)://`` or ``s3://`` address, a rootname
        whose file lies here, a poller of 1, 2, 8 or 10 columns, an association table
        (``*_asn.fits``), an ``@list``, or names with commas between them.

    Returns
    -------
    list of Input or Unusable
        In the order given; a file that is given by several ways is one entry, at its first place.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[object, Entry] = {}
    for entry in (entry for path in given for entry in _expand(path)):
        if not isinstance(entry, Input):
            found[len(found)] = entry
            continue
        key = _file(entry.url)
        held = found.get(key)
        both = merged(held, entry) if isinstance(held, Input) else entry
        found[key if isinstance(both, Input) else len(found)] = both
    return list(found.values())


def _file(url: str) -> object:
    """Tell a file from others, whatever links lead to it."""
    if is_remote(url):
        return url
    try:
        status = os.stat(url)
    except (OSError, ValueError):
        return url
    return status.st_dev, status.st_ino


def read_files(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """Resolve files and patterns; an association or a list is a file as any other here.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return [url for path in given for url in _matches(resolve(path))]


def _matches(url: str) -> list[str]:
    """List what a pattern matches; what is none is returned as it is."""
    if is_remote(url) or os.path.exists(url) or not glob.has_magic(url):
        return [url]
    matches = sorted(glob.glob(url))
    if not matches:
        raise InputError(url, "no file matches", remedy="check the pattern and the directory")
    return matches


def _expand(path: PathLike) -> list[Entry]:
    """Expand one thing given; what cannot be an address loses nothing else."""
    text = os.fspath(path).strip() if isinstance(path, str) else os.fspath(path)
    if "," in text and "://" not in text and not os.path.exists(text):
        return [entry for piece in text.split(",") if piece.strip() for entry in _expand(piece)]
    if text.startswith("@") and not os.path.exists(text):
        return _listed(text[1:], read_at_list)
    try:
        url = resolve(text)
    except InputError as error:
        return [Unusable(error.path, error)]
    if not is_remote(url) and not os.path.exists(url) and not glob.has_magic(url):
        found = find_file(text, [os.getcwd()])  # a rootname, or packed meanwhile
        if found is None and (lost := not_here(text)) is not None:
            return [lost]
        url = found or url
    return [entry for match in _matches(url) for entry in _one(match)]


def _one(url: str) -> list[Entry]:
    """Expand one resolved address."""
    if is_association(url):
        return _listed(url, read_association)
    return _listed(url, read_poller) if _is_list(url) else [Input(url)]


def _listed(path: str, read: Callable[[str], list[Entry]]) -> list[Entry]:
    """Read a list; the associations that it names are expanded, lists in lists are not."""
    try:
        entries = read(resolve(path))
    except InputError as error:
        return [Unusable(error.path, error)]
    out: list[Entry] = []
    for entry in entries:
        nested = read is not read_association and is_association(entry.url)
        if nested and isinstance(entry, Input):
            out += _listed(entry.url, read_association)
        else:
            out.append(entry)
    return out


def _is_list(url: str) -> bool:
    """Whether a file is a text list: by its name, else, for a local one, by its first bytes."""
    if _FITS_NAME.search(url):
        return False
    if is_remote(url) or not os.path.isfile(url):
        return _LIST_NAME.search(url) is not None
    try:
        with open(url, "rb") as file:
            return not file.read(16).startswith(_FITS_STARTS)
    except OSError:
        return False  # opening it as an exposure tells what is wrong
