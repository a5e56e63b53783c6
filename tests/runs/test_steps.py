"""Steps run once, again when something changed, and continue when they were cut off."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from animate3d.errors import InputError
from animate3d.progress import BESIDE
from animate3d.runs.steps import Steps


class Work:
    """An action that writes ``result`` and counts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.said = folder, [], []

    def run(self, fail: BaseException | None = None, **changed: object) -> object:
        def action(resuming: bool = False) -> dict[str, object]:
            self.calls.append(resuming)
            if fail is not None:
                raise fail
            (self.folder / "result").write_text("done")
            return {"number": len(self.calls)}

        given = {"inputs": {"source": self.folder / "source"}, "settings": {"fps": 8.0}}
        steps = Steps(self.folder, self.said.append)
        outputs = [self.folder / "result"]
        return steps.run("fit", action, resume=lambda: action(True), outputs=outputs, **(given | changed))  # type: ignore[arg-type]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "source").write_text("one")
    return Work(tmp_path)


def test_an_unchanged_step_is_skipped_and_gives_its_facts(work: Work) -> None:
    assert work.run() == {"number": 1} == work.run()
    assert work.calls == [False] and work.said[-1] == "· fit up to date"


@pytest.mark.parametrize("change", ["content", "setting", "output", "hash"])
def test_a_step_runs_again_when_something_changed(work: Work, change: str) -> None:
    work.run()
    if change == "content":
        (work.folder / "source").write_text("two")
        work.run()
    elif change == "setting":
        work.run(settings={"fps": 9.0})
    elif change == "hash":
        work.run(inputs={"source": "a hash that is known already"})
    else:
        (work.folder / "result").unlink()
        work.run()
    assert work.calls == [False, False]


def test_a_touched_but_equal_input_does_not_matter(work: Work) -> None:
    work.run()
    (work.folder / "source").write_text("one")
    work.run()
    assert len(work.calls) == 1


def test_a_step_that_was_cut_off_is_told_to_continue(work: Work) -> None:
    with pytest.raises(KeyboardInterrupt):
        work.run(fail=KeyboardInterrupt())
    assert json.loads((work.folder / "run.json").read_text())["steps"]["fit"]["state"] == "started"
    work.run()
    work.run()
    assert work.calls == [False, True]


def test_other_settings_start_over_instead_of_continuing(work: Work) -> None:
    with pytest.raises(KeyboardInterrupt):
        work.run(fail=KeyboardInterrupt())
    work.run(settings={"fps": 9.0})
    assert work.calls == [False, False]


def test_a_step_without_its_result_is_an_error_and_not_done(work: Work) -> None:
    with pytest.raises(InputError, match=r"ended without its result .*result"):
        Steps(work.folder).run("fit", lambda: None, outputs=[work.folder / "result"])
    assert json.loads((work.folder / "run.json").read_text())["steps"]["fit"]["state"] == "started"


def test_the_record_holds_hashes_settings_versions_time_and_memory(work: Work) -> None:
    Steps(work.folder).describe(seed=3, mesh=Path("a") / "b.obj")
    work.run()
    record = json.loads((work.folder / "run.json").read_text())
    step = record["steps"]["fit"]
    assert record["seed"] == 3 and record["mesh"] == str(Path("a/b.obj").absolute())
    assert {"animate3d", "python", "torch", "numpy"} <= record["versions"].keys()
    assert step["state"] == "done" and step["outputs"] == ["result"] and step["settings"] == {"fps": 8.0}
    assert len(step["inputs"]["source"]) == 64 and step["seconds"] >= 0 and step["peak_memory_mb"] > 10


def test_a_damaged_record_is_said_and_everything_runs_again(work: Work) -> None:
    work.run()
    (work.folder / "run.json").write_text("{")
    work.run()
    assert work.calls == [False, False] and "cannot be read" in " ".join(work.said)


@pytest.mark.parametrize("text", ["[]", '{"steps": 3}', '{"steps": {"fit": 1}}'])
def test_a_record_of_something_else_counts_as_none(work: Work, text: str) -> None:
    (work.folder / "run.json").write_text(text)
    work.run()
    assert work.calls == [False]


def test_a_missing_input_is_named(work: Work) -> None:
    with pytest.raises(InputError, match="source does not exist"):
        work.run(inputs={"source": work.folder / "nope" / "source"})


def test_a_step_is_one_line_that_tells_how_it_ended(work: Work) -> None:
    work.run()
    begun, done = work.said
    assert begun == "  fit …" and re.fullmatch(r"✓ fit \d+\.\d s", done)


def test_paths_of_the_record_lead_from_any_working_directory(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.folder.parent)
    work.folder = Path(work.folder.name)
    settings = {"inside": work.folder / "source", "outside": Path("elsewhere")}
    work.run(settings=settings)
    found = json.loads((work.folder / "run.json").read_text())["steps"]["fit"]["settings"]
    assert found == {"inside": "source", "outside": str(Path("elsewhere").absolute())}
    work.folder = work.folder.absolute()
    monkeypatch.chdir("/")
    work.run(settings={"inside": work.folder / "source", "outside": work.folder.parent / "elsewhere"})
    assert work.calls == [False]


@pytest.mark.parametrize("alone", [False, True])
def test_no_thread_works_beside_a_step_that_has_to_be_alone(tmp_path: Path, alone: bool) -> None:
    before, found = set(threading.enumerate()), list[str]()

    def look() -> None:
        found.extend(thread.name for thread in set(threading.enumerate()) - before)

    steps = Steps(tmp_path)
    steps.run("7 fbx", look, alone=alone)
    assert found == ([] if alone else [f"{BESIDE}meter"])
    assert steps.record["steps"]["7 fbx"]["peak_memory_mb"] > 10
