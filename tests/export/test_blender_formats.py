"""FBX and Alembic, read back by Blender's importers."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import LINEAR_BARE, awkward_mesh, blender_positions, files_of, motion, relative_error, two_parts, upright

from animate3d.errors import InputError, MissingDependencyError
from animate3d.export import blender, export, export_with_report
from animate3d.meshes import Material, load_mesh
from animate3d.progress import BESIDE

bpy = pytest.importorskip("bpy")
TOLERANCE = 1e-4


def read_fbx(path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(path))


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_fbx_shows_every_frame_exactly(tmp_path, up_axis):
    mesh = awkward_mesh(up_axis)
    trajectory = motion(mesh)
    path = export(mesh, trajectory, tmp_path / "a.fbx", fps=12)
    read_fbx(path)
    shown = 1 + 2 * np.arange(len(trajectory))  # 24 a second; Blender's importer puts time 0 at frame 1
    assert relative_error(blender_positions(shown), trajectory) < TOLERANCE
    assert relative_error(blender_positions(shown, world=True), upright(trajectory, up_axis)) < TOLERANCE
    assert bpy.context.scene.render.fps == 24
    (item,) = bpy.context.scene.objects
    np.testing.assert_allclose(item.scale, 1, atol=1e-6)
    assert [action.name for action in bpy.data.actions] == ["Key|mesh"]
    assert files_of(tmp_path) == ["a.fbx"]


@pytest.mark.parametrize(("fps", "base"), [(12.5, 24), (29.97, 24), (0.5, 24), (15, 30), (30, 30), (60, 30)])
def test_fbx_plays_at_the_rate_in_a_scene_of_24_or_30(tmp_path, fps, base):
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    read_fbx(export(mesh, trajectory, tmp_path / "a.fbx", fps=fps))
    render = bpy.context.scene.render
    assert render.fps / render.fps_base == pytest.approx(base)
    shown = 1 + base * np.arange(len(trajectory)) / fps
    assert relative_error(blender_positions(shown), trajectory) < TOLERANCE


def test_fbx_is_linear_between_frames(tmp_path):
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    read_fbx(export(mesh, trajectory, tmp_path / "a.fbx"))
    bpy.context.scene.frame_set(3, subframe=0.5)
    keys = bpy.data.shape_keys[0].key_blocks
    assert [round(key.value, 4) for key in keys[1:]] == [0, 0.5, 0.5, 0]
    assert keys[0].name == "Basis" and len(keys) == len(trajectory)


def test_fbx_keeps_polygons_uvs_and_embedded_textures(tmp_path):
    mesh = awkward_mesh(normals=True)
    path = export(mesh, motion(mesh), tmp_path / "a.fbx")
    read_fbx(path.rename(tmp_path / "moved.fbx"))
    (data,) = bpy.data.meshes
    assert [list(polygon.vertices) for polygon in data.polygons] == [
        mesh.corners[a:b].tolist() for a, b in zip(mesh.face_starts[:-1], mesh.face_starts[1:], strict=True)
    ]
    uvs = np.array([loop.uv[:] for loop in data.uv_layers[0].data])
    np.testing.assert_allclose(uvs, mesh.corner_uvs, atol=1e-5)
    normals = np.array([normal.vector[:] for normal in data.corner_normals])
    np.testing.assert_allclose(normals, mesh.corner_normals, atol=2e-2)
    assert [slot.name for slot in data.materials] == ["Painted", "Bare"]
    assert [polygon.material_index for polygon in data.polygons] == mesh.face_materials.tolist()

    painted, bare = (material.node_tree for material in data.materials)
    surface = next(node for node in painted.nodes if node.type == "BSDF_PRINCIPLED")
    for socket, kind in {"Base Color": "diffuse", "Metallic": "metallic", "Roughness": "roughness"}.items():
        image = surface.inputs[socket].links[0].from_node.image
        assert_same_pixels(image, mesh.materials[0].textures[kind])
    normal_map = surface.inputs["Normal"].links[0].from_node
    assert normal_map.type == "NORMAL_MAP"
    assert_same_pixels(normal_map.inputs["Color"].links[0].from_node.image, mesh.materials[0].textures["normal"])
    assert not [node for node in bare.nodes if node.type == "TEX_IMAGE"]
    surface = next(node for node in bare.nodes if node.type == "BSDF_PRINCIPLED")
    np.testing.assert_allclose(surface.inputs["Base Color"].default_value[:3], LINEAR_BARE, atol=1e-5)
    assert surface.inputs["Roughness"].default_value == pytest.approx(0.75, abs=1e-3)
    assert surface.inputs["Metallic"].default_value == pytest.approx(0.25, abs=1e-3)


def assert_same_pixels(image: object, expected: np.ndarray) -> None:
    assert image.packed_file is not None  # type: ignore[attr-defined]
    pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], 4)[::-1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(pixels[..., : expected.shape[2]], expected / 255, atol=1e-3)


def test_fbx_keeps_vertex_colors(tmp_path):
    mesh = awkward_mesh(colors=True)
    with pytest.warns(UserWarning, match="FBX shows textures without the vertex colours"):
        read_fbx(export(mesh, motion(mesh), tmp_path / "a.fbx"))
    (data,) = bpy.data.meshes
    layer = data.color_attributes[0]
    colors = np.array([item.color_srgb[:3] for item in layer.data])
    expected = mesh.vertex_colors[mesh.corners] if layer.domain == "CORNER" else mesh.vertex_colors
    np.testing.assert_allclose(colors, expected, atol=6e-3)


def test_fbx_gives_no_vertex_colors_to_parts_without(tmp_path):
    mesh = two_parts()
    read_fbx(export(mesh, motion(mesh), tmp_path / "a.fbx"))
    found = {item.name: len(item.data.color_attributes) for item in bpy.data.objects}
    assert found == {"plain": 0, "coloured": 1}


def test_fbx_keeps_the_tint_of_an_emission_texture(tmp_path):
    mesh = awkward_mesh()
    glow = Material("Glow", textures={"emissive": np.full((2, 2, 3), 255, np.uint8)}, emissive=(1.0, 0.5, 0.0))
    mesh.materials[0] = replace(glow, emissive_strength=4.0)
    again = load_mesh(export(mesh, motion(mesh)[:1], tmp_path / "a.fbx"))
    (found,) = [material for material in again.materials if material.name == "Glow"]
    assert found.textures["emissive"][0, 0].tolist() == [255, 188, 0]  # 0.5 in linear light is 188
    np.testing.assert_allclose(np.array(found.emissive) * found.emissive_strength, 4, rtol=5e-3)


def test_limited_targets_reach_fbx_with_the_reported_error(tmp_path):
    mesh = awkward_mesh()
    trajectory = motion(mesh, frames=8)
    report = export_with_report(mesh, trajectory, tmp_path / "a.fbx", max_morphs=3)
    assert report.morphs == 3 and 0 < report.mean_error < report.max_error
    read_fbx(report.path)
    error = relative_error(blender_positions(range(1, 9)), trajectory)
    assert error == pytest.approx(report.max_error, rel=1e-3)


def test_one_frame_is_a_static_fbx(tmp_path):
    mesh = awkward_mesh()
    read_fbx(export(mesh, motion(mesh)[:1], tmp_path / "a.fbx"))
    assert relative_error(blender_positions(range(1, 2)), motion(mesh)[:1]) < TOLERANCE


@pytest.mark.parametrize("up_axis", [pytest.param("y", marks=pytest.mark.slow), "z"])
def test_alembic_moves_and_has_a_textured_glb_beside_it(tmp_path, up_axis):
    mesh = awkward_mesh(up_axis)
    trajectory = motion(mesh)
    path = export(mesh, trajectory, tmp_path / "a.abc", fps=30)
    assert files_of(tmp_path) == ["a.abc", "a_static.glb"]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False)
    assert relative_error(blender_positions(range(len(trajectory))), trajectory) < TOLERANCE
    world = blender_positions(range(len(trajectory)), world=True)
    assert relative_error(world, upright(trajectory, up_axis)) < TOLERANCE
    (data,) = bpy.data.meshes
    np.testing.assert_allclose([loop.uv[:] for loop in data.uv_layers[0].data], mesh.corner_uvs, atol=1e-5)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "a_static.glb"))
    assert len(bpy.data.images) == 3  # diffuse, metallic-roughness, normal


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_blender_plays_the_usd(tmp_path, up_axis):
    mesh = awkward_mesh(up_axis)
    trajectory = motion(mesh)
    path = export(mesh, trajectory, tmp_path / "a.usdc", fps=24)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.usd_import(filepath=str(path), set_frame_range=True)
    first = bpy.context.scene.frame_start
    shown = blender_positions(range(first, first + len(trajectory)), world=True)
    assert relative_error(shown, upright(trajectory, up_axis)) < TOLERANCE


def test_blender_says_nothing_and_keeps_the_callers_scene(tmp_path, capfd):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.data.objects.new("mine", None)
    before = {name: len(getattr(bpy.data, name)) for name in ("meshes", "materials", "images", "scenes", "actions")}
    capfd.readouterr()
    mesh = awkward_mesh()
    export(mesh, motion(mesh), tmp_path / "a.fbx")
    assert capfd.readouterr() == ("", "")
    assert {name: len(getattr(bpy.data, name)) for name in before} == before
    assert "mine" in bpy.data.objects


@pytest.mark.slow
def test_blender_reports_no_lost_memory_when_the_command_ends(tmp_path):
    script = (
        "from clips import awkward_mesh, motion\n"
        "from animate3d.errors import run_command\n"
        "from animate3d.export import export\n"
        "mesh = awkward_mesh()\n"
        f"run_command(lambda: export(mesh, motion(mesh), {str(tmp_path / 'a.fbx')!r}) and None)\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_executable_does_the_same_without_the_module(tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "blender"
    fake.parent.mkdir()
    fake.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "script = sys.argv[sys.argv.index('--python') + 1]\n"
        "runpy.run_path(script, run_name='__main__')\n"
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(blender, "available", lambda module: False)
    mesh = awkward_mesh(colors=True, normals=True)
    trajectory = motion(mesh)
    with pytest.warns(UserWarning, match="FBX shows textures without the vertex colours"):
        read_fbx(export(mesh, trajectory, tmp_path / "out" / "a.fbx"))
    assert relative_error(blender_positions(range(1, 6)), trajectory) < TOLERANCE
    assert files_of(tmp_path / "out") == ["a.fbx"]

    fake.write_text(f"#!{sys.executable}\nimport sys\nprint('Error: no such thing')\nsys.exit(1)\n")
    with pytest.raises(InputError, match="no such thing"):
        export(mesh, trajectory, tmp_path / "b.fbx")
    assert not (tmp_path / "b.fbx").exists()


def test_without_blender_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(blender, "available", lambda module: False)
    monkeypatch.setattr(blender.shutil, "which", lambda name: None)
    mesh = awkward_mesh()
    with pytest.raises(MissingDependencyError, match=r"animate3d\[blender\]"):
        export(mesh, motion(mesh), tmp_path / "a.fbx")
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("suffix", ["fbx", "abc", "glb", "usdc", "usdz", "obj"])
def test_no_file_is_left_when_the_disk_is_full(tmp_path, suffix):
    """A limit on the size of files stands in for the disk."""
    mesh = awkward_mesh()
    trajectory = motion(mesh)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
        with pytest.raises((InputError, OSError)) as caught:
            export(mesh, trajectory, tmp_path / f"a.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert files_of(tmp_path) == []


def test_shape_keys_equal_those_written_vertex_by_vertex(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import plain_export

    mesh = awkward_mesh("z")
    trajectory = motion(mesh)
    polygons = [polygon.tolist() for polygon in np.split(mesh.corners, mesh.face_starts[1:-1])]
    plain_export.export_plainly(trajectory.astype(np.float32), polygons, str(tmp_path / "plain.fbx"))
    read_fbx(tmp_path / "plain.fbx")
    expected = blender_positions(range(1, 6))
    read_fbx(export(mesh, trajectory, tmp_path / "a.fbx"))
    np.testing.assert_allclose(blender_positions(range(1, 6)), expected, atol=1e-6)


def test_blender_gets_a_process_of_its_own_where_a_thread_works_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(blender, "_run_here", lambda job, path: pytest.fail("Blender ran beside another thread"))
    stop = threading.Event()
    beside = threading.Thread(target=stop.wait, name=f"{BESIDE}test")
    beside.start()
    try:
        mesh = awkward_mesh()
        read_fbx(export(mesh, motion(mesh), tmp_path / "a.fbx"))
    finally:
        stop.set()
        beside.join()
    assert len(bpy.data.meshes) == 1
