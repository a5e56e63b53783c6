"""Results that are several files replace what an earlier export left, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_asset import finned_tube

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.export.staging import result_folder, staged
from animate3d.files import read_json


def write(path: Path, **textures: str) -> None:
    with staged(path) as plain:
        (plain.parent / "kept_textures").mkdir()
        for name, content in textures.items():
            (plain.parent / "kept_textures" / f"{name}.png").write_text(content)
        plain.write_text("scene")


def test_side_files_of_others_stay_and_ones_own_are_replaced(tmp_path: Path) -> None:
    side = tmp_path / "kept_textures"
    side.mkdir()
    (side / "mine.png").write_text("mine")
    write(tmp_path / "kept.usda", wood="oak", stone="slate")
    write(tmp_path / "kept.usdc", wood="elm")
    assert {path.name: path.read_text() for path in side.glob("*.png")} == {"mine.png": "mine", "wood.png": "elm"}
    with pytest.raises(InputError, match=r"mine\.png is there already .*; give other\.usda another name"):
        write(tmp_path / "other.usda", mine="another", wood="ash")
    assert (side / "wood.png").read_text() == "elm" and not (tmp_path / "other.usda").exists()


def test_a_folder_is_replaced_only_if_all_of_it_is_of_an_export(tmp_path: Path) -> None:
    folder = tmp_path / "walk.obj"
    for name in ("first.obj", "second.obj"):
        with result_folder(folder, "sequence.json", {"frames": 1}) as temporary:
            (temporary / name).write_text(name)
    assert {path.name for path in folder.iterdir()} == {"second.obj", "sequence.json"}
    (folder / "notes.txt").write_text("mine")
    refused = pytest.raises(InputError, match=r"walk\.obj holds notes\.txt, which no export has written")
    with refused, result_folder(folder, "sequence.json", {"frames": 1}):
        raise AssertionError("it is refused before any work")
    assert (folder / "second.obj").is_file() and (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", ["obj", "vat"])
def test_exports_to_a_users_own_folder_are_refused(suffix: str, tmp_path: Path) -> None:
    mesh, target = finned_tube(), tmp_path / f"mine.{suffix}"
    motion = np.repeat(mesh.vertices[None], 2, axis=0)
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds mine\.txt"):
        export(mesh, motion, target)
    (target / "mine.txt").rename(tmp_path / "mine.txt")
    for _ in range(2):
        export(mesh, motion, target)
    record = "sequence.json" if suffix == "obj" else "animation.json"
    assert set(read_json(target / record)["files"]) == {path.name for path in target.iterdir()}
