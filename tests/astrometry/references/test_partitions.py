"""HATS catalogs on a disk and in S3: only the partitions that a field needs are opened."""

import logging

import numpy as np
import pytest

from hapdask.astrometry.references import partitions
from hapdask.astrometry.references.finding import find_references, source_of
from hapdask.astrometry.references.partitions import HatsSource, Partition, touched
from hapdask.astrometry.references.region import Cells, Cone, healpix_cells
from hapdask.errors import InputError
from hapdask.observe import remote
from hapdask.sky.tangent import sky_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MJD = 57388.5


def cells_of(ra, dec, order):
    """HEALPix cells (nested) of positions, each from the MOC of its point."""
    from astropy import units as u
    from mocpy import MOC

    out = np.empty(ra.size, dtype=np.int64)
    for i, (a, d) in enumerate(zip(ra, dec, strict=True)):
        out[i] = MOC.from_lonlat([a] * u.deg, [d] * u.deg, max_norder=order).flatten()[0]
    return out


def all_sky(n):
    rng = np.random.default_rng(11)
    return sky_of(rng.normal(size=(n, 3)))


def write_hats(root, ra, dec, order=1, *, with_list=True, suffix=".parquet", groups=500):
    """A small HATS catalog of one order, its rows ordered by the cells of order 29."""
    index = cells_of(ra, dec, 29)
    ids = np.arange(ra.size)
    parts = index >> 2 * (29 - order)
    for part in np.unique(parts):
        rows = np.flatnonzero(parts == part)
        rows = rows[np.argsort(index[rows])]
        columns = {
            "_healpix_29": index[rows], "source_id": ids[rows], "ra": ra[rows], "dec": dec[rows],
            "nested": pa.array([[1, 2]] * rows.size), "useless": np.ones(rows.size),
            "ref_epoch": np.full(rows.size, 2016.0),
        }  # fmt: skip
        path = root / "dataset" / f"Norder={order}" / "Dir=0" / f"Npix={part}{suffix.strip('/')}"
        if suffix == "/":
            path = path / "part0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=groups)
    npix = np.unique(parts)
    if with_list:
        lines = ["Norder,Npix", *[f"{order},{p}" for p in npix]]
        (root / "partition_info.csv").write_text("\n".join(lines))
    (root / "hats.properties").write_text(
        f"#HATS catalog\nobs_collection=GAIADR3\nhats_col_ra=ra\nhats_col_dec=dec\n"
        f"hats_npix_suffix={suffix}\n"
    )
    return npix


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    root = tmp_path_factory.mktemp("hats") / "gaia"
    root.mkdir()
    ra, dec = all_sky(3000)
    write_hats(root, ra, dec)
    return root, ra, dec


@pytest.mark.parametrize(
    "cone",
    [Cone(0, 0, 5), Cone(10, 90, 6), Cone(359.9, -40, 4), Cone(45, 41.8, 3), Cone(90, -90, 5)],
)
def test_every_star_of_a_field_and_no_other_partition(sky, monkeypatch, cone):
    root, ra, dec = sky
    opened = []
    read = partitions.read_parquet
    monkeypatch.setattr(
        partitions, "read_parquet", lambda path, *a: (opened.append(path), read(path, *a))[1]
    )
    stars, (told,) = find_references(str(root), cone, MJD)
    assert sorted(map(int, stars.ids)) == np.flatnonzero(cone.contains(ra, dec)).tolist()
    assert stars.name == "GAIADR3"
    order, cells = healpix_cells(cone)
    needed = np.unique(cells >> 2 * (order - 1))
    assert 1 <= len(opened) <= needed.size < 12
    assert told.notes[0] == f"{len(opened)} partitions read"


def test_only_the_rows_and_columns_needed_are_read(sky, monkeypatch):
    root, _, _ = sky
    tables = []
    kept = partitions.standardise
    monkeypatch.setattr(
        partitions, "standardise", lambda t, **k: (tables.append(t), kept(t, **k))[1]
    )
    HatsSource(str(root)).ask(Cone(45.0, 10.0, 1.0))
    assert sorted(tables[0].colnames) == ["dec", "ra", "ref_epoch", "source_id"]
    assert len(tables[0]) < 60  # of 3000 / 48 in a partition


def test_partitions_of_several_orders_are_chosen():
    cells = Cells(12, np.array([5 << 2, 77 << 2]))
    parts = [
        Partition(11, 5),
        Partition(11, 6),
        Partition(0, 0),
        Partition(13, 77 << 4),
        Partition(13, 3),
    ]
    assert touched(parts, cells) == (Partition(11, 5), Partition(0, 0), Partition(13, 77 << 4))


@pytest.mark.parametrize("suffix", [".parquet", "/"])
def test_without_a_list_local_folders_are_listed(tmp_path, suffix):
    ra, dec = all_sky(300)
    write_hats(tmp_path, ra, dec, order=0, with_list=False, suffix=suffix)
    cone = Cone(100.0, 20.0, 25.0)
    stars, _ = HatsSource(str(tmp_path)).ask(cone)
    assert cone.contains(ra, dec).sum() <= len(stars) <= cone.contains(ra, dec).sum() + 3


def test_a_collection_is_read_through_its_primary_table(sky, tmp_path):
    root, _, _ = sky
    (tmp_path / "gaia").symlink_to(root)
    properties = tmp_path / "collection.properties"
    properties.write_text("hats_primary_table_url=gaia\n")
    assert isinstance(source_of(str(tmp_path)), HatsSource)
    assert len(HatsSource(str(tmp_path)).ask(Cone(0, 0, 5)).catalog) > 0
    for elsewhere in ("../gaia", "https://h/gaia"):
        properties.write_text(f"hats_primary_table_url={elsewhere}\n")
        with pytest.raises(InputError, match="lies elsewhere"):
            HatsSource(str(tmp_path)).ask(Cone(0, 0, 5))


def test_remote_folders_of_files_are_refused():
    with pytest.raises(InputError, match="use a local copy"):
        partitions._files("s3://b/gaia", Partition(1, 3), "/")


def test_damaged_catalogs_are_verdicts(tmp_path):
    cone = Cone(100.0, 20.0, 2.0)
    for what in (tmp_path, tmp_path / "not"):
        _, (told,) = find_references(HatsSource(str(what)), cone, MJD)
        assert "no hats.properties" in told.reason
    ra, dec = all_sky(200)
    write_hats(tmp_path, ra, dec, order=0)
    for path in (tmp_path / "dataset").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-40])
    _, (told,) = find_references(HatsSource(str(tmp_path)), cone, MJD)
    assert "cannot be read as a table" in told.reason
    (tmp_path / "partition_info.csv").write_text("a,b\n1,2\n")
    _, (told,) = find_references(HatsSource(str(tmp_path)), cone, MJD)
    assert "is no list of partitions" in told.reason
    (tmp_path / "partition_info.csv").write_text("Norder,Npix\n5,3\n")
    stars, (told,) = find_references(HatsSource(str(tmp_path)), cone, MJD)
    assert (stars, told.status) == (None, "empty")


@pytest.fixture(scope="module")
def bucket(sky):
    """Serve the catalog from a bucket of a local moto server."""
    pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    import botocore.session
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = botocore.session.get_session().create_client(
        "s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x",
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket="stpubdata", ACL="public-read")
    root = sky[0]
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        key = f"cat/gaia/{path.relative_to(root).as_posix()}"
        client.put_object(Bucket="stpubdata", Key=key, Body=path.read_bytes(), ACL="public-read")
    yield endpoint
    server.stop()


def test_a_catalog_in_s3_is_read_and_kept(sky, bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket)
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path))
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    _, ra, dec = sky
    cone = Cone(45.0, 10.0, 4.0)
    stars, (told,) = find_references("s3://stpubdata/cat/gaia/", cone, MJD)
    assert sorted(map(int, stars.ids)) == np.flatnonzero(cone.contains(ra, dec)).tolist()
    assert not told.cached
    again, (told,) = find_references("s3://stpubdata/cat/gaia/", cone, MJD, offline=True)
    assert told.cached
    assert again.ids.tolist() == stars.ids.tolist()
    _, (told,) = find_references("s3://stpubdata/cat/none/", cone, MJD)
    assert "no hats.properties" in told.reason
