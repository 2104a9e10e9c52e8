"""HATS catalogs: Parquet files partitioned by HEALPix cells, on a disk, a server or in S3.

Only the partitions that a region touches are opened, and in them only the row groups and columns
that are needed.  pyarrow reads them: it is what defines the format's Python side, what astropy
and pandas themselves stand on, and alone prunes columns and row groups over byte ranges; the
packages hats and lsdb bring Dask dataframes, which one list of stars does not need.

Layout: IVOA note on HATS, and https://hats.readthedocs.io.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hapdask.astrometry.references.columns import recognise
from hapdask.astrometry.references.region import Cells, Region, bounding_cone, healpix_cells
from hapdask.astrometry.references.standard import Answer, Assumed, standardise
from hapdask.astrometry.references.tables import opened, read_parquet
from hapdask.errors import InputError
from hapdask.observe import remote

#: Column that orders the rows of a partition: the HEALPix cell of order 29, nested.
_INDEX, _INDEX_ORDER = "_healpix_29", 29
_DIRECTORY = 10_000
_PARTITION = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)(\.parquet)?$")


class Partition(NamedTuple):
    """A HEALPix cell, nested, and the rows that one file has of it."""

    order: int
    pixel: int


@dataclass(frozen=True)
class HatsSource:
    """A HATS catalog, or a collection whose primary catalog is read.

    Parameters
    ----------
    path : str
        Its folder: local, or s3:// or http(s)://.
    columns, units : mapping, optional
        Field to column, field to units, where they are not recognised.
    catalog : str
        Name of the catalog; else what its properties say.
    assumed : Assumed, optional
        Epoch and error of stars without.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    catalog: str = ""
    assumed: Assumed | None = None

    @property
    def name(self) -> str:
        """Name of the catalog, as given, else of its folder."""
        return self.catalog or self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_remote(self) -> bool:
        """Whether the network is needed."""
        return remote.is_remote(self.path)

    def question(self, region: Region) -> str:
        """Tell what is read: the folder and the cone."""
        cone = bounding_cone(region)
        return f"{self.path}?ra={cone.ra:.6f}&dec={cone.dec:.6f}&radius={cone.radius:.6f}"

    def ask(self, region: Region) -> Answer:
        """Read the partitions of a region.

        Raises
        ------
        InputError
            It is no HATS catalog, or one of its files cannot be read.
        """
        from astropy.table import Table, vstack

        root, properties = _properties(self.path.rstrip("/"))
        said = {
            axis: properties[f"hats_col_{axis}"]
            for axis in ("ra", "dec")
            if f"hats_col_{axis}" in properties
        }
        given = said | dict(self.columns)
        cone = bounding_cone(region)
        cells = healpix_cells(cone)
        needed = touched(_partitions(root), cells)
        tables = [
            read_parquet(path, lambda names: _wanted(names, given, self.path), _rows(part, cells))
            for part in needed
            for path in _files(root, part, properties.get("hats_npix_suffix", ".parquet"))
        ]
        table = vstack(tables, metadata_conflicts="silent") if tables else Table(
            {given.get(axis, axis): np.empty(0) for axis in ("ra", "dec")}
        )  # fmt: skip
        answer = standardise(
            table,
            name=self.catalog or properties.get("obs_collection", self.name),
            origin=self.question(region),
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            columns={k: v for k, v in given.items() if v in table.colnames},
            units=self.units,
            assumed=self.assumed,
        )
        inside = answer.catalog.within(cone)
        return Answer(inside, (f"{len(needed)} partitions read", *answer.notes))


def touched(partitions: Iterable[Partition], cells: Cells) -> tuple[Partition, ...]:
    """Partitions that share sky with HEALPix cells, in the order of the catalog."""
    deepest, pixels = cells
    ancestors = {o: set((pixels >> 2 * (deepest - o)).tolist()) for o in range(deepest + 1)}

    def is_touched(part: Partition) -> bool:
        if part.order <= deepest:
            return part.pixel in ancestors[part.order]
        return part.pixel >> 2 * (part.order - deepest) in ancestors[deepest]

    return tuple(part for part in partitions if is_touched(part))


def is_hats(path: str) -> bool:
    """Whether a local folder is a HATS catalog or collection."""
    return any((Path(path) / name).is_file() for name in ("hats.properties", "properties",
                                                          "collection.properties"))  # fmt: skip


def _properties(root: str) -> tuple[str, dict[str, str]]:
    """Root and properties of a catalog; of a collection those of its primary table."""
    for name in ("hats.properties", "properties", "collection.properties"):
        try:
            with opened(f"{root}/{name}") as file:
                lines = file.read().decode("utf-8", "replace").splitlines()
        except InputError:  # not there, or not readable, which the next shows as well
            continue
        pairs = (line.split("=", 1) for line in lines if "=" in line and line[:1] not in "#!")
        found = {key.strip(): value.strip() for key, value in pairs}
        primary = found.get("hats_primary_table_url", "").strip("/")
        if not primary:
            return root, found
        if ".." in primary.split("/") or ":" in primary:
            raise InputError(root, f"its primary table {primary!r} lies elsewhere")
        return _properties(f"{root}/{primary}")
    raise InputError(
        root,
        "is no HATS catalog: it has no hats.properties",
        remedy="name the folder that holds hats.properties and partition_info.csv",
    )


def _partitions(root: str) -> tuple[Partition, ...]:
    """Read the partitions of a catalog from its list, else from its local folders."""
    listed = f"{root}/partition_info.csv"
    try:
        with opened(listed) as file:
            text = file.read().decode("utf-8", "replace")
    except InputError:
        if remote.is_remote(root):
            raise
        found = [_PARTITION.search(p.as_posix()) for p in Path(root, "dataset").glob("*/*/*")]
        parts = [Partition(int(m[1]), int(m[2])) for m in found if m]
        if not parts:
            raise
        return tuple(sorted(parts))
    try:
        return tuple(
            Partition(int(row["Norder"]), int(row["Npix"]))
            for row in csv.DictReader(text.splitlines())
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(listed, "is no list of partitions (Norder, Npix)") from error


def _files(root: str, part: Partition, suffix: str) -> list[str]:
    """Name the files of a partition; a folder of several only where folders can be listed."""
    directory = part.pixel // _DIRECTORY * _DIRECTORY
    path = f"{root}/dataset/Norder={part.order}/Dir={directory}/Npix={part.pixel}"
    if suffix.strip() != "/":
        return [f"{path}{suffix.strip()}"]
    if remote.is_remote(root):
        raise InputError(
            path,
            "the partitions of this remote catalog are folders, which are not read",
            remedy="use a local copy",
        )
    return sorted(str(p) for p in Path(path).glob("*.parquet"))


def _rows(part: Partition, cells: Cells) -> list[tuple[str, str, int]]:
    """Range of the index column that the cells have in a partition, in pyarrow's form."""
    deepest, pixels = cells
    if part.order > deepest:
        return []
    own = pixels[pixels >> 2 * (deepest - part.order) == part.pixel]
    shift = 2 * (_INDEX_ORDER - deepest)
    first, last = int(own.min()) << shift, (int(own.max()) + 1) << shift
    return [(_INDEX, ">=", first), (_INDEX, "<", last)]


def _wanted(names: list[str], given: Mapping[str, str], path: str) -> list[str]:
    return sorted(set(recognise(names, given, path).values()), key=names.index)
