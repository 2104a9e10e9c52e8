"""The recipe behind the commands: inputs that break on the way, and its exports."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from hapdask.errors import InputError, PlanError, StoreError
from hapdask.observe.exposure import open_exposures
from hapdask.recipes.batch import Request, plan_batch, run_batch
from hapdask.recipes.stamps import Stamps, stamp_of
from hapdask.sky.frame import Frame


@pytest.fixture
def copies(small_field, tmp_path):
    """Both IR exposures, as files that may be spoilt."""
    folder = tmp_path / "data"
    folder.mkdir()
    return [shutil.copy(path, folder) for path in small_field.ir]


@pytest.fixture
def request_(small_field, tmp_path):
    frame = Frame.from_center(small_field.ra, small_field.dec, 0.2, (60, 60))
    return Request(out=tmp_path / "out", frame=frame, name="field", tile=64)


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(1_000_000)


class TestInputsThatBreak:
    def test_while_they_are_measured(self, copies, request_):
        exposures = open_exposures(copies)
        truncate(copies[0])
        batch = plan_batch(exposures, request_)
        assert [item.file for item in batch.left_out] == [str(copies[0])]
        assert "has changed since it was opened" in batch.left_out[0].reason
        assert batch.left_out[0].remedy
        assert [e.name for e in batch.jobs[0].plan.exposures] == ["itst0201q"]
        with pytest.raises(InputError, match="has changed"):
            plan_batch(exposures, replace(request_, strict=True))

    def test_all_of_them(self, copies, request_):
        exposures = open_exposures(copies)
        for path in copies:
            truncate(path)
        with pytest.raises(
            PlanError, match=r"no exposure can be used; for example .*itst0101q_flt\.fits"
        ):
            plan_batch(exposures, request_)

    def test_while_they_are_drizzled(self, copies, request_):
        batch = plan_batch(open_exposures(copies), request_)
        truncate(copies[0])
        report = run_batch(batch)
        assert [item.file for item in report.left_out] == [str(copies[0])]
        (result,) = report.results
        assert [e.name for e in result.job.plan.exposures] == ["itst0201q"]
        assert [file.kind for file in report.files] == ["fits", "jpg", "thumbnail"]
        with pytest.raises(InputError):
            run_batch(replace(batch, request=replace(request_, strict=True)))
        truncate(copies[1])
        with pytest.raises(PlanError, match="nothing can be made"):
            run_batch(replace(batch, request=replace(request_, out=request_.out / "other")))


class TestStamps:
    def test_a_file_is_fresh_until_it_or_its_stamp_changes(self, tmp_path):
        stamps = Stamps(tmp_path / "new")
        stamps.write("a.txt", "one", lambda path: path.write_text("hello"))
        assert stamps.fresh("a.txt", "one")
        assert not stamps.fresh("a.txt", "two")
        assert not stamps.fresh("b.txt", "one")
        again = Stamps(tmp_path / "new")
        assert again.fresh("a.txt", "one")
        (tmp_path / "new/a.txt").write_text("longer than it was")
        assert not again.fresh("a.txt", "one")
        (tmp_path / "new/a.txt").unlink()
        assert not again.fresh("a.txt", "one")

    def test_files_written_together_are_fresh_together(self, tmp_path):
        def write(path):
            path.write_text("one")
            (tmp_path / "b.txt").write_text("two")

        stamps = Stamps(tmp_path)
        stamps.write("a.txt", "one", write, ["b.txt"])
        assert stamps.fresh("a.txt", "one", ["b.txt"])
        (tmp_path / "b.txt").write_text("of another making")
        assert not stamps.fresh("a.txt", "one", ["b.txt"])
        stamps.write("a.txt", "one", write, ["b.txt"])
        (tmp_path / "b.txt").unlink()
        assert not Stamps(tmp_path).fresh("a.txt", "one", ["b.txt"])

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 9, "entries": {}}', "null"])
    def test_a_damaged_note_only_costs_time(self, tmp_path, content):
        Stamps(tmp_path).write("a.txt", "one", lambda path: path.write_text("hello"))
        (tmp_path / ".exports.json").write_text(content)
        stamps = Stamps(tmp_path)
        assert not stamps.fresh("a.txt", "one")
        stamps.write("a.txt", "one", lambda path: path.write_text("hello"))
        assert json.loads((tmp_path / ".exports.json").read_text())["entries"]["a.txt"]

    def test_values(self, tmp_path):
        stamps = Stamps(tmp_path)
        stamps.remember("box", "one", [1, 2])
        assert Stamps(tmp_path).value("box", "one") == [1, 2]
        assert stamps.value("box", "two") is None
        assert stamps.value("other", "one") is None

    def test_a_failed_write_leaves_no_stamp(self, tmp_path):
        def fail(path):
            raise StoreError("full")

        stamps = Stamps(tmp_path)
        with pytest.raises(StoreError):
            stamps.write("a.txt", "one", fail)
        assert not stamps.fresh("a.txt", "one")

    def test_stamps_differ_by_content(self):
        assert stamp_of("a", 1) != stamp_of("a", 2) != stamp_of("a1")
