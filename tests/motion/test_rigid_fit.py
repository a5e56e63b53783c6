from __future__ import annotations

import numpy as np
import pytest
import trimesh
from moving_shapes import patterned_capsule, template_of

from animate3d.motion import fit_kernels
from animate3d.motion.rigid_fit import Rays, RigidFit
from animate3d.motion.template import Template


def rays_to(template, positions: np.ndarray, eye: np.ndarray, weight: float = 1.0) -> Rays:  # type: ignore[no-untyped-def]
    """A ray from ``eye`` through the middle of every triangle at ``positions``."""
    count = len(template.triangles)
    middle = positions[template.triangles].mean(axis=1)
    directions = (middle - eye) / np.linalg.norm(middle - eye, axis=1, keepdims=True)
    thirds, origins = np.full((count, 3), 1 / 3), np.broadcast_to(eye, (count, 3))
    across = np.cross(directions, [0.3, 0.5, 0.8])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return Rays(np.arange(count), thirds, origins, directions, np.full(count, weight), across, np.ones((count, 2)))


def join(*parts: Rays) -> Rays:
    return Rays(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def test_a_rigid_motion_seen_from_two_sides_is_found() -> None:
    template = template_of(patterned_capsule(2))
    turn = trimesh.transformations.rotation_matrix(0.3, [0, 1, 1])[:3, :3]
    truth = template.rest @ turn.T + [0.05, -0.1, 0.02]
    rays = join(rays_to(template, truth, np.array([3.0, 0, 0])), rays_to(template, truth, np.array([0, 3.0, 0])))
    fit = RigidFit(template)
    found = fit.solve(template.rest, rays, stiffness=1.0, turns=30)
    np.testing.assert_allclose(found, truth, atol=2e-3)
    np.testing.assert_allclose(fit.rotations(found), np.broadcast_to(turn, (template.n_nodes, 3, 3)), atol=0.02)


def test_what_is_firm_along_one_direction_alone_leaves_the_other_free() -> None:
    template, eye = template_of(patterned_capsule(1)), np.array([30.0, 0, 0])
    rays = rays_to(template, template.rest + [0.0, 0.1, 0.1], eye)
    across = np.cross(rays.directions, [0.0, 1.0, 0.0])  # upwards, nearly
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    rays = rays._replace(across=across, firmness=np.broadcast_to([1.0, 0.0], (len(across), 2)))
    moved = RigidFit(template).solve(template.rest, rays, stiffness=1.0, turns=20) - template.rest
    assert abs(moved[:, 2].mean() - 0.1) < 0.01
    assert abs(moved[:, 1].mean()) < 0.01


def test_with_joints_half_of_a_body_turns_about_its_middle_and_does_not_bend_as_a_whole() -> None:
    template = template_of(patterned_capsule(2))
    turn = trimesh.transformations.rotation_matrix(0.6, [0, 1, 0])[:3, :3]
    truth = np.where(template.rest[:, 2:] > 0, template.rest @ turn.T, template.rest)
    eyes = np.array([3.0, 0, 0]), np.array([0, 3.0, 0])
    rays = join(*(rays_to(template, truth, eye) for eye in eyes))

    def error(joints: bool) -> float:
        fit, found = RigidFit(template, joints=joints), template.rest
        for stiffness in (10.0, 3.0, 3.0, 3.0):
            found = fit.solve(found, rays, stiffness, turns=10)
        return float(np.linalg.norm(found - truth, axis=1).mean())

    assert error(joints=True) < 0.6 * error(joints=False)


def test_no_rays_leave_the_start() -> None:
    template = template_of(patterned_capsule(1))
    none = Rays(*(part[:0] for part in rays_to(template, template.rest, np.array([3.0, 0, 0]))))
    found = RigidFit(template).solve(template.rest, none, stiffness=1.0, turns=2)
    np.testing.assert_allclose(found, template.rest, atol=1e-9)


def test_rotations_are_proper_even_for_a_mirrored_shape() -> None:
    template = template_of(patterned_capsule(1))
    rotations = RigidFit(template).rotations(template.rest * [-1, 1, 1])
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-9)


def test_pieces_that_lie_on_each_other_go_together_unseen_and_part_when_the_rays_say_so() -> None:
    box = trimesh.creation.box(extents=[0.5, 0.5, 0.1])
    upper = box.copy()
    upper.apply_translation([0, 0, 0.101])
    both = trimesh.util.concatenate([box, upper])
    vertices = np.array(both.vertices)
    template = Template(vertices, np.array(both.faces), np.arange(len(vertices)), np.zeros_like(vertices), nodes=300)
    first = template.pieces == template.pieces[0]
    moved = template.rest + np.where(first, 1.0, -1.0)[:, None] * [0.1, 0, 0]
    eyes = (np.array([0, 3.0, 0]), np.array([0, 0, 3.0]))
    rays = join(*(rays_to(template, moved, eye) for eye in eyes))
    fit = RigidFit(template)
    parted = template.rest
    for _ in range(3):
        parted = fit.solve(parted, rays, stiffness=1.0, turns=10)
    np.testing.assert_allclose(parted, moved, atol=0.01)
    seen = first[template.triangles[rays.triangles]].all(axis=1)
    together = fit.solve(template.rest, Rays(*(part[seen] for part in rays)), stiffness=1.0, turns=30)
    assert (together - template.rest)[~first, 0].mean() > 0.05


@pytest.mark.parametrize("other", [[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])
def test_the_axes_of_a_node_are_its_lines_of_sight(other: list[float]) -> None:
    nodes = np.random.default_rng(0).normal(size=(20, 3))
    nodes[0] = eye = np.array([5.0, 0.0, 0.0])  # where the camera is, there is no line
    axes = np.empty((20, 3, 3))
    fit_kernels.find_axes(nodes, eye, np.array(other), axes)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    sight = nodes[1:] - eye
    np.testing.assert_allclose(axes[1:, 0], sight / np.linalg.norm(sight, axis=1, keepdims=True))
