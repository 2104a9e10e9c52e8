"""What a product tells of the parameters it was made with, whatever recipe made it.

Recipes have parameters of their own (`Resolved`, `ResolvedAstroDrizzle`); headers and stores see
the one form that stands here.  It lives in the attributes of a mosaic as plain data.  Not here:
cards (`headers`, `drizzle_cards`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hapdask.errors import ParameterError, StoreError

if TYPE_CHECKING:
    from hapdask.config import Resolved
    from hapdask.config.astrodrizzle import AstroDrizzleParameters
    from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle
    from hapdask.config.parameters import DrizzleParameters

#: Values as JSON knows them, and tuples.
Plain = str | int | float | bool | tuple[float, ...] | None

#: Steps of AstroDrizzle that can be switched off: parameter, and what it is called.
STEPS = {
    "static": "static mask",
    "skysub": "sky subtraction",
    "driz_separate": "separate drizzle",
    "median": "median",
    "blot": "blot",
    "driz_cr": "cosmic rays",
    "driz_combine": "final drizzle",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """Parameters of a product.

    Attributes
    ----------
    kernel, pixfrac, weight
        Of the drizzle that made it.
    flux_scaled : bool
        Whether all chips were brought to one photometric system.
    hap : bool
        Whether it is a Hubble Advanced Product, with a HAPLEVEL and figures of its own.
    values : dict of str to value
        Every parameter by its name, in order.
    origin : mapping of str to str
        Where each value came from.
    notes : tuple of str
        What else a reader must know, such as steps that were not run and why.
    counts : bool
        Whether SCI was multiplied by the exposure time.
    fill : float or None
        Value of pixels without data, None for NaN.
    weight_scale : float
        What weights of type EXP were multiplied by.
    wcskey : str
        The solution that the inputs were taken by; empty for the primary one.
    ignored : mapping of str to str
        Parameters that were given and mean nothing here, and why.
    """

    kernel: str
    pixfrac: float
    weight: str
    flux_scaled: bool
    values: Mapping[str, Plain]
    origin: Mapping[str, str]
    hap: bool = True
    notes: tuple[str, ...] = ()
    counts: bool = False
    fill: float | None = None
    weight_scale: float = 1.0
    wcskey: str = ""
    ignored: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_drizzle(cls, resolved: Resolved) -> Told:
        """Tell the parameters of a layer of a sky cell, or of any other plain mosaic."""
        parameters = resolved.parameters
        return cls(
            kernel=parameters.kernel,
            pixfrac=parameters.pixfrac,
            weight=parameters.weight,
            flux_scaled=parameters.flux_scaling,
            values=dict(parameters.digest_items()),
            origin=resolved.origin,
        )

    @classmethod
    def of_astrodrizzle(cls, resolved: ResolvedAstroDrizzle, notes: tuple[str, ...] = ()) -> Told:
        """Tell the parameters of a run of AstroDrizzle, and which of its steps were not run."""
        parameters, final = resolved.parameters, resolved.parameters.final
        values = parameters.values()
        off = tuple(
            f"step {label} not run: {name} is {resolved.origin.get(name, 'off')}"
            for name, label in STEPS.items()
            if not values[name]
        )
        return cls(
            kernel=final.final_kernel,
            pixfrac=final.final_pixfrac,
            weight=final.final_wht_type,
            flux_scaled=parameters.general.flux_scaling,
            values=values,
            origin=resolved.origin,
            hap=False,
            notes=(*dict.fromkeys((*off, *notes)),),
            counts=final.final_units == "counts",
            fill=fill_value(parameters),
            weight_scale=weight_scale(parameters),
            wcskey=parameters.general.wcskey,
            ignored=resolved.ignored,
        )

    @property
    def drop(self) -> DrizzleParameters:
        """How far drops reach: kernel and drop size alone."""
        from hapdask.config.parameters import DrizzleParameters

        if not self.pixfrac:
            return DrizzleParameters(kernel="point")
        return DrizzleParameters(kernel=self.kernel, pixfrac=self.pixfrac)


def fill_value(parameters: AstroDrizzleParameters) -> float | None:
    """Give SCI where nothing has weight: ``final_fillval``, else ``final_maskval``."""
    final = parameters.final
    return final.final_maskval if final.final_fillval is None else final.final_fillval


def weight_scale(parameters: AstroDrizzleParameters) -> float:
    """Give what weights are multiplied by: a number in ``final_wt_scl``, for type EXP.

    ERR and IVM have a scale of their own.  Source: drizzlepac 3.11.0, adrizzle.
    """
    from hapdask.drizzling import steps  # brings Numba in

    final = parameters.final
    return float(steps.weight_scale(final)) if final.final_wht_type == "EXP" else 1.0


def run_attributes(
    resolved: ResolvedAstroDrizzle, notes: tuple[str, ...] = ()
) -> dict[str, object]:
    """Attributes of the mosaic of a run, which `told_of` reads; plain data.

    Parameters
    ----------
    resolved : ResolvedAstroDrizzle
    notes : tuple of str
        For the headers of the product, one line each.
    """
    values = resolved.parameters.values()
    return {
        "recipe": "astrodrizzle",
        "parameters": {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
        "parameter_origin": dict(resolved.origin),
        "parameters_ignored": dict(resolved.ignored),
        "notes": list(notes),
    }


def told_of(attributes: Mapping[str, Any]) -> Told | None:
    """Read the parameters in the attributes of a mosaic; None where there are none.

    Raises
    ------
    StoreError
        They are damaged, or of a recipe that is not known.
    """
    if "parameters" not in attributes:
        return None
    where, recipe = attributes.get("store", "the mosaic"), attributes.get("recipe", "drizzle")
    if recipe not in _READERS:
        raise StoreError(
            f"{where}: made by a recipe {recipe!r} that this version of hapdask does not know "
            "(use a newer one)"
        )
    try:
        return _READERS[recipe](attributes)
    except (KeyError, TypeError, ValueError, ParameterError) as error:
        raise StoreError(
            f"{where}: the parameters it was made with are damaged: {error} (make it again)"
        ) from error


def _drizzle(attributes: Mapping[str, Any]) -> Told:
    from hapdask.config import Resolved
    from hapdask.config.parameters import DrizzleParameters

    parameters = DrizzleParameters(**attributes["parameters"])
    return Told.of_drizzle(Resolved(parameters, dict(attributes["parameter_origin"])))


def _astrodrizzle(attributes: Mapping[str, Any]) -> Told:
    from hapdask.config.astrodrizzle import AstroDrizzleParameters
    from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle

    given = dict(attributes["parameters"])
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    resolved = ResolvedAstroDrizzle(
        AstroDrizzleParameters.from_values(values),
        dict(attributes["parameter_origin"]),
        dict(attributes.get("parameters_ignored", {})),
    )
    return Told.of_astrodrizzle(resolved, tuple(attributes.get("notes", ())))


_READERS: dict[str, Callable[[Mapping[str, Any]], Told]] = {
    "drizzle": _drizzle,
    "astrodrizzle": _astrodrizzle,
}
