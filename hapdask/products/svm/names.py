"""Names of the files of a visit: HAP's, by visit, detector, filter and exposure.

What a name is made of is checked in `hapdask.products.names`.  Not here: names of sky cells.

Source: facts of HAP's ``product`` module.  The names of products of WFPC2 end in ``drz`` here, as
HAP's do, and not in AstroDrizzle's ``drw``.
"""

from __future__ import annotations

from dataclasses import dataclass

from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import (
    DetectorProduct,
    FilterProduct,
    InputSuffix,
    VisitTree,
    exposure_root,
)
from hapdask.products.names import ProductName, Suffix, visit_name

_SUFFIX: dict[InputSuffix, Suffix] = {"flc": "drc", "flt": "drz"}
TOTAL = "total"
#: Inputs whose flags lie in a second file, which is found by this name.
_WITH_COMPANION = "_c0m.fits"


@dataclass(frozen=True, slots=True)
class ExposureNames:
    """Files of one exposure.

    Attributes
    ----------
    product : ProductName
        Its drizzled image, previews, trailer.
    copy : str
        The aligned copy of the input.
    """

    product: ProductName
    copy: str

    @property
    def headerlet(self) -> str:
        """The solution alone."""
        return f"{self.product.stem}_hlet.fits"

    @property
    def trailer(self) -> str:
        """The log."""
        return self.product.trailer


@dataclass(frozen=True, slots=True)
class CombinedNames:
    """Files of a filter, or of all filters together.

    Attributes
    ----------
    product : ProductName
        The drizzled image, previews, trailer.
    """

    product: ProductName

    @property
    def trailer(self) -> str:
        """The log."""
        return self.product.trailer

    @property
    def point_catalog(self) -> str:
        """Sources found as points."""
        return f"{self.product.stem}_point-cat.ecsv"

    @property
    def segment_catalog(self) -> str:
        """Sources found as segments."""
        return f"{self.product.stem}_segment-cat.ecsv"

    @property
    def reference_catalog(self) -> str:
        """The reference stars of the alignment."""
        return f"{self.product.stem}_ref_cat.ecsv"


def exposure_names(tree: VisitTree, record: ExposureRecord) -> ExposureNames:
    """Name the files of an exposure, direct or dispersed.

    Parameters
    ----------
    tree : VisitTree
    record : ExposureRecord
        One of its exposures.

    Raises
    ------
    StoreError
        If a part could not be in a file name.
    """
    given: InputSuffix = "flc" if record.suffix == "flc" else "flt"
    detector = (record.instrument, record.detector, record.filter)
    root = exposure_root(record.name)
    name = visit_name(tree.proposal, tree.obset, *detector, root, suffix=_SUFFIX[given])
    has_companion = record.url.removesuffix(".gz").endswith(_WITH_COMPANION)
    suffix = _WITH_COMPANION.removesuffix(".fits") if has_companion else f"_{given}"
    return ExposureNames(name, f"{name.stem}{suffix}.fits")


def filter_names(
    tree: VisitTree, detector: DetectorProduct, member: FilterProduct
) -> CombinedNames:
    """Name the files of a filter; StoreError if a part could not be in a file name."""
    return _combined(tree, detector, member.filter, member.suffix)


def total_names(tree: VisitTree, detector: DetectorProduct) -> CombinedNames:
    """Name the files of all filters of a detector together."""
    return _combined(tree, detector, TOTAL, detector.suffix)


def colour_names(tree: VisitTree, detector: DetectorProduct, filters: list[str]) -> ProductName:
    """Name the colour pictures of a detector, with the filters that are in them."""
    whole = total_names(tree, detector).product
    return ProductName(f"{whole.stem}_{'-'.join(filters)}", whole.suffix)


def alignment_catalog(tree: VisitTree, detector: DetectorProduct, catalog: str) -> str:
    """Name the reference stars that all exposures of a detector were aligned to.

    Parameters
    ----------
    tree : VisitTree
    detector : DetectorProduct
    catalog : str
        For example ``GAIAeDR3``.
    """
    name = _combined(tree, detector, "x", "flt").product.stem
    head = name.removesuffix(f"_x_{tree.visit}")
    return ProductName(f"{head}_{tree.visit[:3]}_metawcs_all_{catalog}_ref").stem + "_cat.ecsv"


def manifest_name(tree: VisitTree) -> str:
    """Name the list of a visit's files.

    Examples
    --------
    >>> from hapdask.observe.visits.tree import DetectorProduct, VisitTree
    >>> uvis = DetectorProduct("wfc3", "uvis", (), (), ())
    >>> manifest_name(VisitTree("ib4606", "11665", "06", (uvis,)))
    'wfc3_b46_06_manifest.txt'
    """
    parts = (tree.instrument or "hst", tree.visit[1:4], tree.obset)
    return ProductName("_".join(part.lower() for part in parts)).stem + "_manifest.txt"


def outcome_name(tree: VisitTree) -> str:
    """Name the stored outcome of a visit."""
    return manifest_name(tree).removesuffix("manifest.txt") + "visit.json"


def _combined(
    tree: VisitTree, detector: DetectorProduct, filter_name: str, suffix: InputSuffix
) -> CombinedNames:
    place = (detector.instrument, detector.detector, filter_name)
    name = visit_name(tree.proposal, tree.obset, *place, tree.visit, suffix=_SUFFIX[suffix])
    return CombinedNames(name)
