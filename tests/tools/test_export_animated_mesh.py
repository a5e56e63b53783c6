"""The documented step 7."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pxr import Usd, UsdGeom

from animate3d.errors import InputError
from animate3d.gaussians import from_mesh
from animate3d.meshes import Material, Mesh, Placement, load_mesh, save_obj
from animate3d.motion.trajectory import Trajectory

TOOL = Path(__file__).parents[2] / "tools" / "mesh_animation" / "export_animated_mesh.py"


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    """The tool's entry point, without another interpreter."""
    specification = importlib.util.spec_from_file_location("export_animated_mesh", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.main


@pytest.fixture
def asset(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """An object folder, its trajectory ``[3, 4, 3]`` in file coordinates, and the placed npy folder."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]])
    mesh = Mesh.from_faces(vertices, np.array([[0, 1, 2], [0, 2, 3]]), material=Material("m"))
    save_obj(mesh, tmp_path / "object")
    positions = vertices + np.arange(3)[:, None, None] * [0.1, 0.2, -0.3]
    placed = Placement.from_flags(90, 90, 0.76)
    Trajectory(positions).save_npy_folder(tmp_path / "npy", placed)
    return tmp_path, positions


def points(path: Path, frames: int) -> np.ndarray:
    stage = Usd.Stage.Open(str(path))
    prim = next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh))
    attribute = UsdGeom.Mesh(prim).GetPointsAttr()
    assert len(attribute.GetTimeSamples()) == frames
    return np.stack([np.array(attribute.Get(time)) for time in attribute.GetTimeSamples()])


def test_the_documented_flags_undo_the_placement_from_any_folder(asset, main, monkeypatch, capsys):
    folder, positions = asset
    where = ["--obj_dir", "../object", "--npy_dir", "../npy", "--output_path", "out/model.usdc"]
    (folder / "elsewhere").mkdir()
    flags = ["--theta_x_degree", "90.", "--theta_z_degree", "90.", "--scale_factor", "0.76", "--fps", "12"]
    monkeypatch.chdir(folder / "elsewhere")
    assert main([*where, *flags]) == 0
    assert "3 frames at 12 fps" in capsys.readouterr().out
    np.testing.assert_allclose(points(folder / "elsewhere/out/model.usdc", 3), positions, atol=1e-5)


def test_a_placement_file_replaces_the_flags(asset, main, monkeypatch):
    folder, positions = asset
    monkeypatch.chdir(folder)
    placement = Placement(np.diag([-1.0, -1.0, 1.0]), 2.0, np.array([1.0, 2, 3]))
    placement.save("placement.json")
    Trajectory(positions).save_npy_folder(folder / "npy", placement)
    where = ["--obj_dir", "object", "--npy_dir", "npy", "--placement", "placement.json"]
    assert main([*where, "--output_path", "model.usdc"]) == 0
    np.testing.assert_allclose(points(folder / "model.usdc", 3), positions, atol=1e-5)
    with pytest.raises(InputError, match="not both"):
        main([*where, "--scale_factor", "1", "--output_path", "b.usdc"])


def test_fewer_morphs_tell_their_error(asset, main, monkeypatch, capsys):
    monkeypatch.chdir(asset[0])
    where = ["--obj_dir", "object", "--npy_dir", "npy", "--output_path", "model.glb", "--max_morphs", "1"]
    assert main(where) == 0
    shown = capsys.readouterr().out
    assert "1 morph targets" in shown and "of the diagonal" in shown


def test_a_loop_is_closed_resampled_and_named(asset, main, monkeypatch, capsys):
    monkeypatch.chdir(asset[0])
    where = ["--obj_dir", "object", "--npy_dir", "npy", "--output_path", "model.glb", "--fps", "8"]
    assert main([*where, "--loop", "--resample", "24", "--clip-name", "rise"]) == 0
    assert "9 frames at 24 fps" in capsys.readouterr().out
    data = Path("model.glb").read_bytes()
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert [animation["name"] for animation in document["animations"]] == ["rise-loop"]


def test_a_trajectory_of_another_mesh_ends_in_one_sentence(asset, main, monkeypatch):
    folder, _ = asset
    monkeypatch.chdir(folder)
    for k in range(3):
        np.save(folder / "npy" / f"{k}.npy", np.zeros((5, 3), dtype=np.float32))
    with pytest.raises(InputError, match="5 vertices but the mesh has 4") as error:
        main(["--obj_dir", "object", "--npy_dir", "npy", "--output_path", "model.glb"])
    assert "\n" not in str(error.value)
    assert not (folder / "model.glb").exists()


def test_an_unknown_suffix_is_refused(asset, main, monkeypatch):
    monkeypatch.chdir(asset[0])
    with pytest.raises(InputError, match=r"known are \.fbx"):
        main(["--obj_dir", "object", "--npy_dir", "npy", "--output_path", "model.max"])


def test_flags_other_than_the_reconstructions_are_noticed(asset, main, monkeypatch, capsys):
    monkeypatch.chdir(asset[0])
    where = ["--obj_dir", "object", "--npy_dir", "npy", "--output_path", "model.glb"]
    assert main([*where, "--scale_factor", "0.76"]) == 0
    assert "warning: frame 0 is" in capsys.readouterr().err
    assert main([*where, "--theta_x_degree", "90", "--theta_z_degree", "90", "--scale_factor", "0.76"]) == 0
    assert capsys.readouterr().err == ""


def test_a_far_mesh_goes_through_step_1_and_step_7(tmp_path, main):
    """The ply and the trajectory are around the mesh's own origin; the export is at its place again."""
    place = np.array([448262.5, 120.0, 5411932.25])
    box = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64) + place
    quads = [[1, 2, 4, 3], [5, 7, 8, 6], [1, 5, 6, 2], [3, 4, 8, 7], [1, 3, 7, 5], [2, 6, 8, 4]]
    lines = [f"v {x!r} {y!r} {z!r}\n" for x, y, z in box.tolist()]
    faces = ["f " + " ".join(map(str, quad)) + "\n" for quad in quads]
    (tmp_path / "far.obj").write_text("".join(lines + faces))
    mesh = load_mesh(tmp_path / "far.obj")
    placement = mesh.automatic_placement()
    placement.save(tmp_path / "p.json")
    assert float(from_mesh(mesh).means.abs().max()) < 2
    moved = np.stack([mesh.vertices, mesh.vertices + [0, 0.25, 0]])
    Trajectory(moved).save_npy_folder(tmp_path / "npy", placement)
    flags = ["--obj_dir", str(tmp_path / "far.obj"), "--npy_dir", str(tmp_path / "npy")]
    assert main([*flags, "--placement", str(tmp_path / "p.json"), "--output_path", str(tmp_path / "a.obj")]) == 0
    again = load_mesh(tmp_path / "a.obj" / "frame0001.obj")
    np.testing.assert_allclose(again.vertices + again.origin, box + [0, 0.25, 0], atol=1e-5)
