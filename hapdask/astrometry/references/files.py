"""Sources of one table: a file, or a table in memory.

Not here: reading formats (`tables`), catalogs of many files (`partitions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from hapdask.astrometry.references.region import Region
from hapdask.astrometry.references.standard import Answer, Assumed, standardise
from hapdask.astrometry.references.tables import read_table
from hapdask.errors import InputError
from hapdask.observe import remote


@dataclass(frozen=True)
class FileSource:
    """A catalog in one file, local or at an http(s):// or s3:// address.

    Parameters
    ----------
    path : str
    columns, units : mapping, optional
        Field to column, field to units: ``{"ra": "ALPHA"}``, ``{"ra": "hourangle"}``.
    catalog : str
        Name of the catalog; else that of the file.
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
        """Name of the catalog."""
        return self.catalog or PurePosixPath(self.path.replace("\\", "/")).name.split(".")[0]

    @property
    def is_remote(self) -> bool:
        """Whether the network is needed."""
        return remote.is_remote(self.path)

    def question(self, region: Region) -> str:
        """Tell what is read; the same for every region."""
        return self.path

    def ask(self, region: Region) -> Answer:
        """Read the whole file: `finding` keeps what lies in the region.

        Raises
        ------
        InputError
            The file cannot be read, or not be used.
        """
        return standardise(
            read_table(self.path),
            name=self.name,
            origin=self.path,
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            columns=self.columns,
            units=self.units,
            assumed=self.assumed,
        )


@dataclass(frozen=True)
class TableSource:
    """A catalog in memory: an astropy Table, or what one can be made of (a dict, a DataFrame).

    Parameters
    ----------
    table : object
    columns, units : mapping, optional
        As of `FileSource`.
    catalog : str
        Name of the catalog.
    assumed : Assumed, optional
        Epoch and error of stars without.
    """

    table: Any
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    catalog: str = "user"
    assumed: Assumed | None = None

    is_remote = False

    @property
    def name(self) -> str:
        """Name of the catalog."""
        return self.catalog

    def question(self, region: Region) -> str:
        """Tell what is read."""
        return "table in memory"

    def ask(self, region: Region) -> Answer:
        """Take the whole table.

        Raises
        ------
        InputError
            It is no table, or it cannot be used.
        """
        from astropy.table import Table

        try:
            is_frame = hasattr(self.table, "isnull")  # pandas, without importing it
            table = Table.from_pandas(self.table) if is_frame else Table(self.table)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                "table", f"this is no table: {error}", remedy="give an astropy Table"
            ) from error
        return standardise(
            table,
            name=self.name,
            origin="table",
            columns=self.columns,
            units=self.units,
            assumed=self.assumed,
        )
