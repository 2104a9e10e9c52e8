"""Lists of files: what each line means, where files are looked for, and what is missing."""

import gzip

import pytest
from astropy.io import fits

from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.inputs.entry import Input, Unusable
from hapdask.observe.inputs.expand import read_inputs

EIGHT = "{name},12345,A0A,01,340.0,F606W,UVIS,{path}"
TEN = "{name},12345,A0A,01,340.0,F606W,UVIS,{cell},{new},{path}"


@pytest.fixture
def files(make, tmp_path):
    """Three exposures in a folder of their own."""
    folder = tmp_path / "data"
    return [make(f"ia0a0{i}aaq", shape=(6, 5), tables=False, directory=folder) for i in (1, 2, 3)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, without $DATA_PATH."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("DATA_PATH", raising=False)


def listed(path, *lines):
    path.write_text("\n".join(lines))  # without a last newline, as HAP writes them
    return path


def reasons(entries):
    return [str(e.error) for e in entries if isinstance(e, Unusable)]


class TestPollers:
    def test_one_column(self, files, tmp_path):
        poller = listed(tmp_path / "data" / "input.out", "# three", *(f.name for f in files), "")
        assert [e.url for e in read_inputs(poller)] == [str(f) for f in files]
        assert [e.name for e in open_exposures(poller)] == [f.name[:9] for f in files]

    def test_two_columns_name_an_aperture(self, files, tmp_path):
        poller = listed(tmp_path / "poller.lst", f"{files[0]}, PC1-FIX;F160BN15")
        (entry,) = read_inputs(poller)
        assert entry.aperture == "PC1-FIX;F160BN15"
        assert dict(open_exposures(poller)[0].keywords)["APERTURE"] == "PC1-FIX;F160BN15"

    def test_eight_columns(self, files, tmp_path):
        poller = listed(
            tmp_path / "svm_input.out", *(EIGHT.format(name=f.name, path=f) for f in files)
        )
        assert [e.url for e in read_inputs(poller)] == [str(f) for f in files]

    def test_ten_columns(self, files, tmp_path):
        a, b = "skycell-p1889x07y19", "skycell-p1889x08y19"
        rows = [(files[0], a, "OLD"), (files[1], a, "new"), (files[1], b, "NEW")]
        poller = listed(
            tmp_path / "skycell-p1889x07y19_input.out",
            *(TEN.format(name=f.name, path=f, cell=c, new=n) for f, c, n in rows),
        )
        one, two = read_inputs(poller)
        assert (one.url, one.skycells, one.new) == (str(files[0]), (a,), False)
        assert (two.url, two.skycells, two.new) == (str(files[1]), (a, b), True)
        exposures = open_exposures(poller, strict=True)
        assert exposures.inputs == (one, two)
        assert exposures[1:].inputs == exposures.with_records(exposures).inputs == (one, two)

    def test_the_order_of_folders(self, make, tmp_path, monkeypatch):
        name = "ia0a01aaq_flc.fits"
        pool = tmp_path / "pool" / "ia0a" / "ia0a01aaq"
        pool.parent.mkdir(parents=True)
        places = [tmp_path / "here", tmp_path / "beside", tmp_path / "named", pool]
        for place in places:
            make(directory=place, shape=(6, 5), tables=False)
        monkeypatch.setenv("DATA_PATH", str(tmp_path / "pool"))
        poller = listed(
            tmp_path / "beside" / "x.out", EIGHT.format(name=name, path=places[2] / name)
        )
        for place in places:
            assert read_inputs(poller)[0].url == str(place / name)
            (place / name).unlink()
        (entry,) = read_inputs(poller)
        assert "s3://stpubdata/hst/public/ia0a/ia0a01aaq/ia0a01aaq_flc.fits" in str(entry.error)

    def test_the_path_may_be_a_folder_or_an_address(self, files, tmp_path):
        poller = listed(
            tmp_path / "x.out",
            EIGHT.format(name=files[0].name, path=files[0].parent),
            EIGHT.format(name="ia0a09aaq_flc.fits", path="http://host/ia0a09aaq_flc.fits"),
        )
        urls = [e.url for e in read_inputs(poller)]
        assert urls == [str(files[0]), "http://host/ia0a09aaq_flc.fits"]

    def test_rootnames_and_packed_files(self, files, tmp_path):
        packed = files[1].with_name(f"{files[1].name}.gz")
        packed.write_bytes(gzip.compress(files[1].read_bytes()))
        files[1].unlink()
        poller = listed(tmp_path / "data" / "x.txt", "IA0A01AAQ", files[1].name)
        assert [e.url for e in read_inputs(poller)] == [str(files[0]), str(packed)]
        assert len(open_exposures(poller, strict=True)) == 2

    def test_bad_lines_are_told_and_the_rest_opened(self, files, tmp_path):
        poller = listed(
            tmp_path / "x.out",
            EIGHT.format(name=files[0].name, path=files[0]),
            "a.fits,b,c",
            files[1].name,
            EIGHT.format(name="ia0a07aaq_flc.fits", path="/nowhere/ia0a07aaq_flc.fits"),
            EIGHT.format(name="", path=files[1]),
            EIGHT.format(name=files[2].name, path=files[2]),
        )
        exposures = open_exposures(poller)
        assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a03aaq"]
        told = {url: v.reason for url, v in exposures.verdicts if v.status == "rejected"}
        assert "3 columns" in told[f"{poller} (line 2)"]
        assert "the first line has 8" in told[f"{poller} (line 3)"]
        assert f"line 4 of {poller} names it" in told["ia0a07aaq_flc.fits"]
        assert "no file is named" in told[f"{poller} (line 5)"]
        with pytest.raises(InputError, match="3 columns") as caught:
            open_exposures(poller, strict=True)
        assert (caught.value.path, caught.value.ext) == (str(poller), "line 2")
        assert caught.value.remedy

    @pytest.mark.parametrize("name", ["ftp://host/x_flc.fits", "ia0a07aaq_flc_v2.fits"])
    def test_a_name_that_cannot_be(self, files, tmp_path, name):
        poller = listed(tmp_path / "x.out", str(files[0]), name, str(files[1]))
        exposures = open_exposures(poller)
        assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a02aaq"]
        assert "line 2" in exposures.verdicts[1][0] + exposures.verdicts[1][1].reason
        at_list = listed(tmp_path / "y", str(files[0]), f"{files[1]} {name}", str(files[2]))
        assert [e.name for e in open_exposures(f"@{at_list}")] == ["ia0a01aaq", "ia0a03aaq"]

    def test_a_path_that_cannot_be(self, files, tmp_path):
        row = EIGHT.format(name="ia0a07aaq_flc.fits", path="ftp://host/x")
        good = EIGHT.format(name=files[0].name, path=files[0])
        exposures = open_exposures(listed(tmp_path / "x.out", row, good))
        assert [e.name for e in exposures] == ["ia0a01aaq"]
        assert "ftp:// cannot be read" in exposures.verdicts[0][1].reason

    def test_a_line_without_end(self, files, tmp_path):
        poller = listed(tmp_path / "x.out", str(files[0]), "a" * 200_000)
        assert "neither FITS nor" in reasons(read_inputs(poller))[0]

    @pytest.mark.parametrize("columns", [3, 7, 9, 11])
    def test_a_wrong_number_of_columns(self, tmp_path, columns):
        poller = listed(tmp_path / "x.out", ",".join("x" * columns))
        (reason,) = reasons(read_inputs(poller))
        assert f"{columns} columns; a poller has 1 (names), 2" in reason

    def test_a_wrong_word_for_new(self, files, tmp_path):
        line = TEN.format(name=files[0].name, path=files[0], cell="c", new="1")
        (reason,) = reasons(read_inputs(listed(tmp_path / "x.out", line)))
        assert "NEW or OLD" in reason

    @pytest.mark.parametrize("content", [b"", b"\n\n# nothing\n", b"a\0b", b"\xff\xfe\x00junk"])
    def test_empty_or_no_text(self, files, tmp_path, content):
        poller = tmp_path / "x.out"
        poller.write_bytes(content)
        exposures = open_exposures([poller, files[0]])
        assert len(exposures) == 1
        path, verdict = exposures.verdicts[0]
        assert path == str(poller)
        assert "the list is empty" in verdict.reason or "neither FITS nor" in verdict.reason

    def test_a_list_that_is_not_there(self, files, tmp_path):
        exposures = open_exposures([tmp_path / "none.out", f"@{tmp_path}/none", files[0]])
        assert [v.status for _, v in exposures.verdicts] == ["rejected", "rejected", "accepted"]


class TestAtLists:
    def test_with_maps(self, files, tmp_path):
        (tmp_path / "data" / "map.fits").write_bytes(b"any")
        at_list = listed(tmp_path / "data" / "in", f"{files[1].name}  map.fits", files[0].name)
        entries = read_inputs(f"@{at_list}")
        assert [e.ivm for e in entries] == [str(tmp_path / "data" / "map.fits"), None]
        exposures = open_exposures(f"@{at_list}")
        assert exposures.ivm_maps == {"ia0a02aaq": str(tmp_path / "data" / "map.fits")}

    def test_bad_lines(self, files, tmp_path):
        at_list = listed(tmp_path / "in", f"{files[0]} no.fits", "a b c", "no.fits", str(files[1]))
        exposures = open_exposures(f"@{at_list}")
        assert [e.name for e in exposures] == ["ia0a02aaq"]
        told = [v.reason for _, v in exposures.verdicts]
        assert "line 1" in told[0]
        assert "3 words" in told[1]
        assert "line 3" in told[2]


def association(path, rows, **cards):
    """Write an association table; a row is MEMNAME, MEMTYPE, MEMPRSNT."""
    names, types, present = zip(*rows, strict=True)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("MEMNAME", "14A", array=names),
            fits.Column("MEMTYPE", "14A", array=types),
            fits.Column("MEMPRSNT", "L", array=present),
        ],
        name="ASN",
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


ROWS = [
    ("IA0A01AAQ", "EXP-DTH", True),
    ("IA0A02AAQ", "EXP-DTH", True),
    ("IA0A09AAQ", "EXP-DTH", False),
    ("IA0A01010", "PROD-DTH", True),
]


class TestAssociations:
    def test_its_exposures_and_product(self, files, tmp_path):
        asn = association(tmp_path / "data" / "ia0a01010_asn.fits", ROWS)
        one, two, lost = read_inputs(asn)
        assert (one.url, one.product) == (str(files[0]), "ia0a01010")
        assert two.url == str(files[1])
        assert "nor was it there when the association was made" in str(lost.error)
        exposures = open_exposures(asn)
        assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a02aaq"]
        reason = dict(exposures.verdicts)["ia0a09aaq"].reason
        assert "member IA0A09AAQ of" in reason
        assert "s3://stpubdata/hst/public/ia0a/ia0a09aaq/ia0a09aaq_flc.fits" in reason
        with pytest.raises(InputError, match="no such file"):
            open_exposures(asn, strict=True)

    def test_named_by_a_poller(self, files, tmp_path):
        association(tmp_path / "data" / "ia0a01010_asn.fits", ROWS[:2])
        poller = listed(tmp_path / "data" / "x.out", "ia0a01010_asn.fits", files[2].name)
        assert [e.name for e in open_exposures(poller)] == ["ia0a01aaq", "ia0a02aaq", "ia0a03aaq"]

    def test_an_flc_goes_before_its_flt(self, files, make, tmp_path):
        make("ia0a01aaq", suffix="flt", directory=tmp_path / "data")
        asn = association(tmp_path / "data" / "x_asn.fits", ROWS[:1])
        assert read_inputs(asn)[0].url == str(files[0])

    def test_a_member_with_its_suffix(self, files, make, tmp_path):
        flt = make("ia0a01aaq", suffix="flt", directory=tmp_path / "data")
        asn = association(tmp_path / "data" / "x_asn.fits", [("IA0A01AAQ_FLT", "EXP-DTH", True)])
        assert read_inputs(asn)[0].url == str(flt)

    @pytest.mark.parametrize("name", ["../IA0A01AAQ", "/etc/passwd", "http://h/a", "s3://b/k"])
    def test_members_lead_nowhere_else(self, files, tmp_path, name):
        asn = association(tmp_path / "data" / "x_asn.fits", [(name, "EXP-DTH", True), ROWS[1]])
        entries = read_inputs(asn)
        assert "is no name of an exposure" in str(entries[0].error)
        assert entries[1].url == str(files[1])

    def test_packed(self, files, tmp_path):
        asn = association(tmp_path / "data" / "x_asn.fits", ROWS[:1])
        packed = tmp_path / "data" / "y_asn.fits.gz"
        packed.write_bytes(gzip.compress(asn.read_bytes()))
        assert len(open_exposures(packed, strict=True)) == 1

    def test_without_exposures(self, tmp_path):
        asn = association(tmp_path / "x_asn.fits", ROWS[-1:])
        assert "no exposure" in reasons(read_inputs(asn))[0]

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            (b"MEMNAME", b"OTHERNA", "no table"),
            (b"MEMTYPE", b"OTHERTY", "no column MEMTYPE"),
            (b"'14A     '", b"'zzz     '", "no table"),
            (b"SIMPLE", b"COMPLE", "not a FITS"),
            (b"BINTABLE", b"IMAGEXXX", "no table"),
        ],
    )
    def test_broken(self, files, tmp_path, spoil, old, new, match):
        asn = association(tmp_path / "x_asn.fits", ROWS)
        spoil(asn, old, new)
        exposures = open_exposures([asn, files[0]])
        assert len(exposures) == 1
        assert match in exposures.verdicts[0][1].reason


class TestOthers:
    @pytest.mark.parametrize("address", ["ftp://host/a.fits", "@ftp://host/in", "a\0b.fits"])
    def test_an_impossible_address_loses_only_itself(self, files, address):
        exposures = open_exposures([files[0], address, files[1]])
        assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a02aaq"]
        assert exposures.verdicts[1][1].status == "rejected"
        with pytest.raises(InputError):
            open_exposures([files[0], address], strict=True)

    def test_names_with_commas_between(self, files):
        text = f"{files[1]}, {files[0]}"
        assert [e.url for e in read_inputs(text)] == [str(files[1]), str(files[0])]

    def test_a_path_with_a_comma(self, make, tmp_path):
        path = make(directory=tmp_path / "a,b")
        assert read_inputs(str(path)) == [Input(str(path))]

    def test_a_rootname_here(self, make, tmp_path):
        path = make(directory=tmp_path / "here")
        assert read_inputs("ia0a01aaq") == [Input(str(path))]

    def test_everything_together(self, files, tmp_path):
        at_list = listed(tmp_path / "in", str(files[2]))
        given = [files[0], f"@{at_list}", f"{tmp_path}/data/*02*.fits", "https://host/x_flt.fits"]
        urls = [e.url for e in read_inputs(given)]
        assert urls == [
            str(files[0]),
            str(files[2]),
            str(files[1]),
            "https://host/x_flt.fits",
        ]

    def test_hap_names(self, make, tmp_path):
        name = "hst_12345_0a_wfc3_uvis_f606w_ia0a01aa_flc.fits"
        make().rename(tmp_path / name)
        (record,) = open_exposures(tmp_path / name)
        assert (record.name, record.visit, record.suffix) == ("ia0a01aaq", "ia0a01", "flc")
        make(primary={"ROOTNAME": None}).rename(tmp_path / name)
        assert open_exposures(tmp_path / name)[0].name == "ia0a01aa"


class TestTwice:
    """A file given by several ways is one exposure; what lists say of it is put together."""

    def test_an_association_and_its_member(self, files):
        table = files[0].parent / "ia0a00010_asn.fits"
        names = [file.name[:9].upper() for file in files]
        columns = [
            fits.Column("MEMNAME", "14A", array=[*names, "IA0A00010"]),
            fits.Column("MEMTYPE", "14A", array=["EXP-DTH"] * 3 + ["PROD-DTH"]),
        ]
        hdu = fits.BinTableHDU.from_columns(columns)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(table)
        for given in ([table, files[1]], [files[1], table], [f"{files[1]},{table}", table]):
            exposures = open_exposures(given, strict=True)
            assert len(exposures) == len(exposures.verdicts) == 3
            assert exposures.product == "ia0a00010"

    def test_links_and_patterns(self, files, tmp_path, monkeypatch):
        link = tmp_path / "linked_flc.fits"
        link.symlink_to(files[0])
        monkeypatch.chdir(files[0].parent)
        given = [files[0], link, "*_flc.fits", f"./{files[2].name}", "ia0a02aaq"]
        assert [e.url for e in read_inputs(given)] == [str(file) for file in files]

    def test_maps_of_one_list_and_cells_of_another(self, files, tmp_path):
        maps = listed(tmp_path / "maps", f"{files[0]} {files[1]}")
        cells = listed(
            tmp_path / "cells.out",
            TEN.format(name=files[0].name, path=files[0], cell="skycell-p1889x07y19", new="OLD"),
        )
        (entry,) = read_inputs([files[0], f"@{maps}", cells])
        assert entry.ivm == str(files[1])
        assert entry.skycells == ("skycell-p1889x07y19",)

    def test_a_contradiction_is_told(self, files, tmp_path):
        one, two = (listed(tmp_path / f"list{k}", f"{files[0]} {files[k]}") for k in (1, 2))
        exposures = open_exposures([f"@{one}", f"@{two}"])
        assert [verdict.status for _, verdict in exposures.verdicts] == ["accepted", "rejected"]
        assert "given twice, with ivm" in exposures.verdicts[1][1].reason
        assert exposures.ivm_maps == {exposures[0].name: str(files[1])}
        with pytest.raises(InputError, match="given twice"):
            open_exposures([f"@{one}", f"@{two}"], strict=True)

    def test_a_copy_is_another_file(self, files, make, tmp_path):
        copy = make("ia0a01aaq", shape=(6, 5), tables=False, directory=tmp_path / "copy")
        exposures = open_exposures([files[0], copy])
        assert "duplicate" in exposures.verdicts[1][1].reason
