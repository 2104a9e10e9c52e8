"""Tables of all formats, names and units; wrong rows, units and duplicates."""

import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from hapdask.astrometry.references.columns import ALIASES, recognise
from hapdask.astrometry.references.files import FileSource, TableSource
from hapdask.astrometry.references.region import Cone
from hapdask.astrometry.references.standard import Assumed, standardise
from hapdask.astrometry.references.tables import FORMATS, read_table
from hapdask.errors import InputError, ParameterError

FIELD = Cone(150.0, 2.0, 0.1)
IDS = np.array([2**62 + 1, 2**62 + 3, 2**62 + 5])


def gaia():
    return Table(
        {
            "source_id": IDS,
            "ra": [150.0, 150.01, 150.02],
            "ra_error": [0.1, 0.2, 0.3],
            "dec": [2.0, 2.01, 2.02],
            "dec_error": [0.1, 0.2, 0.3],
            "pmra": [1.5, np.nan, -3.0],
            "pmra_error": [0.1, np.nan, 0.3],
            "pmdec": [2.5, np.nan, 4.0],
            "pmdec_error": [0.1, np.nan, 0.3],
            "ref_epoch": [2016.0, 2016.0, 2016.0],
            "phot_g_mean_mag": [18.0, 19.0, 20.0],
        }
    )


def read(table, **options):
    return standardise(table, name="test", origin="here", **options)


@pytest.mark.parametrize(
    "suffix", [*sorted(FORMATS), ".txt", ".cat", ".csv.gz", ".fits.gz", ".ecsv.gz"]
)
def test_every_format_gives_the_same_catalog(tmp_path, suffix):
    path = tmp_path / f"gaia{suffix}"
    plain = suffix.removesuffix(".gz")
    if plain in (".parquet", ".parq", ".pq"):
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({n: np.asarray(gaia()[n]) for n in gaia().colnames}), path)
    else:
        kind = FORMATS.get(plain, "ascii")
        target = tmp_path / f"written{plain}"
        gaia().write(target, format=kind)
        data = target.read_bytes()
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    stars, notes = FileSource(str(path)).ask(FIELD)
    assert stars.name == "gaia"
    assert stars.ids.tolist() == [str(i) for i in IDS]
    np.testing.assert_array_equal(stars.ra, gaia()["ra"])
    np.testing.assert_array_equal(stars.pmra, gaia()["pmra"])
    np.testing.assert_array_equal(stars.mag, [18, 19, 20])
    assert (stars.epoch == 2016.0).all()
    assert notes == ()


def test_plain_text_without_names(tmp_path):
    path = tmp_path / "ref.cat"
    path.write_text("# a list\n150.0 2.0 18.5\n150.01 2.01 19.5\n150.02 2.02 20.0\n")
    stars, notes = FileSource(str(path)).ask(FIELD)
    assert len(stars) == 3
    assert np.isnan(stars.mag).all()
    assert stars.ids.tolist() == ["1", "2", "3"]
    assert "epoch of 3 stars taken as 2016" in notes
    stars, _ = FileSource(str(path), columns={"mag": "col3"}, assumed=Assumed(2020.5, 2.0)).ask(
        FIELD
    )
    assert stars.mag[0] == 18.5
    assert (stars.epoch == 2020.5).all()
    assert (stars.ra_error == 2.0).all()


@pytest.mark.parametrize(
    ("names", "field", "column"),
    [
        (["RA_ICRS", "RAJ2000", "DE_ICRS", "DEJ2000"], "ra", "RA_ICRS"),
        (["_RAJ2000", "_DEJ2000", "e_RAJ2000", "e_DEJ2000"], "dec_error", "e_DEJ2000"),
        (["objID", "ra", "dec", "raErr", "rapm", "decpmErr"], "pmdec_error", "decpmErr"),
        (["raMean", "decMean", "raMeanErr", "epochMean"], "epoch", "epochMean"),
        (["ra", "dec", "err_maj", "err_min", "jdate"], "dec_error", "err_min"),
        (["ALPHA_J2000", "DELTA_J2000", "MAG_AUTO"], "mag", "MAG_AUTO"),
        (["ALPHAWIN_J2000", "DELTAWIN_J2000", "X_WORLD", "Y_WORLD"], "dec", "DELTAWIN_J2000"),
        (["Right Ascension (deg)", "Declination (deg)"], "ra", "Right Ascension (deg)"),
    ],
)
def test_names_are_recognised(names, field, column):
    assert recognise(names)[field] == column


def test_no_name_means_two_fields():
    shared = {"errmaj"}  # of 2MASS, a circle's both axes
    names = [name for aliases in ALIASES.values() for name in set(aliases) - shared]
    assert len(names) == len(set(names))


def test_columns_that_are_not_there():
    with pytest.raises(InputError, match=r"declination.*it has ra, y.*name it"):
        recognise(["ra", "y"])
    with pytest.raises(InputError, match="no column 'RAJ'"):
        recognise(["ra", "dec"], {"ra": "RAJ"})
    with pytest.raises(ParameterError, match="did you mean 'pmdec'"):
        recognise(["ra", "dec"], {"pmde": "ra"})
    with pytest.raises(ParameterError, match="no field 'raa'"):
        read(gaia(), units={"raa": "deg"})


def test_units_are_converted():
    table = Table(
        {"ra": [10.0], "dec": [0.03490658503988659], "ra_error [arcsec]": [0.5], "raMeanErr": [9]}
    )
    table["ra"].unit, table["dec"].unit = "hourangle", "rad"
    table["pmRA"], table["pmDE"] = [0.01], [0.02]
    table["pmRA"].unit = table["pmDE"].unit = "arcsec / yr"
    stars, _ = read(table)
    assert stars.ra[0] == pytest.approx(150.0)
    assert stars.dec[0] == pytest.approx(2.0)
    assert stars.ra_error[0] == pytest.approx(500.0)
    assert stars.pmdec[0] == pytest.approx(20.0)
    text = Table(
        {
            "ra": ["10:00:00", "10:00:01.5"],
            "dec": ["+02:00:00", "-00:30:00"],
            "raErr": ["0.1", "null"],
        }
    )
    stars, notes = read(text)
    np.testing.assert_allclose(stars.ra, [150.0, 150.00625])
    np.testing.assert_allclose(stars.dec, [2.0, -0.5])
    assert "ra_error of 1 stars taken as 10 mas" in notes
    assert read(Table({"ra": [10.0], "dec": [2.0]}), units={"ra": "hours"})[0].ra[
        0
    ] == pytest.approx(150)
    pan = Table({"raMean": [1.0], "decMean": [1.0], "raMeanErr": [0.01], "decMeanErr": [0.02]})
    assert read(pan)[0].ra_error[0] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("column", "unit", "said"),
    [
        ("ra", "mag", "column 'ra' is in 'mag', but ra is in 'deg'"),
        ("ra", "wombat", "'wombat'"),
        ("pmra", "mas", "but pmra is in 'mas / yr'"),
        ("ra_error", "km", "say what it is"),
    ],
)
def test_impossible_units_are_refused(column, unit, said):
    table = gaia()
    table[column].unit = unit
    with pytest.raises(InputError, match=said):
        read(table)


@pytest.mark.parametrize(
    ("column", "factor"),
    [("ra_error", 1 / 3.6e6), ("ra_error", 1e6), ("pmra", 1e4), ("pmdec_error", 1e-6)],
)
def test_numbers_that_belie_their_units_are_refused(column, factor):
    table = gaia()
    table[column] = table[column] * factor
    with pytest.raises(InputError, match=f"column '{column}'.*so it is not in mas"):
        read(table)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("10:00:01.5", "-02:00:30"),
        ("10 00 01.5", "-02 00 30"),
        ("10h00m01.5s", "-02d00m30s"),
    ],
)
def test_sexagesimal_places(tmp_path, ra, dec):
    stars, _ = read(Table({"ra": [ra, "nonsense"], "dec": [dec, dec]}))
    assert len(stars) == 1
    assert stars.ra[0] == pytest.approx(150.00625)
    assert stars.dec[0] == pytest.approx(-2.0 - 30 / 3600)
    if ":" in ra:
        (tmp_path / "bare.txt").write_text(f"{ra} {dec}\n{ra} {dec}\n")
        assert len(read_table(str(tmp_path / "bare.txt"))) == 2


def test_places_as_skycoord(tmp_path):
    places = SkyCoord([150.0, 150.1], [2.0, 2.1], unit="deg", frame="icrs")
    for table in (Table({"sky_centroid": places}), Table({"sky_centroid": places.fk5})):
        stars, _ = read(table)
        np.testing.assert_allclose(stars.ra, [150.0, 150.1], atol=1e-9)
        table.write(tmp_path / "sky.ecsv", overwrite=True)
        assert len(FileSource(str(tmp_path / "sky.ecsv")).ask(FIELD).catalog) == 2
    moving = SkyCoord(
        [150.0, 150.1], [2.0, 2.1], unit="deg", frame="icrs",
        pm_ra_cosdec=[5.0, 6.0] * u.mas / u.yr, pm_dec=[-1.0, 1.0] * u.mas / u.yr,
    )  # fmt: skip
    np.testing.assert_allclose(read(Table({"sky": moving}))[0].pmra, [5.0, 6.0])
    both = Table({"ra": [10.0, 11.0], "dec": [2.0, 2.0], "sky_centroid": places})
    assert read(both)[0].ra.tolist() == [10.0, 11.0]


def test_places_in_single_precision_have_its_error():
    ra = np.linspace(300.0, 300.1, 400)
    table = Table({"ra": ra.astype("f4"), "dec": np.full(400, 2.0), "ra_error": np.full(400, 0.1)})
    stars, notes = read(table)
    pulls = (stars.ra - ra) * 3.6e6 / stars.ra_error
    assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.2
    assert (stars.dec_error == 10.0).all()
    assert "ra in single precision: rounded to 31.7 mas" in notes


def test_rows_without_a_position_are_told_and_dropped():
    table = gaia()
    table["ra"] = MaskedColumn(table["ra"], mask=[True, False, False])
    table.add_row({"ra": 20.0, "dec": 95.0, "source_id": 9, "ra_error": 1.0})
    table.add_row({"ra": np.nan, "dec": 5.0, "source_id": 10, "ra_error": 1.0})
    stars, notes = read(table)
    assert stars.ids.tolist() == [str(i) for i in IDS[1:]]
    assert "2 rows without a position dropped" in notes
    assert "1 rows with RA or Dec beyond the sky dropped" in notes
    table["dec"] = np.nan
    with pytest.raises(InputError, match="none of its 5 rows"):
        read(table)


def test_columns_that_were_asked_for_and_hold_no_position_are_named():
    table = Table({"id": [901, 902], "ra": [150.1, 150.2], "dec": [2.2, 2.3]})
    with pytest.raises(InputError) as error:  # as the stock tweakreg.cfg has it: columns 1 and 2
        standardise(table, name="t", origin="t.ecsv", columns={"ra": "id", "dec": "ra"})
    for words in ("'id' as RA and 'ra' as Dec", "refxcol, refycol", "'ra' and 'dec' are known"):
        assert words in str(error.value)


def test_duplicates_are_told_and_dropped():
    rng = np.random.default_rng(3)
    n = 200
    ra, dec = 150 + rng.uniform(-0.1, 0.1, n), 2 + rng.uniform(-0.1, 0.1, n)
    twice = np.concatenate([np.arange(n), np.arange(0, n, 4), np.arange(0, n, 8)])
    order = rng.permutation(twice.size)
    error = np.where(np.arange(twice.size) < n, 0.5, 2.0)
    table = Table(
        {
            "ra": ra[twice][order],
            "dec": dec[twice][order] + 1e-9,
            "ra_error": error[order],
            "dec_error": error[order],
            "id": twice[order],
        }
    )
    stars, notes = read(table)
    assert len(stars) == n
    assert (stars.ra_error == 0.5).all()
    assert any(note.startswith("75 rows within 0.05 arcsec") for note in notes)
    around = Table({"ra": [0.0, 360.0, 359.999999999], "dec": [5.0, 5.0, 5.0]})
    assert len(read(around)[0]) == 1
    pole = Table({"ra": [0.0, 180.0], "dec": [89.999999, 89.999999]})
    assert len(read(pole)[0]) == 1


def test_epochs():
    table = gaia()
    table["ref_epoch"] = [2457389.0, 57388.5, 0.0]
    stars, notes = read(table)
    assert stars.epoch.tolist() == [2016.0, 2016.0, 2016.0]
    assert "epoch of 1 stars taken as 2016" in notes
    table["ref_epoch"] = ["J2015.5", "2015.5", ""]
    assert read(table)[0].epoch.tolist() == [2015.5, 2015.5, 2016.0]
    del table["ref_epoch"]
    assert (standardise(table, name="2mass", origin="x").catalog.epoch == 1999.5).all()


@pytest.mark.parametrize(
    ("ra", "dec", "moving", "epoch"),
    [
        ("raEp2000", "deEp2000", False, 2000.0),
        ("ra_epoch2000", "dec_epoch2000", True, 2000.0),
        ("RAJ2000", "DEJ2000", True, 2000.0),  # moved there with these motions, as UCAC and PPMXL
        ("RAJ2000", "DEJ2000", False, 2016.0),  # the equinox alone
        ("RA_ICRS", "DE_ICRS", True, 2016.0),
    ],
)
def test_epochs_in_the_names_of_columns(ra, dec, moving, epoch):
    table = Table({ra: [150.0, 150.1], dec: [2.0, 2.1]})
    if moving:
        table["pmRA"], table["pmDE"] = [5.0, -4.0], [1.0, 2.0]
    stars, notes = read(table)
    assert stars.epoch.tolist() == [epoch, epoch]
    assert any(note.startswith("epoch") for note in notes)
    assert read(table, assumed=Assumed(2010.0, 5.0))[0].epoch[0] == 2010.0
    table["epoch"] = ["2014-07-02", "J2014.5"]
    np.testing.assert_allclose(read(table)[0].epoch, 2014.5, atol=0.003)


def test_many_rows_at_one_place_are_one_star():
    n = 60_000  # pairs of them would be 30 GB
    table = Table({"ra": np.zeros(n), "dec": np.zeros(n), "ra_error": np.arange(n) % 7 + 1.0})
    table["dec_error"] = table["ra_error"]
    stars, notes = read(table)
    assert len(stars) == 1
    assert stars.ids.tolist() == ["1"]
    assert notes[-1].startswith("59999 rows within")


def test_the_stars_of_sextractors_fits(tmp_path):
    heading = fits.BinTableHDU(Table({"Field Header Card": ["SIMPLE"]}), name="LDAC_IMHEAD")
    objects = fits.BinTableHDU(gaia(), name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), heading, objects]).writeto(tmp_path / "stars.fits")
    assert len(FileSource(str(tmp_path / "stars.fits")).ask(FIELD).catalog) == 3


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".csv", ".parquet", ".vot", ".txt"])
@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff" * 500, b"<html><body>no</body></html>", b"a,b\n1"]
)
def test_damaged_files_are_refused(tmp_path, suffix, body):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(body)
    with pytest.raises(InputError, match="bad"):
        FileSource(str(path)).ask(FIELD)


def test_missing_files_and_files_without_a_table(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_table(str(tmp_path / "not.ecsv"))
    with pytest.raises(InputError):
        read_table(str(tmp_path))
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="no table among"):
        read_table(str(tmp_path / "image.fits"))


def test_tables_in_memory():
    stars, _ = TableSource(gaia()).ask(FIELD)
    assert stars.name == "user"
    assert len(TableSource({"ra": [1.0], "dec": [2.0]}).ask(FIELD).catalog) == 1
    pd = pytest.importorskip("pandas")
    assert len(TableSource(pd.DataFrame({"RA": [1.0], "Dec": [2.0]})).ask(FIELD).catalog) == 1
    with pytest.raises(InputError, match="no table"):
        TableSource(object()).ask(FIELD)


def test_parquet_of_many_kinds(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    ids = pa.array([2**62 + 1, None, 2**62 + 3])
    unit = {b"unit": b"arcsec"}
    schema = pa.schema(
        [
            ("source_id", pa.int64()),
            ("ra", pa.float64()),
            ("dec", pa.float32()),
            pa.field("ra_error", pa.float64(), metadata=unit),
            ("name", pa.dictionary(pa.int32(), pa.string())),
            ("nested", pa.list_(pa.int64())),
        ]
    )
    names = pa.array(["a", None, "b"]).dictionary_encode()
    columns = [ids, [1.0, 2.0, None], [1.0, 2.0, 3.0], [0.5] * 3, names, [[1], [2], None]]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), tmp_path / "x.parquet")
    table = read_table(str(tmp_path / "x.parquet"))
    assert "nested" not in table.colnames
    stars, notes = read(table)
    assert stars.ids.tolist() == [str(2**62 + 1), ""]
    assert stars.ra_error.tolist() == pytest.approx([500.0, 500.0])
    assert "1 rows without a position dropped" in notes
    assert read(table, columns={"id": "name"})[0].ids.tolist() == ["a", ""]


def test_columns_of_odd_shape():
    with pytest.raises(InputError, match="2 dimensions"):
        read(Table({"ra": np.ones((2, 2)), "dec": [1.0, 2.0]}))
    stars, notes = read(Table({"ra": ["1:00:00", "1:xx:00"], "dec": [1.0, 2.0]}))
    assert stars.ra.tolist() == pytest.approx([15.0])
    assert "1 rows without a position dropped" in notes
