from __future__ import annotations

import numpy as np
import trimesh
from moving_shapes import patterned_capsule, template_of

from animate3d.motion.template import Template, surface_links


def test_coincident_vertices_become_one_node() -> None:
    mesh = patterned_capsule(1)
    doubled = np.concatenate([mesh.vertices, mesh.vertices])
    groups = np.tile(np.arange(mesh.n_vertices), 2)
    template = Template(doubled, mesh.triangles()[0], groups, np.zeros_like(doubled))
    assert template.n_nodes == mesh.n_vertices
    moved, _ = template.carry(template.rest[None] + 0.5, np.eye(3)[None, None].repeat(template.n_nodes, axis=1))
    np.testing.assert_allclose(moved[0], doubled + 0.5)


def test_a_thinned_surface_reproduces_rigid_motions_exactly() -> None:
    mesh = patterned_capsule(3)
    template = template_of(mesh, max_nodes=100)
    turn = trimesh.transformations.rotation_matrix(0.8, [1, 2, 3])[:3, :3]
    nodes = template.rest @ turn.T + [0.1, 0.2, 0.3]
    moved, _ = template.carry(nodes[None], np.broadcast_to(turn, (1, template.n_nodes, 3, 3)))
    np.testing.assert_allclose(moved[0], mesh.vertices @ turn.T + [0.1, 0.2, 0.3], atol=1e-12)


def test_the_two_sides_of_a_thin_plate_are_linked_and_separate_plates_are_not() -> None:
    plate = trimesh.creation.box(extents=[1, 1, 0.05]).subdivide_to_size(0.1)
    far = plate.copy()
    far.apply_translation([0, 0, 0.6])
    both = trimesh.util.concatenate([plate, far])
    vertices, triangles = np.array(both.vertices), np.array(both.faces)
    links = surface_links(vertices, triangles)
    step = vertices[links[:, 0]] - vertices[links[:, 1]]
    inner = np.abs(vertices[links]).max(axis=(1, 2)) < 0.45  # away from the rim, where mesh edges cross too
    through = inner & (np.abs(step[:, 2]) > 0.04)
    assert through.any()
    assert (np.abs(step[:, 2]) < 0.3).all()


def test_loose_pieces_that_nearly_touch_are_linked() -> None:
    body, eye = trimesh.creation.icosphere(2), trimesh.creation.icosphere(2, radius=0.3)
    eye.apply_translation([1.32, 0, 0])
    both = trimesh.util.concatenate([body, eye])
    links = surface_links(np.array(both.vertices), np.array(both.faces))
    side = links < len(body.vertices)
    assert (side[:, 0] != side[:, 1]).any()


def test_inside_out_faces_give_the_same_links() -> None:
    plate = trimesh.creation.box(extents=[1, 1, 0.05]).subdivide_to_size(0.1)
    vertices, triangles = np.array(plate.vertices), np.array(plate.faces)
    np.testing.assert_array_equal(surface_links(vertices, triangles), surface_links(vertices, triangles[:, ::-1]))
