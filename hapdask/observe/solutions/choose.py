"""The choice of a WCS for each exposure of a call, by key, by name or by headerlet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hapdask.errors import InputError
from hapdask.observe.fits import FitsFile
from hapdask.observe.selection import Verdict
from hapdask.observe.solutions.cards import (
    lacks_distortion,
    science,
    with_alternate,
    with_solution,
)
from hapdask.observe.solutions.headerlets import Headerlet, list_headerlets, read_headerlet
from hapdask.observe.solutions.reference import References
from hapdask.observe.source import ByteSource

_NOWHERE = References()


@dataclass(frozen=True)
class Solutions:
    """What a user says about the WCS of the exposures.

    Attributes
    ----------
    wcs : str
        One letter: the key of an alternate WCS.  Else a WCSNAME, or a headerlet's HDRNAME.  Empty
        for the primary WCS.
    headerlets : sequence of Headerlet
        From files of their own.
    references : References
        Where reference tables lie, for files without distortion.
    """

    wcs: str = ""
    headerlets: Sequence[Headerlet] = ()
    references: References = _NOWHERE

    def apply(self, source: ByteSource, file: FitsFile) -> FitsFile:
        """Put the WCS that was asked for in place of the primary one.

        Parameters
        ----------
        source : ByteSource
            The exposure, open.
        file : FitsFile
            Its scan.

        Raises
        ------
        InputError
            If the file has no such WCS, several headerlets fit, or reference tables fail.
        """
        given = self._given(file)
        chosen = self._chosen(source, file, given)
        if chosen is None and lacks_distortion(file) and self.references.apply_to(file):
            file = with_solution(file, self.references.solve(source, file))
            chosen = self._chosen(source, file, given) if self.wcs else file
        if chosen is not None:
            return chosen
        if not self.wcs:
            return file
        raise InputError(
            file.path,
            f"there is no WCS {self.wcs!r}; the file has {_listed(file, given)}",
            remedy="choose one of these",
        )

    def _given(self, file: FitsFile) -> list[Headerlet]:
        root = str(file.hdus[0].header.get("ROOTNAME") or "").strip().lower()
        return [h for h in self.headerlets if h.destim == root]

    def _chosen(
        self, source: ByteSource, file: FitsFile, given: Sequence[Headerlet]
    ) -> FitsFile | None:
        """Return the file with the WCS asked for, or None where it has none such."""
        if not self.wcs:
            if len(given) > 1:
                raise InputError(
                    file.path,
                    f"several headerlets fit: {', '.join(h.label for h in given)}",
                    remedy="name the one to use with wcs=",
                )
            return self._with_headerlet(source, file, given[0]) if given else None
        if len(self.wcs) == 1:
            key = self.wcs.upper()
            return _with_key(file, key) if key in _keys(file) else None
        # A headerlet goes before an alternate WCS of its name: it brings its own distortion.
        for headerlet in (*given, *list_headerlets(file)):
            if headerlet.answers_to(self.wcs):
                return self._with_headerlet(source, file, headerlet)
        if self.wcs.lower() == _name(file, ""):
            return file
        for key in _keys(file):
            if self.wcs.lower() == _name(file, key):
                return _with_key(file, key)
        return None

    def _with_headerlet(self, source: ByteSource, file: FitsFile, headerlet: Headerlet) -> FitsFile:
        solution = read_headerlet(headerlet, source)
        lacking = [h.label for h in science(file) if h.extver not in solution.chips]
        if lacking:
            raise InputError(
                headerlet.url or file.path,
                f"the headerlet {headerlet.label} has no WCS for {', '.join(lacking)}",
                remedy="use another WCS",
            )
        return with_solution(file, solution)


def solution_names(file: FitsFile) -> tuple[str, ...]:
    """List the WCSNAMEs of a scanned exposure once each: primary, alternates, headerlets."""
    first = science(file)[0].header if science(file) else {}
    names = [str(first.get(f"WCSNAME{key}") or "").strip() for key in ("", *_keys(file))]
    names += [headerlet.wcsname for headerlet in list_headerlets(file)]
    return tuple(dict.fromkeys(name for name in names if name))


def judge_wcs(file: FitsFile, verdict: Verdict) -> Verdict:
    """Warn of an exposure that will be used without a distortion model, though there is one."""
    idctab = str(file.hdus[0].header.get("IDCTAB") or "").strip()
    if not lacks_distortion(file) or idctab.upper() in ("", "N/A"):
        return verdict
    better = _with_distortion(file)
    offer = f"wcs={better!r}, or " if better else ""
    return verdict.warned(
        f"its WCS has no distortion model: give {offer}reference_files= with {idctab}",
        "IDCTAB",
        idctab,
    )


@contextmanager
def suggesting(file: FitsFile) -> Iterator[None]:
    """Where the WCS of a file proves broken, name another one that the file has."""
    try:
        yield
    except InputError as error:
        better = _with_distortion(file) if "updatewcs" in (error.remedy or "") else None
        if better is None:
            raise
        remedy = f"{error.remedy}, or open it with wcs={better!r}, which the file has"
        raise InputError(error.path, error.problem, ext=error.ext, remedy=remedy) from error


def _with_distortion(file: FitsFile) -> str | None:
    """Name a headerlet of the file that brings a distortion, else an alternate WCS that has one."""
    for headerlet in list_headerlets(file):
        if headerlet.wcsname.upper().startswith("IDC_"):
            return headerlet.hdrname or headerlet.wcsname
    first = science(file)[0].header if science(file) else {}
    for key in _keys(file):
        if lacks_distortion(file) and str(first.get(f"CTYPE1{key}") or "").strip().endswith("-SIP"):
            return str(first.get(f"WCSNAME{key}") or key)
    return None


def _keys(file: FitsFile) -> list[str]:
    """Keys of the alternate WCSs that every chip has."""
    chips = science(file)
    found = [
        {k[6] for k in hdu.header if len(k) == 7 and k.startswith("CRVAL1") and k[6].isalpha()}
        for hdu in chips
    ]
    return sorted(set.intersection(*found)) if found else []


def _name(file: FitsFile, key: str) -> str:
    return str(science(file)[0].header.get(f"WCSNAME{key}") or "").strip().lower()


def _with_key(file: FitsFile, key: str) -> FitsFile:
    hdus = (
        replace(hdu, header=with_alternate(hdu.header, key)) if hdu.name == "SCI" else hdu
        for hdu in file.hdus
    )
    return replace(file, hdus=tuple(hdus))


def _listed(file: FitsFile, given: Sequence[Headerlet]) -> str:
    """Tell the WCSs of a file."""
    first = science(file)[0].header if science(file) else {}
    names = [f"{first.get('WCSNAME') or 'one without a name'} (primary)"]
    names += [
        f"{first.get(f'WCSNAME{key}') or 'one without a name'} ({key})" for key in _keys(file)
    ]
    names += [h.label for h in (*given, *list_headerlets(file))]
    return ", ".join(names)
