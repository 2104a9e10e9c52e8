"""Gaia, or any TAP service with a table like Gaia's, through pyvo (extra ``archives``).

pyvo writes the question and judges the answer; the exchange itself goes through `web`, which
bounds its time and size.  astroquery adds nothing here that pyvo has not.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError

from hapdask.astrometry.references.region import Region, bounding_cone
from hapdask.astrometry.references.standard import Answer, standardise
from hapdask.astrometry.references.web import Limits, address, fetch
from hapdask.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

GAIA = "https://gea.esac.esa.int/tap-server/tap"
_COLUMNS = (
    "source_id, ra, ra_error, dec, dec_error, pmra, pmra_error, pmdec, pmdec_error, "
    "parallax, parallax_error, ref_epoch, phot_g_mean_mag"
)


@dataclass(frozen=True)
class TapSource:
    """A table of a TAP service.

    Parameters
    ----------
    root : str
        Address of the service.
    table : str
        With the columns of Gaia's sources.
    catalog : str
        Name of the catalog, as in a WCSNAME.
    most : int
        Stars; a field that has more is asked for its brightest.
    limits : Limits
    """

    root: str = GAIA
    table: str = "gaiadr3.gaia_source"
    catalog: str = "GAIADR3"
    most: int = 100_000
    limits: Limits = field(default_factory=Limits)

    is_remote = True

    @property
    def name(self) -> str:
        """Name of the catalog."""
        return self.catalog

    def question(self, region: Region) -> str:
        """Address of the query in ADQL, for a cone around the region.

        Raises
        ------
        InputError
            pyvo is not installed.
        ParameterError
            The service's root is not an address.
        """
        try:
            from pyvo.dal import TAPService
        except ImportError as error:
            raise InputError(
                self.root,
                "asking a TAP service needs the package pyvo",
                remedy="pip install 'hapdask[archives]'",
            ) from error
        cone = bounding_cone(region)
        query = (
            f"SELECT TOP {self.most} {_COLUMNS} FROM {self.table} WHERE 1 = CONTAINS("
            f"POINT('ICRS', ra, dec), CIRCLE('ICRS', {cone.ra:.6f}, {cone.dec:.6f}, "
            f"{cone.radius:.6f})) ORDER BY phot_g_mean_mag"
        )
        asked = TAPService(self.root).create_query(query, maxrec=self.most, FORMAT="votable")
        return address(asked.queryurl, {key: str(value) for key, value in asked.items()})

    def ask(self, region: Region) -> Answer:
        """Ask the service.

        Raises
        ------
        InputError
            It fails, is slow, or answers something else than stars.
        """
        url = self.question(region)
        body = fetch(url, self.limits, kind="application/x-votable+xml")
        table = parse(body, url)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = standardise(table, name=self.name, origin=url, date=date)
        cut = (f"only the {self.most} brightest stars",) if len(table) >= self.most else ()
        return Answer(answer.catalog, cut + answer.notes)


def parse(body: bytes, url: str) -> Table:
    """Read the answer of a TAP service.

    Raises
    ------
    InputError
        It is an error or no VOTable.
    """
    from astropy.io import votable
    from pyvo.dal import TAPResults
    from pyvo.dal.exceptions import DALAccessError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TAPResults(votable.parse(BytesIO(body), verify="ignore")).to_table()
    except DALAccessError as error:
        raise InputError(url, f"the service says: {' '.join(str(error).split())[:200]}") from error
    except (ValueError, OSError, KeyError, IndexError, TypeError, ExpatError) as error:
        start = " ".join(body[:120].decode("utf-8", "replace").split())
        raise InputError(url, f"the service answers no VOTable: {start}") from error
