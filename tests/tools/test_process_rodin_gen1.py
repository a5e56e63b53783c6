"""Object folders of Rodin-Gen1 get the material file that they lack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.errors import InputError
from animate3d.meshes import load_mesh

TOOL = Path(__file__).parents[2] / "tools" / "mesh_animation" / "process_rodin_gen1.py"
FACES = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("process_rodin_gen1", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rodin(folder: Path, text: str = FACES, name: str = "base.obj") -> Path:
    folder.mkdir()
    (folder / name).write_text(text)
    for kind in ("diffuse", "metallic", "normal", "pbr", "roughness"):
        Image.new("RGB", (2, 2), (200, 0, 0)).save(folder / f"texture_{kind}.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_material_is_added_and_the_source_untouched(tmp_path, tool, capsys):
    source = rodin(tmp_path / "source")
    before = contents(source)
    assert tool.main(["--source_path", str(source), "--save_path", str(tmp_path / "new" / "dragon")]) == 0
    assert contents(source) == before
    target = tmp_path / "new" / "dragon"
    assert str(target / "base.obj") in capsys.readouterr().out
    assert (target / "base.obj").read_text() == "mtllib base.mtl\nusemtl Material\n" + FACES
    assert "map_Kd texture_diffuse.png" in (target / "base.mtl").read_text()
    mesh = load_mesh(target)
    assert set(mesh.materials[0].textures) == {"diffuse", "metallic", "normal", "pbr", "roughness"}
    np.testing.assert_array_equal(mesh.vertices, load_mesh(source).vertices)


def test_materials_that_the_obj_uses_are_defined(tmp_path, tool):
    text = "mtllib gone.mtl\n" + FACES.replace("f ", "usemtl skin\nf ")
    obj = tool.complete(rodin(tmp_path / "source", text, "model.obj"), tmp_path / "target")
    assert obj.read_text().startswith("mtllib base.mtl\nv ")
    assert "gone" not in obj.read_text()
    assert load_mesh(obj).materials[0].name == "skin"


def test_a_complete_folder_is_copied_as_it_is(tmp_path, tool):
    source = rodin(tmp_path / "source", "mtllib own.mtl\nusemtl m\n" + FACES)
    (source / "own.mtl").write_text("newmtl m\nmap_Kd texture_diffuse.png\n")
    tool.complete(source, tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source)


def test_existing_results_and_wrong_folders_are_refused(tmp_path, tool):
    source = rodin(tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        tool.complete(source, tmp_path / "full")
    with pytest.raises(InputError, match="outside"):
        tool.complete(source, source / "inner")
    with pytest.raises(InputError, match="does not exist"):
        tool.complete(tmp_path / "none", tmp_path / "target")
    with pytest.raises(InputError, match="it holds 0"):
        tool.complete(tmp_path / "full", tmp_path / "target")
    assert not (tmp_path / "target").exists()
