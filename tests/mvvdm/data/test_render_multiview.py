"""Rendered animations: their cameras, framing, and training on them without touching them."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import torch

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.export import export
from animate3d.meshes import Material, Mesh, load_mesh
from animate3d.mvvdm.data import ClipLoader, build_dataset, render
from animate3d.mvvdm.data.blender_scene import open_animation
from animate3d.mvvdm.data.render import Framing, draw_angles, frame_object, segments

TOOL = Path(__file__).parents[3] / "tools" / "data" / "render_multiview.py"
COLORS = np.array([(230, 30, 30), (30, 200, 30), (40, 40, 240)], dtype=np.uint8)
CENTERS = np.array([(-0.9, 0.1, 0.4), (0.8, -0.5, -0.6), (0.1, 0.9, 0.7)])  # Blender's axes: z up


def markers(y_up: bool) -> Mesh:
    """Three small octahedra of different colours (a texture of three cells)."""
    tips = 0.12 * np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], dtype=float)
    faces = [(a, b, c) for a in (0, 1) for b in (2, 3) for c in (4, 5)]
    vertices = np.concatenate([center + tips for center in CENTERS])
    all_faces = np.concatenate([np.array(faces) + 6 * k for k in range(3)])
    uvs = np.repeat(np.array([((k + 0.5) / 3, 0.5) for k in range(3)]), len(faces) * 3, axis=0)
    texture = np.repeat(np.repeat(COLORS[None], 12, axis=0), 12, axis=1).reshape(12, 36, 3)
    if y_up:
        vertices = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1)
    material = Material("cells", textures={"diffuse": texture})
    return Mesh.from_faces(vertices, all_faces, corner_uvs=uvs, material=material, up_axis="y" if y_up else "z")


def motion(mesh: Mesh, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the file's axes, and the markers' centres in Blender's ``[F, 3, 3]``."""
    t = np.linspace(0, 1, frames)[:, None, None]
    shift = 0.3 * np.array([(1.0, 0.5, 0.2), (-0.4, 0.3, 1.0), (0.3, -1.0, -0.5)]) * t  # [F, 3, 3]
    moves = np.repeat(shift, 6, axis=1)
    if mesh.up_axis == "y":
        moves = np.stack([moves[..., 0], moves[..., 2], -moves[..., 1]], axis=-1)
    return mesh.vertices + moves, CENTERS + shift


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in ("glb", "fbx")])
def rendered(request, tmp_path_factory):
    pytest.importorskip("bpy")
    folder = tmp_path_factory.mktemp("rendered")
    mesh = markers(y_up=request.param == "glb")
    trajectory, centers = motion(mesh, 48)
    path = export(mesh, trajectory, folder / f"toy.{request.param}", fps=24)
    spec = importlib.util.spec_from_file_location("render_multiview_tool", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    flags = ["--out", str(folder / "set"), "--prompt", "Three stones float.", "--licence", "cc0", "--size", "192"]
    assert tool.main([str(path), *flags]) == 0
    return folder / "set", centers


def test_a_rendered_sample_trains_untouched_and_its_camera_reproduces_the_view(rendered):
    root, centers = rendered
    entry = json.loads((root / "uid_info_dict.json").read_text())["toy"][0]
    size = 192
    loader = ClipLoader(build_dataset(root, sample_size=size, sample_n_frames=16))
    (batch,) = loader
    assert not loader.skipped and batch["text"] == ["Three stones float."] and batch["key"] == ["toy/00"]
    pixels = ((batch["pixel_values"][0] + 1) * 127.5).permute(0, 1, 3, 4, 2).numpy()  # [V, F, H, W, 3]
    c2w = batch["camera"][0].double().unflatten(-1, (4, 4)).clone()
    c2w[:, :3, 3] *= entry["camera"]["distance"]
    fovy = torch.full((4,), np.deg2rad(entry["camera"]["fovy_deg"]), dtype=torch.float64)
    cameras = Cameras(c2w, fovy, size, size)
    framing = Framing(np.array(entry["object"]["center"]), entry["object"]["scale"])
    placed = framing.apply(centers[batch["frames"][0].numpy()])  # [F, 3, 3]
    errors = []
    for f in range(16):
        projected, _ = cameras.project(torch.from_numpy(placed[f]))
        for v in range(4):
            for k, color in enumerate(COLORS):
                apart = np.linalg.norm(np.delete(projected[v].numpy(), k, axis=0) - projected[v, k].numpy(), axis=1)
                if apart.min() < 40:
                    continue  # another marker may hide a part
                image = pixels[v, f]
                # Chromaticity: shading changes the brightness only.
                strength = image - image.min(axis=-1, keepdims=True)
                share = (strength * (color > 150)).sum(axis=-1) - (strength * (color < 150)).sum(axis=-1)
                mask = np.clip(share, 0, None)
                mask[mask < 40] = 0
                ys, xs = np.mgrid[:size, :size] + 0.5
                seen = np.array([(mask * xs).sum(), (mask * ys).sum()]) / mask.sum()
                errors.append(np.linalg.norm(seen - projected[v, k].numpy()))
    assert len(errors) > 100
    assert np.median(errors) < 0.5 and np.max(errors) <= 1.0


def test_the_layout_and_the_angles_are_those_of_mv_video(rendered):
    root, _ = rendered
    entry = json.loads((root / "uid_info_dict.json").read_text())["toy"][0]
    assert 0 <= entry["elv"] <= 30 and abs(entry["azi_start"]) <= 11.25
    assert {"prompt", "elv", "azi_start", "anim", "url", "license"} <= entry.keys() and entry["anim"] == "00"
    names = {path.name for path in (root / "videos/toy/00").iterdir()}
    assert names == {f"view_{view}.mp4" for view in range(16)}


def test_the_object_stays_in_view_and_fills_it():
    points = np.random.default_rng(0).normal(size=(5, 40, 3)) * [1, 2, 0.5] + [3, 0, 1]
    framing = frame_object(points, 20.0, -4.0)
    placed = torch.from_numpy(framing.apply(points).reshape(-1, 3))
    cameras = render._cameras(20.0, -4.0, 100).to(torch.float64)
    pixels, _ = cameras.project(placed)
    reach = ((pixels - 50) / 50).abs().max()
    assert reach == pytest.approx(render.FILL, abs=1e-5)
    box = framing.apply(points[0])
    assert np.allclose(box.min(axis=0) + box.max(axis=0), 0, atol=1e-9)


def test_long_animations_give_their_first_and_last_two_seconds():
    assert segments(1.0) == segments(2.0) == segments(4.0) == [0.0]
    assert segments(7.5) == [0.0, 5.5]


def test_angles_differ_between_clips_and_repeat_with_the_seed():
    angles = [draw_angles(f"fox/{number:02d}", seed) for number in range(50) for seed in (0, 1)]
    assert len(set(angles)) == 100 and draw_angles("fox/00", 0) == angles[0]
    assert all(0 <= elevation <= 30 and abs(azimuth) <= 11.25 for elevation, azimuth in angles)


@pytest.mark.filterwarnings("ignore:.*are dropped")
def test_gltf_base_colours_are_texture_times_factor_times_vertex_colours(tmp_path):
    pytest.importorskip("bpy")
    mesh = markers(y_up=True)
    trajectory, _ = motion(mesh, 3)
    times = [0.0, 1 / 24]
    material = Material("m", base_color=(1.0, 0.5, 0.0, 1.0))
    plain = replace(mesh, corner_uvs=None, materials=[material])
    painted = replace(plain, vertex_colors=np.tile(np.float32([0.2, 0.8, 0.4]), (18, 1)))
    textured = replace(mesh, materials=[replace(material, textures=mesh.materials[0].textures)])
    found = {}
    for name, source in {"plain": plain, "painted": painted, "textured": textured}.items():
        export(source, trajectory, tmp_path / f"{name}.glb", fps=24)
        found[name], _ = open_animation(tmp_path / f"{name}.glb").evaluate(times)
    read = load_mesh(tmp_path / "plain.glb").materials[0].base_color
    assert found["plain"].materials[0].base_color == pytest.approx(read, abs=5e-3)
    assert found["plain"].vertex_colors is None and found["textured"].vertex_colors is None
    assert np.allclose(found["painted"].vertex_colors, [0.2, 0.8, 0.4], atol=0.01)
    cells = found["textured"].materials[0].textures["diffuse"].reshape(-1, 3)
    assert {tuple(cell) for cell in cells.tolist()} == {tuple(color) for color in COLORS.tolist()}

    gltf = pygltflib.GLTF2().load(str(tmp_path / "textured.glb"))
    gltf.materials[0].pbrMetallicRoughness.baseColorFactor = [1.0, 0.0, 1.0, 1.0]
    gltf.save(str(tmp_path / "tinted.glb"))
    tinted, _ = open_animation(tmp_path / "tinted.glb").evaluate(times)
    cells = tinted.materials[0].textures["diffuse"].reshape(-1, 3)
    assert {tuple(cell) for cell in cells.tolist()} == {(red, 0, blue) for red, _, blue in COLORS.tolist()}


def test_a_file_without_animation_is_refused(tmp_path):
    pytest.importorskip("bpy")
    mesh = markers(y_up=True)
    path = export(mesh, mesh.vertices[None], tmp_path / "still.glb", fps=24)
    with pytest.raises(InputError, match="holds no animation"):
        render.render_file(path, tmp_path / "set", uid="still", prompt="")


@pytest.mark.parametrize("uid, size, message", [("../up", 64, "folder's name"), ("fox", 33, "must be even")])
def test_ids_and_sizes_that_cannot_be_used_are_refused(tmp_path, uid, size, message):
    with pytest.raises(InputError, match=message):
        render.render_file(tmp_path / "x.glb", tmp_path, uid=uid, prompt="", size=size)
