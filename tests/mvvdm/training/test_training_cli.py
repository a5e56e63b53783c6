"""`train.py`: one training at a time in a folder, and what is refused before several processes are started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from animate3d.errors import InputError
from animate3d.lock import LOCK, alone_in
from animate3d.mvvdm.training import loop
from animate3d.mvvdm.training.cli import main

ROOT = Path(__file__).resolve().parents[3]


def test_a_second_training_in_the_same_folder_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with alone_in(tmp_path / "run"):
        for more in ([], ["resume_from_checkpoint=latest"], ["--check"]):
            with pytest.raises(InputError, match=r"run is in use: process \d+ .*Wait for it, or give another `name`\."):
                main([*arguments, *more])
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]
        assert main([*arguments, "name=other"]) == 0
    assert not (tmp_path / "other" / LOCK).exists()
    with alone_in(tmp_path / "debug"), pytest.raises(InputError, match="or give another `output_dir`"):
        main([*arguments, "is_debug=true"])
    monkeypatch.setenv("RANK", "1")  # of several processes the first has the lock for all
    monkeypatch.setattr(loop, "Trainer", lambda config: pytest.fail("got here"))
    with alone_in(tmp_path / "run"), pytest.raises(pytest.fail.Exception, match="got here"):
        main(arguments)


def test_a_new_debug_run_keeps_its_own_lock(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debug = [*arguments, "is_debug=true"]
    assert main(debug) == 0
    (tmp_path / "debug" / "of_the_run_before").touch()
    inside: list[set[str]] = []
    monkeypatch.setattr(loop.Trainer, "run", lambda self: inside.append({p.name for p in self.config.folder.iterdir()}))
    assert main(debug) == 0
    assert LOCK in inside[0] and "of_the_run_before" not in inside[0]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "validation_data.image_root=nowhere",
            r"`validation_data\.image_root` is nowhere, and there is no such folder of condition images: give one that "
            r"holds red_0\.png .*validation_data\.prompts=\[\] validation_data\.images=\[\]",
        ),
        (
            "train_data.info_path=nowhere.json",
            r"`train_data\.info_path`: The list of clips nowhere\.json does not exist",
        ),
    ],
)
def test_a_check_names_the_setting_and_leaves_nothing(
    arguments: list[str], tmp_path: Path, override: str, sentence: str
) -> None:
    assert main([*arguments, "validation_epoch=1", "--check"]) == 0
    with pytest.raises(InputError, match=sentence):
        main([*arguments, "validation_epoch=1", override, "--check"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_before_several_processes_are_started_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    command = ["bash", str(ROOT / "train.sh"), "1", "2", "train"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("error: `validation_data.image_root` is examples/images, and there is no such folder")
