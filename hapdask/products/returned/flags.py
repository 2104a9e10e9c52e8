"""The flags of a chip after a run: those of its file, and the cosmic rays that were found.

Bits that the run was told to reset are cleared first, as AstroDrizzle clears them in its inputs.
Not here: files (`copies`, `dq_zarr`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.drizzling.rejecting import KIND
from hapdask.observe.masks import read_mask_rows
from hapdask.observe.parts import ChipRecord

Flags = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class FlagChange:
    """How a run changes flags.

    Attributes
    ----------
    crbit : int
        Set where a cosmic ray was found; 0 for nothing.
    resetbits : int
        Cleared everywhere before.
    kinds : tuple of str
        Kinds of the masks of a record that are cosmic rays.
    """

    crbit: int = 4096
    resetbits: int = 4096
    kinds: tuple[str, ...] = (KIND,)

    def sought(self, chip: ChipRecord) -> bool:
        """Whether cosmic rays were sought in a chip."""
        return any(mask.kind in self.kinds for mask in chip.masks)

    def cosmic_rays(self, chip: ChipRecord) -> npt.NDArray[np.bool_] | None:
        """Read the cosmic rays of a chip, True where there is one; None where none were sought.

        Raises
        ------
        InputError
            If a mask cannot be read.
        """
        found = None
        for mask in chip.masks:
            if mask.kind in self.kinds:
                bad = read_mask_rows(mask, chip.shape, 0, chip.shape[0])
                found = bad if found is None else found | bad
        return found

    def apply(self, flags: npt.NDArray[np.integer], chip: ChipRecord) -> Flags:
        """Give the flags of a whole chip after the run.

        Parameters
        ----------
        flags : ndarray of integers, shape of the chip
            As in its file; the lower 16 bits count.
        chip : ChipRecord
            With its masks.
        """
        changed = (flags.astype(np.int64) & (0xFFFF & ~self.resetbits)).astype(np.uint16)
        bad = self.cosmic_rays(chip)
        if bad is not None:
            changed[bad] |= np.uint16(self.crbit)
        return changed
