"""Runs with several objects: from videos of the whole, and object by object from sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from PIL import Image
from pxr import Usd, UsdGeom
from small_asset import FRAMES, SIZE, bend, finned_tube

from animate3d.creatures.dragon import unit_times
from animate3d.errors import InputError
from animate3d.frames import save_frames
from animate3d.meshes import save_obj
from animate3d.meshes.scene import Scene
from animate3d.meshes.scene_file import load_models
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.mesh import MeshRun, animate
from animate3d.runs.object_masks import read_object_masks
from animate3d.runs.options import AnimateOptions
from animate3d.runs.scene import ObjectRun, SceneRun, animate_scene, is_scene, own_sentences
from animate3d.runs.videos import VideoOptions


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene file of three tubes, the second of which is turned and smaller."""
    folder = tmp_path_factory.mktemp("garden")
    save_obj(finned_tube(), folder / "tube")
    objects = [
        {"model": "tube", "name": "left", "prompt": "it bends"},
        {
            "model": "tube",
            "name": "right one",
            "placement": {"rotation_degrees": 90, "scale": 0.7},
            "prompt": "it bows",
        },
        {"model": "tube", "name": "still"},
    ]
    path = folder / "garden.json"
    path.write_text(json.dumps(objects))
    return path


def truth(scene: Scene) -> np.ndarray:
    """The first two bend, each in its own place. ``[F, N, 3]``"""
    moved = np.repeat(scene.vertices[None], FRAMES, axis=0)
    for number in range(2):
        mesh, own = scene.alone(number)
        moved[:, own] = scene.members[number].placement.apply(bend(mesh.vertices, unit_times(FRAMES)))
    return moved


@pytest.fixture(scope="module")
def options(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> AnimateOptions:
    scene = load_models([garden])
    assert isinstance(scene, Scene)
    run = MeshRun(AnimateOptions(garden, None, tmp_path_factory.mktemp("none")), lambda line: None)
    placed = run.placement.apply(truth(scene))
    drawn = render_mesh(scene, placed, run.cameras(2 * SIZE), shading=False)
    folder = garden.parent / "frames"
    save_frames(folder, drawn)
    return AnimateOptions(garden, folder, garden.parent / "out", formats=("glb", "usdc"))


def test_objects_are_nodes_with_their_names_at_their_places(options: AnimateOptions) -> None:
    result = animate(options)
    scene = load_models([options.model])
    assert isinstance(scene, Scene)
    glb = pygltflib.GLTF2().load(str(result.files["glb"]))
    assert [node.name for node in glb.nodes] == ["left", "right one", "still"]
    assert sorted(channel.target.node for channel in glb.animations[0].channels) == [0, 1]  # the third stands
    assert [bool(mesh.primitives[0].targets) for mesh in glb.meshes] == [True, True, False]
    stage = Usd.Stage.Open(str(result.files["usdc"]))
    meshes = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert [prim.GetDisplayName() or prim.GetName() for prim in meshes] == scene.names
    for number, prim in enumerate(meshes):
        own = scene.objects == number
        points = UsdGeom.Mesh(prim).GetPointsAttr()
        times = points.GetTimeSamples()
        np.testing.assert_allclose(np.array(points.Get(times[0])), scene.vertices[own], atol=1e-5)
        np.testing.assert_allclose(np.array(points.Get(times[-1])), result.trajectory.positions[-1, own], atol=1e-5)
    still = scene.objects == 2
    assert np.abs(result.trajectory.positions[:, still] - scene.vertices[still]).max() < 1e-5
    known = truth(scene)
    miss = np.linalg.norm((result.trajectory.positions - known)[1:, ~still], axis=-1).mean()
    assert miss < 0.22 * np.linalg.norm((known - known[0])[1:, ~still], axis=-1).mean()


def test_several_models_are_a_scene(options: AnimateOptions) -> None:
    tube = options.model.parent / "tube"
    assert is_scene(options) and is_scene(replace(options, model=tube, others=(tube,)))
    assert is_scene(replace(options, model=tube, objects="auto")) and not is_scene(replace(options, model=tube))
    assert own_sentences(options.model) == "it bends; it bows" and own_sentences(tube) is None


def film_alone(self: ObjectRun) -> None:
    """In place of the video model: what the object's prompt asks for is a bend."""
    positions = self.placement.apply(bend(self.model.vertices, unit_times(FRAMES)))
    save_frames(self.work / "frames", render_mesh(self.model, positions, self.cameras(2 * SIZE), shading=False))
    self.read_frames(self.work / "frames")


@pytest.mark.slow
def test_objects_with_sentences_are_animated_alone(
    options: AnimateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectRun, "choose_frames", film_alone)
    video = VideoOptions("it bends; it bows", weights=tmp_path, bundled=True)
    said: list[str] = []
    asked = replace(options, frames=None, video=video, out=tmp_path / "out", formats=("glb",))
    result = animate_scene(asked, said.append)
    assert "each object is animated alone: left by “it bends”, right one by “it bows”, still stands still" in said
    scene = load_models([options.model])
    assert isinstance(scene, Scene)
    known, still = truth(scene), scene.objects == 2
    np.testing.assert_allclose(result.trajectory.positions[:, still], known[:, still], atol=1e-5)
    for number in range(2):
        own = scene.objects == number
        miss = np.linalg.norm((result.trajectory.positions - known)[1:, own], axis=-1).mean()
        assert miss < 0.22 * np.linalg.norm((known - known[0])[1:, own], axis=-1).mean()
    record = json.loads(result.record.read_text())
    assert record["prompts"] == {"left": "it bends", "right one": "it bows", "still": None}
    assert (tmp_path / "out" / "objects" / "right one" / "run.json").is_file()
    sure = np.load(tmp_path / "out" / "work" / "confidence.npy")
    assert sure.shape == (FRAMES, scene.n_vertices) and (sure[:, still] == 1).all() and sure[1:, ~still].min() < 1
    again: list[str] = []
    animate_scene(asked, again.append)
    assert any("5 objects up to date" in line for line in again)


def test_a_common_sentence_goes_to_who_has_none(options: AnimateOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def note(self: SceneRun, scene: Scene, prompt: str | None) -> Path:
        asked.update({m.name: m.prompt or prompt or "" for m in scene.members})
        raise InputError("enough")

    monkeypatch.setattr(SceneRun, "animate_objects", note)
    video = VideoOptions("everything hops", weights=options.model.parent, bundled=True)
    with pytest.raises(InputError, match="enough"):
        animate_scene(replace(options, frames=None, video=video))
    assert asked == {"left": "it bends", "right one": "it bows", "still": "everything hops"}


def test_a_field_needs_videos_of_the_whole(options: AnimateOptions) -> None:
    video = VideoOptions("it bends", weights=options.model.parent, bundled=True)
    with pytest.raises(InputError, match="videos of the whole scene"):
        animate_scene(replace(options, frames=None, video=video, field=True))


def test_object_masks_are_read_and_checked(options: AnimateOptions, tmp_path: Path) -> None:
    scene = load_models([options.model])
    for number in range(4):
        Image.fromarray(np.full((8, 8), number % 4, np.uint8)).save(tmp_path / f"{number}.png")
    ids = read_object_masks(tmp_path, 2, 2, scene)
    assert ids.shape == (2, 2, 8, 8) and ids[1, 1].max() == 3
    with pytest.raises(InputError, match=r"4\.png does not exist"):
        read_object_masks(tmp_path, 2, 3, scene)
    Image.fromarray(np.full((8, 8), 4, np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="names object 4; the scene has 3"):
        read_object_masks(tmp_path, 2, 2, scene)
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="several channels"):
        read_object_masks(tmp_path, 2, 2, scene)
    with pytest.raises(InputError, match="this run has one"):
        read_object_masks(tmp_path, 2, 2, finned_tube())
    with pytest.raises(InputError, match="belongs to --frames"):
        animate(replace(options, frames=None, object_masks=tmp_path))
