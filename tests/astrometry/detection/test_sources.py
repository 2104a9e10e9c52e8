"""Lists of sources: tables, selections, the sky."""

import numpy as np
import pytest
from astropy.table import Table

from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.sources import BLENDED, SourceList
from hapdask.errors import InputError, ParameterError
from hapdask.observe.distortion import Correction


@pytest.fixture(scope="module")
def found(ir):
    return detect_sources(ir.record)


def test_tables_give_back_the_list(found, tmp_path):
    assert SourceList.from_table(found.table()) == found
    path = tmp_path / "list.ecsv"
    found.table().write(path)
    assert SourceList.from_table(Table.read(path)) == found
    found.table().write(tmp_path / "list.fits")
    assert SourceList.from_table(Table.read(tmp_path / "list.fits")) == found
    table = found.table()
    table.remove_column("error")
    with pytest.raises(InputError, match="without error"):
        SourceList.from_table(table)


def test_selections(found):
    assert np.all(np.diff(found.brightest(10).flux) <= 0)
    assert len(found.brightest(10)) == 10
    assert len(found.take(found.snr > 50)) == np.sum(found.snr > 50)
    assert not np.any(found.without(BLENDED).flags & BLENDED)
    assert len(SourceList.joined("a", [])) == 0
    with pytest.raises(ParameterError, match="one length"):
        SourceList("a", [1], [1.0, 2.0], [1.0], [1.0], [1.0], [1.0], [0], 2.0)


def test_the_sky_follows_the_correction(found, ir):
    ra, dec = found.sky(ir.record)
    chip = ir.record.chips[0]
    expected = chip.distortion.pixel_to_sky(found.x, found.y)
    np.testing.assert_array_equal([ra, dec], expected)
    moved = ir.record.corrected(Correction(chip.distortion.crval, shift=(0.0, 1.0)))
    np.testing.assert_allclose((found.sky(moved)[1] - dec) * 3600, 1.0, atol=1e-3)
    with pytest.raises(ParameterError, match="are sources of"):
        SourceList.empty("other").sky(ir.record)
