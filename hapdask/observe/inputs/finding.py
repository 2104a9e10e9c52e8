"""Where a file lies that a list names: folders in a stated order, suffixes in order of merit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from hapdask.errors import InputError
from hapdask.observe.inputs.entry import Unusable
from hapdask.observe.remote import is_remote, public_url
from hapdask.observe.source import open_source, resolve

#: A CTE-corrected exposure goes before its FLT; a WFPC2 file made by the old pipeline is last.
SUFFIXES = ("flc", "flt", "c0m")
_ROOTNAME = re.compile(r"[a-z][a-z0-9]{8}$", re.IGNORECASE)
_FILE = re.compile(r"([a-z][a-z0-9]{8})(?:_([a-z0-9]+))?(?:\.fits?(?:\.gz)?)?$", re.IGNORECASE)


def folder_of(url: str) -> str:
    """Return the folder, or the part of an address, that a file lies in."""
    return url.rpartition("/")[0] if is_remote(url) else os.path.dirname(url)


def is_there(url: str) -> bool:
    """Whether a resolved address leads to a file."""
    if not is_remote(url):
        return os.path.isfile(url)
    try:
        with open_source(url):
            return True
    except InputError:
        return False


def find_file(name: str, folders: Iterable[str]) -> str | None:
    """Return the address of the first file of that name, as it is or as .gz, or None.

    Parameters
    ----------
    name : str
        A name, a path, an address, or a rootname alone.
    folders : iterable of str
        Where to look, in order, for what is neither an address nor an absolute path.
    """
    if is_remote(name) or "://" in name:
        return resolve(name)
    places = [""] if os.path.isabs(os.path.expanduser(name)) else [*folders]
    for folder in places:
        for candidate in _names(name):
            joined = (
                f"{folder}/{candidate}" if is_remote(folder) else os.path.join(folder, candidate)
            )
            for url in (resolve(joined), resolve(joined) + ".gz"):
                if is_there(url):
                    return url
    return None


def _names(name: str) -> Sequence[str]:
    if not _ROOTNAME.match(os.path.basename(name)):
        return [name]
    root = os.path.join(os.path.dirname(name), os.path.basename(name).lower())
    return [name, *(f"{root}_{suffix}.fits" for suffix in SUFFIXES)]


def usual_folders(listed_in: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the files of a list are looked for: nearby, then under ``$DATA_PATH``.

    Nearby is the working directory, then the folder of the list.  The pipeline keeps a file in
    ``$DATA_PATH/<first four letters>/<rootname>/``.
    """
    near = (os.getcwd(), folder_of(listed_in))
    data = os.environ.get("DATA_PATH")
    root = os.path.basename(name).split("_")[0].split(".")[0].lower()
    return near, (os.path.join(data, root[:4], root),) if data and root else ()


def not_here(name: str) -> Unusable | None:
    """Make the entry of a rootname whose file does not lie here; None of what is no rootname."""
    if not _ROOTNAME.match(name):
        return None
    remedy = f"name its file, or {public_url(name)}"
    return Unusable(name, InputError(name, "no file of this exposure lies here", remedy=remedy))


def missing(name: str, listed_in: str, where: str, note: str = "") -> Unusable:
    """Make the entry of a file that a list names and that is nowhere, with how to get it."""
    remedy = "put it beside the list, or write its whole path"
    if file := _FILE.match(os.path.basename(name)):
        remedy = f"put it beside the list, or name {public_url(file[1], file[2] or 'flc')}"
    problem = f"no such file{note}; {where} of {listed_in} names it"
    return Unusable(name, InputError(name, problem, remedy=remedy))
