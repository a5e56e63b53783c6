"""The camera of a picture is found again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from animate3d.creatures import dragon
from animate3d.creatures.creatures import make_creature
from animate3d.meshes import Mesh, load_mesh
from animate3d.runs.camera_fit import find_camera, refine_camera
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.viewpoint import Viewpoint


def a_view(mesh: Mesh, random: np.random.Generator, size: tuple[int, int]) -> Viewpoint:
    """From anywhere between 20° below and 50° above, slightly rolled, the object off the middle."""
    fov, fill = random.uniform(20, 60), random.uniform(0.45, 0.75)
    placed = mesh.automatic_placement().apply(mesh.vertices)
    radius = np.linalg.norm(placed, axis=1).max()
    return Viewpoint(
        random.uniform(-180, 180),
        random.uniform(-20, 50),
        random.uniform(-8, 8),
        fov,
        radius / math.sin(math.atan(fill * math.tan(math.radians(fov / 2)))),
        (random.uniform(-0.08, 0.08), random.uniform(-0.08, 0.08)),
        size=size,
    )


def errors(found: Viewpoint, truth: Viewpoint) -> tuple[float, float]:
    """Of azimuth and elevation, degrees."""
    return abs((found.azimuth - truth.azimuth + 180) % 360 - 180), abs(found.elevation - truth.elevation)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 4])
def test_a_lit_picture_gives_its_camera(seed: int) -> None:
    mesh = make_creature("dog", 1).mesh
    placement = mesh.automatic_placement()
    truth = a_view(mesh, np.random.default_rng(seed), (160, 120))
    found = find_camera(mesh, placement, draw_viewpoint(mesh, placement, truth, shading=True))
    assert max(errors(found.viewpoint, truth)) < 4
    assert found.overlap > 0.95 and found.believed
    assert found.viewpoint.size == (160, 120)


@pytest.mark.slow
def test_another_object_is_not_believed() -> None:
    mesh, other = make_creature("dog", 1).mesh, make_creature("butterfly", 1).mesh
    truth = a_view(other, np.random.default_rng(0), (160, 120))
    picture = draw_viewpoint(other, other.automatic_placement(), truth, shading=True)
    found = find_camera(mesh, mesh.automatic_placement(), picture)
    assert found.overlap > 0.7  # its outline alone could be believed
    assert not found.believed


def test_a_camera_nearby_is_refined_and_keeps_its_field_of_view() -> None:
    mesh = make_creature("dog", 1).mesh
    placement = mesh.automatic_placement()
    truth = a_view(mesh, np.random.default_rng(5), (160, 120))
    start = replace(truth, azimuth=truth.azimuth + 10, elevation=truth.elevation - 5, distance=truth.distance * 1.05)
    found = refine_camera(mesh, placement, draw_viewpoint(mesh, placement, truth, shading=True), start)
    assert max(errors(found, truth)) < 1
    assert found.distance == pytest.approx(truth.distance, rel=0.02)
    assert found.field_of_view == pytest.approx(truth.field_of_view)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dragon", "butterfly", "bird", "fish", "dog", "snake"])
def test_cameras_of_many_objects_are_found(name: str) -> None:
    mesh = load_mesh(dragon.demo_asset()) if name == "dragon" else make_creature(name, 1).mesh
    placement = mesh.automatic_placement()
    random = np.random.default_rng(7)
    right = []
    for _ in range(4):
        truth = a_view(mesh, random, (320, 240))
        found = find_camera(mesh, placement, draw_viewpoint(mesh, placement, truth, shading=True))
        right.append(max(errors(found.viewpoint, truth)) < 4 and found.overlap > 0.95)
    assert sum(right) == 4
