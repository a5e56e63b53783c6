"""Motions of the whole body that are computed instead of filmed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_asset import finned_tube

from animate3d.bundled_model import bundled_model_folder
from animate3d.cameras import reconstruction_cameras
from animate3d.creatures import make_creature, move
from animate3d.creatures.anatomy import Body
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves import Manner
from animate3d.creatures.rigs import FRONT, LEFT, UP
from animate3d.errors import InputError
from animate3d.evaluation.clip_metrics import score_trajectory
from animate3d.files import read_json
from animate3d.gaussians import from_mesh, save_ply
from animate3d.meshes import save_obj
from animate3d.rotations import quaternion_to_matrix
from animate3d.runs import base
from animate3d.runs.gaussians import animate_gaussians, carried
from animate3d.runs.mesh import MeshRun, animate
from animate3d.runs.moves import Computed, MovingBody, computed_of, length_first, read_moves
from animate3d.runs.options import AnimateOptions, GaussianOptions
from animate3d.runs.scene import animate_scene
from animate3d.runs.videos import VideoOptions

TRUNK = Part("trunk", -1, np.zeros(3), UP, FRONT, 1.0)


def nothing() -> list[Body]:
    raise AssertionError("nothing is sought")


def hopping(folder: Path, prompt: str = "the teapot hops high", **options: object) -> AnimateOptions:
    save_obj(finned_tube(), folder / "tube.obj")
    video = VideoOptions(prompt, weights=bundled_model_folder(), bundled=True)
    return replace(AnimateOptions(folder / "tube.obj", None, folder / "out", video=video, formats=("glb",)), **options)


def understood(prompt: str) -> Computed | None:
    return read_moves(prompt, lambda: [Body((TRUNK,), np.ones((1, 1)))])


def body(points: np.ndarray, name: str, manner: Manner | None = None) -> MovingBody:
    return MovingBody(points, Computed(((name, manner or Manner()),)), 8)


@pytest.fixture(autouse=True)
def nothing_is_filmed(monkeypatch: pytest.MonkeyPatch) -> None:
    def film(*_: object) -> None:
        raise InputError("a video was made")

    monkeypatch.setattr(base, "make_videos", film)


def test_a_sentence_about_the_whole_body_is_read_with_its_manner() -> None:
    found = understood("the teapot hops high")
    assert found is not None and found.moves == (("hop", Manner(amplitude=1.6)),) and str(found) == "hopping high"
    assert found.stronger(0.5).moves == (("hop", Manner(amplitude=0.8)),)
    assert understood("it flaps its wings") is None and understood("the price of rice") is None


def test_files_of_an_earlier_motion_in_the_folder_are_named(tmp_path: Path) -> None:
    said: list[str] = []
    animate(hopping(tmp_path, formats=("glb", "ply")), said.append)
    animate(hopping(tmp_path), said.append)
    assert not any("earlier motion" in line for line in said)
    animate(hopping(tmp_path, "the teapot sways"), said.append)
    (line,) = (line for line in said if "earlier motion" in line)
    assert "animation.ply" in line and "animation.glb" not in line


def test_frames_without_end_and_guidance_that_is_no_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 to 10000 frames, got 100000000"):
        animate(hopping(tmp_path, move_frames=100_000_000))
    video = VideoOptions("it hops", weights=bundled_model_folder(), bundled=True)
    with pytest.raises(InputError, match="guidance scale must be a number, got nan"):
        replace(video, sampler=replace(video.sampler, guidance_scale=float("nan")))


def test_what_moves_parts_is_left_out_and_told() -> None:
    found = understood("a robot is floating while waving its arm")
    assert found is not None and [name for name, _ in found.moves] == ["float"]
    assert "“waving” is left out, as no arms were found" in found.told("")


def test_what_has_no_wheels_slides_where_it_is_to_drive() -> None:
    found = understood("the car drives backward")
    assert found is not None and found.moves == (("slide", Manner(direction="backward")),)
    assert "“driving” is left out, as no wheels were found" in found.told("")


def test_of_what_cannot_be_computed_the_missing_parts_are_told() -> None:
    told: list[str] = []
    options = replace(
        AnimateOptions(Path("m.obj"), None, Path("o")),
        video=VideoOptions("the dog wags its tail", weights=Path("w"), bundled=True),
    )
    assert computed_of(options, lambda: "not learnt", lambda: [Body((TRUNK,), np.ones((1, 1)))], told.append) is None
    assert told == ["“wagging its tail” can be computed, but no tails were found; the video model is asked instead"]


def test_one_body_does_all_moves_of_a_sentence() -> None:
    def legs(*sides: int, turn: int = 1) -> Body:
        parts = (TRUNK, *(Part("leg", 0, np.zeros(3), -UP, FRONT, 1.0, side) for side in sides))
        parts += (Part("tail", 0, np.zeros(3), -FRONT, UP, 1.0), Part("arm", 0, np.zeros(3), UP, FRONT, 1.0))
        return Body(parts, np.ones((1, len(parts))), turn * np.eye(3))

    def found(prompt: str, *bodies: Body) -> Computed:
        computed = read_moves(prompt, lambda: bodies)
        assert computed is not None and computed.body is not None
        return computed

    both = found("the dog walks while wagging its tail", legs(), legs(-1, 1))
    assert {name for name, _ in both.moves} == {"walk", "wag"} and not both.left_out
    assert found("it wags its tail and walks", legs(-1), legs(1, 1)).left_out == ("walking",)  # on one side only
    assert found("it walks", legs(-1, 1), legs(-1, 1, -1, 1, turn=-1)).body.count("leg") == 4  # type: ignore[union-attr]
    assert both.facts() == {"motion": str(both), "left_out": [], "parts": {"leg": 2, "tail": 1, "arm": 1}}
    flapping = found("it flaps its wings while waving its arm", legs())
    assert [name for name, _ in flapping.moves] == ["wave"] and flapping.left_out == ("flapping its wings",)


@pytest.mark.parametrize(("length", "swims"), [(0.2, True), (0.6, False)])
def test_what_swims_has_legs_only_if_they_are_so_short_that_they_are_fins(length: float, swims: bool) -> None:
    legs = [Part("leg", 0, np.zeros(3), -UP, FRONT, length, side) for side in (-1, 1)]
    ends = [Part(name, 0, np.zeros(3), way * FRONT, UP, 1.0) for name, way in (("head", 1.0), ("tail", -1.0))]
    fish = Body((TRUNK, *legs, *ends), np.ones((1, 5)))
    assert (read_moves("it swims", lambda: [fish]) is not None) is swims


def test_the_longer_limbs_are_the_wings_and_what_has_none_flies_up() -> None:
    def limb(name: str, length: float) -> Part:
        return Part(name, 0, np.zeros(3), np.array([1.0, 0, 0]), FRONT, length)

    plane = Body((TRUNK, limb("wing", 0.2), limb("arm", 0.8)), np.ones((1, 3)))
    found = read_moves("it flies", lambda: [plane])
    assert found is not None and found.body is not None
    assert [part.name for part in found.body.parts] == ["trunk", "fin", "wing"]
    without = understood("it flies")
    assert without is not None and str(without) == "flying up" and without.body is None


def test_walking_backwards_goes_there() -> None:
    legs = (TRUNK, *(Part("leg", 0, np.zeros(3), -UP, FRONT, 1.0, side) for side in (-1, 1)))
    found = read_moves("it walks backwards", lambda: [Body(legs, np.ones((1, 3)))])
    assert found is not None and str(found) == "walking while sliding backward"


def test_a_body_on_four_legs_walks_along_its_length() -> None:
    corners = [(-2.0, 1.0), (-2.0, -1.0), (2.0, 1.0), (2.0, -1.0)]
    legs = [Part("leg", 0, np.array([x, 0, z]), -UP, LEFT, 1.0, int(np.sign(x))) for x, z in corners]
    broad = Body((TRUNK, *legs), np.ones((1, 5)))
    along = length_first(broad)
    turned = [part for part in along.parts if part.name == "leg"]
    assert [(round(part.joint[0]), round(part.joint[2])) for part in turned] == [(-1, -2), (1, -2), (-1, 2), (1, 2)]
    assert [part.side for part in turned] == [-1, 1, -1, 1] and [part.order for part in turned] == [1, 1, 0, 0]
    assert length_first(along) is along


def test_directions_are_those_of_the_first_picture() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    camera = reconstruction_cameras(4, 64)[0:1].to(torch.float64)
    for direction, axis, sign in (("right", 0, 1), ("left", 0, -1)):
        sliding = body(points, "slide", Manner(direction=direction))
        before, after = (camera.project(torch.from_numpy(sliding.at(points, f))[None])[0][0] for f in (0, 7))
        assert (sign * (after - before)[:, axis] > 0.01).all()
    up = body(points, "rise")
    assert (up.at(points, 0) == points).all()
    np.testing.assert_allclose((up.at(points, 7) - points)[:, :2], 0, atol=1e-12)


def test_gaussians_turn_and_grow_with_space_around_them() -> None:
    model = from_mesh(finned_tube())
    means = model.means.numpy()
    spun = carried(model, body(means, "spin", Manner(direction="left")), 4)
    turn = quaternion_to_matrix(spun.quats) @ quaternion_to_matrix(model.quats).mT
    torch.testing.assert_close(turn, turn[:1].expand_as(turn), atol=1e-4, rtol=0)
    middle = model.means.new_tensor((means.min(0) + means.max(0)) / 2)
    torch.testing.assert_close((model.means - middle) @ turn[0].T + middle, spun.means, atol=1e-3, rtol=0)
    torch.testing.assert_close(spun.scales, model.scales, atol=0, rtol=1e-3)
    grown = carried(model, body(means, "grow"), 7)
    spread = (grown.means.std(0) / model.means.std(0)).mean()
    assert spread > 1.1
    torch.testing.assert_close(
        grown.scales.prod(-1) / model.scales.prod(-1), spread.pow(3).expand(len(means)), rtol=0.02, atol=0
    )


def test_what_the_bundled_model_does_not_know_is_computed(tmp_path: Path) -> None:
    said: list[str] = []
    options = hopping(tmp_path)
    result = animate(options, said.append)
    assert any("“hopping high” is computed" in line for line in said)
    moved = result.trajectory.positions
    assert len(moved) == 16 and np.abs(moved[0] - finned_tube().vertices).max() < 1e-6
    edges = finned_tube().edges()
    lengths = np.linalg.norm(moved[:, edges[:, 0]] - moved[:, edges[:, 1]], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-5)  # a hop is stiff
    assert np.ptp(moved[..., 1].mean(axis=1)) > 0.05
    again: list[str] = []
    animate(options, again.append)
    assert any("5 move up to date" in line for line in again)


def test_a_dog_that_the_bundled_model_knows_walks_without_its_videos(tmp_path: Path) -> None:
    dog = make_creature("dog", 3)
    options = replace(
        hopping(tmp_path, "the dog is walking"),
        model=save_obj(dog.mesh, tmp_path / "dog"),
        move_frames=16,
    )
    told: list[str] = []
    result = animate(options, told.append)
    assert any("show too little of it" in line for line in told)
    score = score_trajectory(result.trajectory.positions.astype(np.float64), move(dog, "walk", 16))
    assert score.cosine > 0.9 and 0.7 < score.amplitude < 1.3


def test_known_models_and_those_who_refuse_get_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a video was made"):
        animate(hopping(tmp_path, moves="never"))
    options = hopping(tmp_path)
    assert options.video is not None and computed_of(options, lambda: "", nothing) is None
    assert computed_of(replace(options, moves="always"), lambda: "", nothing) is not None
    full = replace(options, video=replace(options.video, bundled=False))
    assert computed_of(full, lambda: "not learnt", nothing) is None
    assert MeshRun(replace(options, field=True), print).computed is None
    with pytest.raises(InputError, match="asks for nothing that can be computed of this model"):
        animate(hopping(tmp_path, "the teapot spins its propeller", moves="always"))


def test_a_loop_that_goes_forwards_and_backwards_is_told_and_what_turns_goes_round(tmp_path: Path) -> None:
    for prompt, frames, notes in (("the teapot spins", 8, 0), ("the teapot slides to the left", 14, 1)):
        said: list[str] = []
        result = animate(hopping(tmp_path, prompt, loop=True, move_frames=8), said.append)
        assert result.trajectory.n_frames == frames
        assert sum("forwards and then backwards" in line for line in said) == notes


def test_objects_of_a_scene_move_as_they_are_told(tmp_path: Path) -> None:
    hopping(tmp_path)
    scene = {
        "objects": [
            {"model": "tube.obj", "prompt": "it spins"},
            {"model": "tube.obj", "placement": {"position": [2, 0, 0]}},
        ]
    }
    (tmp_path / "scene.json").write_text(json.dumps(scene))
    asked = hopping(tmp_path, "it spins", model=tmp_path / "scene.json")
    moved = animate_scene(asked).trajectory.positions
    count = moved.shape[1] // 2
    assert np.abs(moved[:, count:] - moved[:1, count:]).max() < 1e-5
    assert np.abs(moved[-1, :count] - moved[0, :count]).max() > 0.2


def test_gaussians_hop_without_a_fit(tmp_path: Path) -> None:
    save_ply(from_mesh(finned_tube()), tmp_path / "model.ply")
    video = VideoOptions("the teapot hops", weights=bundled_model_folder(), bundled=True)
    options = GaussianOptions(tmp_path / "model.ply", None, tmp_path / "out", video=video, render_size=32)
    result = animate_gaussians(replace(options, move_frames=3))
    assert result.mean_displacement > 0.005 and len(list(result.files["plys"].glob("*.ply"))) == 3


@pytest.mark.slow
def test_a_mesh_with_legs_walks_and_its_parts_are_shown(tmp_path: Path) -> None:
    figure = draw_figure(101, "person")
    save_obj(figure_mesh(figure), tmp_path / "person.obj")
    said: list[str] = []
    asked = hopping(tmp_path, "the clown is walking", model=tmp_path / "person.obj", move_frames=5)
    moved = animate(asked, said.append).trajectory.positions
    assert any("“walking” is computed" in line and "2 legs" in line and "2 arms" in line for line in said)
    assert (tmp_path / "out" / "parts.png").stat().st_size > 5000
    facts = read_json(tmp_path / "out" / "run.json")["steps"]["5 move"]["facts"]
    assert facts["motion"] == "walking" and facts["parts"]["leg"] == 2
    far = np.linalg.norm(moved - moved[:1], axis=-1).max(axis=0)
    height = moved[0, :, 1]
    feet, trunk = height < np.quantile(height, 0.1), np.abs(height - np.median(height)) < 0.05
    assert far[feet].min() > 3 * far[trunk].mean()
