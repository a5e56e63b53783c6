"""Scenes: files, places, names, and what one file is taken apart into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from animate3d.errors import InputError
from animate3d.meshes import Material, Mesh, Part, load_mesh, save_obj
from animate3d.meshes.objects import objects_of
from animate3d.meshes.pieces import join
from animate3d.meshes.scene import Scene
from animate3d.meshes.scene_file import Entry, load_models, read_scene

FACES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]


def cube(size: float = 1.0, place: tuple[float, float, float] = (0.0, 0.0, 0.0), up: str = "y") -> Mesh:
    vertices = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    return Mesh.from_faces(vertices * size + place, FACES, up_axis=up)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    save_obj(cube(), tmp_path / "box")
    save_obj(cube(2.0, (5.0, 7.0, 9.0)), tmp_path / "crate")
    return tmp_path


def write(folder: Path, *objects: object) -> Path:
    path = folder / "scene.json"
    path.write_text(json.dumps({"objects": objects}))
    return path


def bounds(scene: Mesh, number: int) -> np.ndarray:
    assert isinstance(scene, Scene)
    own = scene.vertices[scene.objects == number]
    return np.stack([own.min(axis=0), own.max(axis=0)])


def test_models_stand_side_by_side_on_the_ground_in_their_order(files: Path) -> None:
    scene = load_models([files / "box", files / "crate", files / "box"])
    assert isinstance(scene, Scene) and scene.names == ["box", "crate", "box_2"]
    boxes = [bounds(scene, k) for k in range(3)]
    assert boxes[0][1, 0] < boxes[1][0, 0] and boxes[1][1, 0] < boxes[2][0, 0]
    for box in boxes:
        np.testing.assert_allclose([box[0, 1], box[:, 2].sum()], 0, atol=1e-9)
    np.testing.assert_allclose(boxes[0][0, 0] + boxes[2][1, 0], 0, atol=1e-9)


def test_a_scene_file_places_turns_and_scales(files: Path) -> None:
    placement = {"position": [1, 2, 3], "rotation_degrees": 90, "scale": 2}
    scene = load_models([write(files, {"model": "box", "name": "a box", "placement": placement, "prompt": "hop"})])
    assert isinstance(scene, Scene)
    (member,) = scene.members
    assert (member.name, member.prompt) == ("a box", "hop")
    np.testing.assert_allclose(bounds(scene, 0), [[1, 2, 1], [3, 4, 3]], atol=1e-9)
    np.testing.assert_allclose(scene.alone(0)[0].vertices, load_mesh(files / "box").vertices, atol=1e-9)


def test_who_has_no_place_goes_beside_those_who_have(files: Path) -> None:
    scene = load_models([write(files, {"model": "box", "placement": {"position": [4, 0, 0]}}, {"model": "crate"})])
    assert bounds(scene, 1)[0, 0] > bounds(scene, 0)[1, 0] == 5


def test_yaml_says_the_same(files: Path) -> None:
    text = "- model: box\n  placement: {position: [1, 2, 3]}\n- model: crate\n  prompt: it falls\n- box\n"
    (files / "s.yaml").write_text(text)
    first, second, third = read_scene(files / "s.yaml")
    assert third == Entry(files / "box")
    assert first.model == files / "box" and first.position == (1, 2, 3)
    assert second.position is None and second.prompt == "it falls"


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([], "names no objects"),
        ([["box"]], "is not a mapping"),
        ([{"name": "x"}], "Object 1 of .* has no `model`"),
        ([{"model": "box"}, {"model": "box", "place": 1}], "Object 2 of .* unknown key `place`"),
        ([{"model": "box", "placement": {"scale": 0}}], "the scale 0; it must be above 0"),
        ([{"model": "box", "placement": {"position": [1, 2]}}], "`position`; that is 3 numbers"),
        ([{"model": "box", "placement": {"position": [1, 2, True]}}], "`position`; that is 3 numbers"),
        ([{"model": "box", "placement": {"turn": 1}}], "The placement of object 1 .* unknown key `turn`"),
        ([{"model": "box", "prompt": 3}], "`prompt`; that is a text"),
        ([{"model": "no"}], "no does not exist"),
    ],
)
def test_what_is_wrong_with_a_scene_file_is_one_sentence(files: Path, objects: list[object], said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        load_models([write(files, *objects)])
    assert "\n" not in str(raised.value)


def test_a_scene_file_stands_alone(files: Path) -> None:
    with pytest.raises(InputError, match="give it alone"):
        load_models([files / "box", write(files, {"model": "box"})])
    with pytest.raises(InputError, match="are objects already"):
        load_models([files / "box", files / "crate"], "auto")


def test_objects_that_touch_are_not_welded(files: Path) -> None:
    there = [{"model": "box", "placement": {"position": [x, 0, 0]}} for x in (0, 1)]
    scene = load_models([write(files, *there)])
    np.testing.assert_array_equal(scene.welded(), np.arange(16))
    assert len(scene.welded_edges()) == 24


def test_each_object_keeps_its_looks() -> None:
    from animate3d.cameras import reconstruction_cameras
    from animate3d.meshes.placement import Placement
    from animate3d.meshes.scene import Member, assemble
    from animate3d.rasterize.textured import render_mesh

    red, checked = cube(), cube()
    red.vertex_colors = np.tile(np.float32([1, 0, 0]), (8, 1))
    checked.materials = [Material("m", textures={"diffuse": np.full((4, 4, 3), (0, 0, 255), np.uint8)})]
    checked.corner_uvs = np.full((24, 2), 0.5, np.float32)
    scene = assemble([red, checked], [Member("a"), Member("b", Placement(np.eye(3), 1.0, np.array([2.0, 0, 0])))])
    placed = scene.automatic_placement().apply(scene.vertices)
    drawn = render_mesh(scene, placed[None], reconstruction_cameras(4, 64)[[0]], shading=False)[0, 0]
    colors = {tuple(c) for c in drawn[drawn[..., 3] == 255][:, :3].tolist()}
    assert {(255, 0, 0), (0, 0, 255)} <= colors


def two_rooms() -> Mesh:
    """Two nodes that do not touch, the second of which has two pieces that do."""
    parts = [Part("left"), Part("right")]
    return join([cube(), cube(1.0, (4, 0, 0)), cube(0.5, (5.001, 0, 0))], None, parts, [0, 1, 1])


def test_one_file_is_one_object_unless_asked() -> None:
    mesh = two_rooms()
    assert objects_of(mesh, "one") is mesh


@pytest.mark.parametrize("way", ["auto", "node"])
def test_nodes_that_do_not_touch_are_objects(way: str) -> None:
    scene = objects_of(two_rooms(), way)
    assert isinstance(scene, Scene) and scene.names == ["left", "right"]
    np.testing.assert_array_equal(scene.objects, np.repeat([0, 1], [8, 16]))


def test_loose_pieces_of_one_node_are_objects_where_they_do_not_touch() -> None:
    scene = objects_of(join([cube(), cube(1.0, (4, 0, 0)), cube(0.5, (5.001, 0, 0))], None), "auto")
    assert isinstance(scene, Scene) and len(scene.members) == 2
    assert [part.name for part in scene.parts] == scene.names
    np.testing.assert_array_equal(scene.objects, np.repeat([0, 1], [8, 16]))


def test_what_touches_or_lies_inside_is_one_object() -> None:
    eye, head, hat = cube(0.2, (0.4, 0.4, 0.4)), cube(), cube(0.5, (0.2, 1.001, 0.2))
    mesh = join([eye, head, hat], None, [Part("eye"), Part("head"), Part("hat")], [0, 1, 2])
    assert objects_of(mesh, "auto") is mesh
    assert len(objects_of(mesh, "node").parts) == 3


def test_a_file_without_nodes_has_none_for_objects() -> None:
    with pytest.raises(InputError, match="no nodes that could be objects"):
        objects_of(cube(), "node")
