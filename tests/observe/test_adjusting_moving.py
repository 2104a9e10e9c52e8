"""Moving targets: the target stands still, exposures move as a whole, bad tracks are told."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.errors import HapdaskError, InputError, ParameterError, PlanError
from hapdask.observe.adjusting.adjust import adjust
from hapdask.observe.adjusting.moving import follow_first, follow_track, rotation_between
from hapdask.observe.adjusting.track import Track, read_track
from hapdask.observe.exposure import open_exposures
from hapdask.simulate import Mode, Options, Pointing, Scene, Subarray, simulate_exposure
from hapdask.sky.tangent import sky_of, unit_vectors

SMALL = (40, 30)
ARCSEC = np.radians(1.0 / 3600.0)
START, STEP = 55611.25, 0.02  # MJD


def separation(a, b):
    """Angle of unit vectors, arcsec."""
    return np.linalg.norm(np.asarray(a) - np.asarray(b), axis=-1) / ARCSEC


def great_circle(mjd, rate=40.0, start=(150.25, 2.0), pole=(60.0, 40.0)):
    """Direction of a target that runs `rate` arcsec in a hundredth of a day, about a pole."""
    axis, first = unit_vectors(*pole), unit_vectors(*start)
    angle = (np.atleast_1d(mjd) - START) * 100.0 * rate * ARCSEC
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return first * cos + np.cross(axis, first) * sin + axis * (axis @ first) * (1 - cos)


def track_of(mjd, **options):
    return Track(mjd, *sky_of(great_circle(mjd, **options)))


def exposures_of(make, count=3, **options):
    paths = [
        make(
            f"ia0a0{k + 1}aaq",
            shape=SMALL,
            tables=False,
            primary={"EXPSTART": START + k * STEP, "EXPEND": START + k * STEP + 0.004, **options},
            science={"CRVAL1": 150.25 + 0.01 * k},
        )
        for k in range(count)
    ]
    return list(open_exposures(paths, select=False, strict=True))


class TestTrack:
    def test_a_smooth_path_between_its_rows(self):
        track = track_of(START + np.arange(9) * 0.01)
        times = START + np.linspace(0.0, 0.08, 101)
        found = np.array([track.at(t) for t in times])
        assert separation(found, great_circle(times)).max() < 1e-5
        assert np.allclose(np.linalg.norm(found, axis=1), 1.0)

    def test_curved_paths_are_not_taken_for_straight(self):
        """An ephemeris bends by the telescope's orbit: 10 arcsec in 96 minutes, a row a minute."""
        times = START + np.arange(100) / 1440.0

        def path(mjd):
            turns = 2.0 * np.pi * (np.asarray(mjd) - START) * 15.0
            return 150.0 + 10 / 3600.0 * np.sin(turns), 2.0 + 10 / 3600.0 * np.cos(turns)

        track = Track(times, *path(times))
        between = times[:-1] + 0.37 / 1440.0
        found = np.array([track.at(t) for t in between])
        assert separation(found, unit_vectors(*path(between))).max() < 1e-3

    @pytest.mark.parametrize("start", [(359.9999, 0.0), (10.0, 89.9999), (0.0, -89.9999)])
    def test_right_ascension_zero_and_poles(self, start):
        track = track_of(START + np.arange(5) * 0.01, start=start)
        times = START + np.linspace(0.0, 0.04, 33)
        found = np.array([track.at(t) for t in times])
        assert separation(found, great_circle(times, start=start)).max() < 1e-5

    def test_two_rows_are_a_line(self):
        track = track_of(START + np.array([0.0, 0.01]))
        assert separation(track.at(START + 0.005), great_circle(START + 0.005)[0]) < 1e-4

    def test_its_ends(self):
        track = Track([1.0, 2.0], [10.0, 11.0], [0.0, 1.0])
        assert track.sky_at(1.0) == pytest.approx((10.0, 0.0))
        for time in (0.999, 2.001):
            with pytest.raises(ParameterError, match=r"outside the track.*from 1.000000 to 2.0"):
                track.at(time)

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            (([1, 2], [3, 4], [5]), "different lengths"),
            (([1], [3], [5]), "two at least"),
            (([1, np.nan], [3, 4], [5, 6]), "row 2 has no finite mjd"),
            (([1, 2], [3, 4], [np.inf, 6]), "row 1 has no finite dec"),
            (([1, 2], [3, 4], [5, 91]), "91 degrees is no declination"),
            (([1, 1], [3, 4], [5, 6]), "row 2 is not later"),
            (([2, 1, 3], [3, 4, 5], [5, 6, 7]), "row 2 is not later.*sort it"),
            (([2455611.5, 2455612.5], [3, 4], [5, 6]), "are no MJD"),
        ],
    )
    def test_what_is_no_track(self, columns, words):
        with pytest.raises(ParameterError, match=words):
            Track(*columns)


TIMES = START + np.arange(4) * STEP
RA, DEC = sky_of(great_circle(TIMES))


class TestRead:
    def check(self, given, tolerance=1e-9):
        track = read_track(given)
        np.testing.assert_allclose(track.mjd, TIMES, rtol=0, atol=tolerance)
        np.testing.assert_allclose(track.ra, RA, rtol=0, atol=1e-12)
        np.testing.assert_allclose(track.dec, DEC, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("name", ["t.ecsv", "t.csv", "t.fits", "T.FITS"])
    def test_files(self, tmp_path, name):
        path = tmp_path / name
        form = {"ecsv": "ascii.ecsv", "csv": "ascii.csv", "fits": "fits"}[name[2:].lower()]
        Table({"MJD": TIMES, "RA": RA, "Dec": DEC}).write(path, format=form)
        self.check(path)
        self.check(str(path))

    def test_text_of_time(self, tmp_path):
        path = tmp_path / "t.csv"
        text = Time(TIMES, format="mjd").isot
        Table({"time": text, "ra": RA, "dec": DEC, "note": list("abcd")}).write(path)
        self.check(path, 1e-8)

    def test_columns_with_meaning(self, tmp_path):
        from astropy import units as u

        time = Time(TIMES, format="mjd", scale="utc")
        table = Table(
            {"time": time.tdb, "ra": (RA / 15.0) * u.hourangle, "dec": DEC * 3600 * u.arcsec}
        )
        self.check(table)
        table.write(tmp_path / "t.ecsv")
        self.check(tmp_path / "t.ecsv")

    def test_in_memory(self):
        self.check({"mjd": list(TIMES), "ra": RA, "dec": DEC})
        track = Track(TIMES, RA, DEC)
        assert read_track(track) is track

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ({"mjd": TIMES, "ra": RA}, "no column of dec; it has mjd, ra"),
            ({"mjd": TIMES, "time": TIMES, "ra": RA, "dec": DEC}, "mjd and time both of time"),
            ({"mjd": TIMES, "ra": ["10 11 12"] * 4, "dec": DEC}, "ra must be in degrees"),
            ({"time": ["yesterday"] * 4, "ra": RA, "dec": DEC}, "a time cannot be read"),
            ({"mjd": TIMES, "ra": RA[:2], "dec": DEC}, "no table"),
            (17, "neither a file nor a table"),
        ],
    )
    def test_wrong_tables(self, table, words):
        with pytest.raises(ParameterError, match=words):
            read_track(table)

    def test_a_wrong_unit(self):
        from astropy import units as u

        with pytest.raises(ParameterError, match="ra in m"):
            read_track(Table({"mjd": TIMES, "ra": RA * u.m, "dec": DEC}))

    def test_wrong_files(self, tmp_path):
        Table({"a": [1.0]}).write(tmp_path / "a.csv")
        (tmp_path / "b.fits").write_bytes(b"no table")
        (tmp_path / "c.csv").write_text("")
        (tmp_path / "d.csv").write_text("mjd,ra,dec\n55611.2,10,20\n55611.3,,20\n")
        (tmp_path / "e.txt").write_text("x")
        for name in ("a.csv", "b.fits", "c.csv", "d.csv", "e.txt", "absent.csv"):
            with pytest.raises(InputError) as caught:
                read_track(tmp_path / name)
            assert caught.value.path == str(tmp_path / name)
            assert caught.value.remedy


class TestRotation:
    def test_it_is_the_smallest_and_exact(self):
        rng = np.random.default_rng(5)
        for scale in (1.0, 1e-3, 1e-7, 0.0):
            start = rng.normal(size=3)
            end = start + scale * rng.normal(size=3)
            start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
            turn = rotation_between(start, end)
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-14)
            np.testing.assert_allclose(turn @ start, end, atol=1e-15)
            axis = np.cross(start, end)
            np.testing.assert_allclose(turn @ axis, axis, atol=1e-15)


class TestFollowTrack:
    def test_all_chips_turn_as_one_and_exactly(self, make):
        exposures = exposures_of(make)
        track = track_of(START + np.arange(8) * 0.01)
        moved = follow_track(exposures, track)
        assert moved[0] is exposures[0]
        rng = np.random.default_rng(2)
        x, y = rng.uniform(0, 30, 50), rng.uniform(0, 40, 50)
        target = track.at(exposures[0].mid_mjd)
        for old, new in zip(exposures[1:], moved[1:], strict=True):
            turn = rotation_between(track.at(old.mid_mjd), target)
            for before, after in zip(old.chips, new.chips, strict=True):
                expected = unit_vectors(*before.distortion.pixel_to_sky(x, y)) @ turn.T
                found = unit_vectors(*after.distortion.pixel_to_sky(x, y))
                assert separation(found, expected).max() < 1e-8
                assert after.distortion.pixel_scale == pytest.approx(
                    before.distortion.pixel_scale, rel=1e-14
                )
            assert new.digest != old.digest
            for before, after in zip(old.footprint.polygons, new.footprint.polygons, strict=True):
                turned = unit_vectors(*before) @ turn.T
                assert separation(unit_vectors(*after), turned).max() < 1e-8

    def test_verdicts_tell_what_was_moved(self, make):
        exposures = exposures_of(make)
        moved = follow_track(exposures, track_of(START + np.arange(8) * 0.01))
        assert [e.verdict.status for e in moved] == ["accepted", "warning", "warning"]
        assert "moved by 79.985 arcsec along the track" in moved[1].verdict.reason
        assert "moved by 159.971 arcsec" in moved[2].verdict.reason

    def test_a_track_that_is_too_short_names_the_exposure(self, make):
        exposures = exposures_of(make)
        with pytest.raises(
            ParameterError, match=r"ia0a03aaq.*outside the track.*leave the exposure"
        ):
            follow_track(exposures, track_of(START + np.arange(4) * 0.01))

    def test_a_target_at_rest_moves_nothing(self, make):
        exposures = exposures_of(make)
        still = Track(START + np.array([0.0, 1.0]), [150.0, 150.0], [2.0, 2.0])
        for old, new in zip(exposures, follow_track(exposures, still), strict=True):
            for before, after in zip(old.chips, new.chips, strict=True):
                np.testing.assert_allclose(
                    after.distortion.crval, before.distortion.crval, rtol=1e-15
                )
                np.testing.assert_allclose(after.distortion.cd, before.distortion.cd, rtol=1e-12)

    def test_near_a_pole(self, make):
        paths = [
            make(
                f"ia0a0{k}aaq", shape=SMALL, tables=False,
                primary={"EXPSTART": START + k * STEP, "EXPEND": START + k * STEP},
                science={"CRVAL1": 80.0 * k, "CRVAL2": 89.99},
            )
            for k in (0, 1)
        ]  # fmt: skip
        exposures = list(open_exposures(paths, strict=True))
        track = track_of(START + np.arange(5) * 0.01, start=(0.0, 89.99), pole=(90.0, 0.0))
        moved = follow_track(exposures, track)[1]
        turn = rotation_between(*(track.at(e.mid_mjd) for e in exposures[::-1]))
        x, y = np.array([0.0, 29.0]), np.array([0.0, 39.0])
        old = unit_vectors(*exposures[1].chips[0].distortion.pixel_to_sky(x, y)) @ turn.T
        new = unit_vectors(*moved.chips[0].distortion.pixel_to_sky(x, y))
        assert separation(new, old).max() < 1e-8


class TestFollowFirst:
    def test_later_ones_take_the_wcs_of_the_first(self, make):
        exposures = exposures_of(make, MTFLAG="T")
        moved = follow_first(exposures)
        assert moved[0] == exposures[0]
        for old, new in zip(exposures[1:], moved[1:], strict=True):
            assert new.name == old.name
            assert [c.sci for c in new.chips] == [c.sci for c in old.chips]
            first = [c.distortion for c in exposures[0].chips]
            assert [c.distortion for c in new.chips] == first
            assert new.footprint == exposures[0].footprint
            assert new.digest not in (old.digest, exposures[0].digest)
            assert "onto the WCS of ia0a01aaq" in new.verdict.reason
        assert "moved by 35.978 arcsec" in moved[1].verdict.reason

    @pytest.mark.parametrize("flag", [" ", "F", False, None])
    def test_fixed_targets_stay(self, make, flag):
        exposures = exposures_of(make, MTFLAG=flag)
        assert follow_first(exposures) == tuple(exposures)

    def test_a_boolean_flag(self, make):
        exposures = exposures_of(make, MTFLAG=True)
        assert follow_first(exposures)[1].footprint == exposures[0].footprint

    def test_only_those_flagged(self, make):
        """Upstream goes on with a blank flag after a set one: a slip."""
        fixed, first = exposures_of(make, 2)
        moving = exposures_of(make, MTFLAG="T")[2]
        again = exposures_of(make)[0]
        (later,) = exposures_of(make, 1, MTFLAG="T")
        found = follow_first([fixed, moving, first, later, again])
        assert [found[k] for k in (0, 1, 2, 4)] == [fixed, moving, first, again]
        assert found[3].footprint == moving.footprint

    def test_chips_that_do_not_fit(self, make):
        first, second = exposures_of(make, 2, MTFLAG="T")
        options = {"primary": {"MTFLAG": "T"}, "tables": False}
        other = make("ia0a09aaq", shape=(50, 30), **options)
        for pair in ((first, other), (make("ia0a08aaq", shape=SMALL, chips=1, **options), second)):
            both = [
                open_exposures(e, select=False)[0] if not hasattr(e, "chips") else e for e in pair
            ]
            with pytest.raises(PlanError, match=r"its chip SCI,[12] .*give the target's track"):
                follow_first(both)

    def test_a_track_wins(self, make):
        exposures = exposures_of(make, MTFLAG="T")
        track = track_of(START + np.arange(8) * 0.01)
        parameters = AstroDrizzleParameters()
        assert adjust(exposures, parameters, track=track) == follow_track(exposures, track)
        assert adjust(exposures, parameters) == follow_first(exposures)
        with pytest.raises(HapdaskError):
            adjust(exposures, parameters, track="nowhere.csv")


def test_a_comet_comes_to_lie_on_itself(tmp_path):
    """Simulated UVIS exposures, dithered and turned, of a star that moves by 1.36 arcsec."""
    mode = Mode(subarray=Subarray(2, 2100, 500, 300, 260))
    pointings = (
        Pointing(201.3, -47.2, 77.0, "2010-05-01T00:00:00"),
        Pointing(201.3, -47.2, 79.0, "2010-05-01T00:30:00", dither=(0.7, -0.4)),
    )
    first = simulate_exposure(
        Scene.stars([], [], []), "WFC3", "UVIS", "F606W", pointings[0], 100.0, seed=1, mode=mode,
        options=Options.noise_free(sky=None),
    )  # fmt: skip
    (chip,) = open_exposures(first.write(tmp_path / "probe"))[0].chips
    ra, dec = (
        float(v[0]) for v in chip.distortion.pixel_to_sky(np.array([150.2]), np.array([131.7]))
    )
    rate = np.array([1.1, -0.8]) / 3600.0 * 48.0  # degrees a day
    day = Time(pointings[0].date).mjd

    def path(mjd):
        t = np.asarray(mjd) - day
        return ra + rate[0] * t / np.cos(np.radians(dec)), dec + rate[1] * t

    found = []
    exposures = []
    for k, pointing in enumerate(pointings):
        middle = Time(pointing.date).mjd + 50.0 / 86400.0
        made = simulate_exposure(
            Scene.stars(*([v] for v in path(middle)), [15.0]), "WFC3", "UVIS", "F606W", pointing,
            100.0, seed=k, mode=mode, options=Options.noise_free(sky=None),
        )  # fmt: skip
        file = made.write(tmp_path)
        (exposure,) = open_exposures(file, strict=True)
        assert exposure.mid_mjd == pytest.approx(middle, abs=1e-6)
        exposures.append(exposure)
        found.append(centroid(fits.getdata(file, ("SCI", 1))))
    times = day + np.arange(-1, 5) * 0.01
    moved = adjust(exposures, AstroDrizzleParameters(), track={"mjd": times, **named(path(times))})

    def places(records):
        return [
            unit_vectors(*r.chips[0].distortion.pixel_to_sky(*np.array(xy)[:, None]))[0]
            for r, xy in zip(records, found, strict=True)
        ]

    assert separation(*places(exposures)) == pytest.approx(1.36, abs=0.02)
    assert separation(*places(moved)) < 0.002


def named(position):
    return dict(zip(("ra", "dec"), position, strict=True))


def centroid(image):
    """Flux-weighted middle of the only star, about its brightest pixel: x, y."""
    y0, x0 = np.unravel_index(np.argmax(image), image.shape)
    box = image[y0 - 12 : y0 + 13, x0 - 12 : x0 + 13].astype(float)
    y, x = np.mgrid[-12:13, -12:13]
    return x0 + (box * x).sum() / box.sum(), y0 + (box * y).sum() / box.sum()
