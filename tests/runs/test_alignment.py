"""Does frame 0 show the placed mesh, and does the advice for one that is placed otherwise work when it is followed?"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_asset import finned_tube
from torch import Tensor

from animate3d.cameras import reconstruction_cameras
from animate3d.evaluation.image_metrics import silhouette_iou
from animate3d.gaussians import from_mesh
from animate3d.meshes import Mesh, Placement
from animate3d.meshes.scene import Member, assemble
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.alignment import (
    MIN_ALIGNMENT,
    OTHER_COLORS,
    Advice,
    color_difference,
    for_scenes,
    for_small_frames,
    save_comparison,
    suggest,
)


def masks_of(mesh: Mesh, placement: Placement, views: int = 4, size: int = 96) -> Tensor:
    placed = np.asarray(placement.apply(mesh.vertices))[None]
    drawn = render_mesh(mesh, placed, reconstruction_cameras(views, size), shading=False)
    return torch.from_numpy(drawn[:, 0, ..., 3]).float() / 255


def turned(mesh: Mesh, axis: int, degrees: float, centred: bool = True) -> Mesh:
    a, b = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rotation[a, a], rotation[a, b], rotation[b, a], rotation[b, b] = cos, -sin, sin, cos
    vertices = mesh.vertices
    if centred:
        vertices = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return mesh.with_vertices(vertices @ rotation.T)


def advised(mesh: Mesh, placement: Placement, masks: Tensor) -> Advice:
    return suggest(mesh, placement, masks, reconstruction_cameras(len(masks), masks.shape[-1]))


def test_overlap_is_intersection_over_union_and_sizes_may_differ() -> None:
    a, b = torch.zeros(3, 8, 8), torch.zeros(3, 16, 16)
    a[0, :4], b[0, 4:12] = 1.0, 1.0  # rows 0-3 against 2-5
    a[1], b[1] = 1.0, 1.0
    assert silhouette_iou(a, b) == pytest.approx([2 / 6, 1.0, 1.0])
    assert silhouette_iou(a, a) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("axis", "degrees"), [(1, 90), (1, 180), (1, 270), (0, 90), (0, 270)])
def test_following_the_advised_flags_makes_a_turned_mesh_match(axis: int, degrees: float) -> None:
    mesh = finned_tube()
    masks = masks_of(mesh, mesh.automatic_placement())
    other = turned(mesh, axis, degrees)
    assert min(silhouette_iou(masks, masks_of(other, other.automatic_placement()))) < MIN_ALIGNMENT
    advice = advised(other, other.automatic_placement(), masks)
    found = re.search(r"--rot-x-degree (\S+) --rot-z-degree (\S+) --scale-factor (\S+)", advice.text)
    assert found and advice.placement is None
    followed = Placement.from_flags(*(float(value) for value in found.groups()))
    assert min(silhouette_iou(masks, masks_of(other, followed))) > 0.9


@pytest.mark.parametrize("views", [3, 4])
def test_where_flags_cannot_say_it_the_advised_placement_makes_the_mesh_match(views: int) -> None:
    mesh = finned_tube()
    masks = masks_of(mesh, mesh.automatic_placement(), views)
    other = turned(mesh, 2, 90)  # rolled over: a turn before the one about x
    other = other.with_vertices(100 * (other.vertices + 3))
    advice = advised(other, other.automatic_placement(), masks)
    assert advice.placement is not None and "--rot-x-degree" not in advice.text
    assert min(silhouette_iou(masks, masks_of(other, advice.placement, views))) > 0.9


def test_a_mesh_of_another_size_in_its_file_gets_the_scale() -> None:
    mesh = turned(finned_tube(), 1, 0)
    wanted = Placement.from_flags(90, 90, 0.6)
    masks = masks_of(mesh, wanted)
    advice = advised(mesh, replace(wanted, scale=1.2), masks)
    assert "--rot-x-degree 90 --rot-z-degree 90 --scale-factor" in advice.text
    assert float(advice.text.split("--scale-factor ")[1].split()[0]) == pytest.approx(0.6, rel=0.03)


def test_frames_of_something_else_get_no_false_promise() -> None:
    mesh = finned_tube()
    masks = torch.zeros(4, 64, 64)
    masks[:, 20:44, 4:60] = 1.0
    masks[:, 30:34, 4:60] = 0.0
    advice = advised(mesh, mesh.automatic_placement(), masks)
    assert "check that the frames show this mesh" in advice.text and advice.placement is None


def test_empty_frames_do_not_break_the_search() -> None:
    mesh = finned_tube()
    assert "check that the frames" in advised(mesh, mesh.automatic_placement(), torch.zeros(4, 32, 32)).text


def test_the_picture_shows_frame_model_outlines_and_advice(tmp_path: Path) -> None:
    first, model = torch.zeros(4, 32, 32, 4), torch.zeros(4, 64, 64, 4)
    first[:, 8:24, 8:24] = torch.tensor([1.0, 0.0, 0.0, 1.0])
    model[:, 8:24, 8:24] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    path = save_comparison(first, model, [0.1, 0.2, 0.3, 0.4], "Try: --rot-x-degree 90°.", tmp_path / "alignment.png")
    image = np.asarray(Image.open(path))
    assert image.shape[1] == 4 * 256 and image.shape[0] > 3 * 256
    assert image[128, 128].tolist() == [255, 0, 0] and image[256 + 64, 64].tolist() == [0, 255, 0]
    orange, blue = ((image[512:768] == colour).all(axis=-1).any() for colour in ((255, 140, 0), (0, 120, 255)))
    assert orange and blue and image[768:].max() > 200


def test_colours_differ_by_hue_and_not_by_brightness() -> None:
    model = torch.rand(2, 16, 16, 4)
    model[..., 3] = 1.0
    darker = model * torch.tensor([0.5, 0.5, 0.5, 1.0])
    assert color_difference(darker, model) < 1e-6
    red, green = torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 4)
    red[..., (0, 3)], green[..., (1, 3)] = 1.0, 1.0
    assert color_difference(red, green) > OTHER_COLORS
    assert color_difference(red * 0, green) == 0.0  # nothing is inside both


def test_of_gaussians_in_small_frames_it_is_said_that_they_look_larger() -> None:
    tube = finned_tube()
    assert "128 or more" in for_small_frames(from_mesh(tube), 64)
    assert not for_small_frames(tube, 64) and not for_small_frames(from_mesh(tube), 128)


def test_of_several_objects_it_is_said_that_a_scene_file_places_them() -> None:
    tube = finned_tube()
    assert for_scenes(tube) == ""
    assert "a scene file says where" in for_scenes(assemble([tube, tube], [Member("a"), Member("b")]))
