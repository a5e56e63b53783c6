from __future__ import annotations

import numpy as np
import pytest
import trimesh
from moving_shapes import patterned_capsule, template_of

from animate3d.meshes import Material, Mesh
from animate3d.meshes.appearance import paint_of, vertex_colors
from animate3d.motion.density import split
from animate3d.motion.objects import SceneTemplate
from animate3d.motion.objects import template_of as template_of_surface
from animate3d.motion.template import Surface, Template


def test_coincident_vertices_become_one_node() -> None:
    mesh = patterned_capsule(1)
    doubled = np.concatenate([mesh.vertices, mesh.vertices])
    groups = np.tile(np.arange(mesh.n_vertices), 2)
    template = Template(doubled, mesh.triangles()[0], groups, np.zeros_like(doubled), nodes=600)
    assert template.n_nodes == template_of(mesh).n_nodes
    moved, _ = template.carry(template.rest + 0.5, np.eye(3)[None].repeat(template.n_nodes, axis=0))
    np.testing.assert_allclose(moved, doubled + 0.5)


def test_a_thinned_surface_reproduces_rigid_motions_exactly() -> None:
    mesh = patterned_capsule(3)
    template = template_of(mesh, nodes=100)
    turn = trimesh.transformations.rotation_matrix(0.8, [1, 2, 3])[:3, :3]
    nodes = template.rest @ turn.T + [0.1, 0.2, 0.3]
    moved, _ = template.carry(nodes, np.broadcast_to(turn, (template.n_nodes, 3, 3)))
    np.testing.assert_allclose(moved, mesh.vertices @ turn.T + [0.1, 0.2, 0.3], atol=1e-12)


def plain(shape: trimesh.Trimesh, nodes: int = 1000) -> Template:
    vertices = np.array(shape.vertices)
    return Template(vertices, np.array(shape.faces), np.arange(len(vertices)), np.zeros_like(vertices), nodes=nodes)


def plates(gap: float, thickness: float = 0.05) -> trimesh.Trimesh:
    plate = trimesh.creation.box(extents=[1, 1, thickness])
    other = plate.copy()
    other.apply_translation([0, 0, thickness + gap])
    return trimesh.util.concatenate([plate, other])


def test_a_coarse_mesh_is_split_and_its_vertices_are_nodes() -> None:
    template = plain(trimesh.creation.box(extents=[1, 1, 0.05]), nodes=500)
    assert 300 < template.n_nodes < 600
    length = np.linalg.norm(np.diff(template.rest[template.links], axis=1), axis=-1)
    assert length.max() < 3 * template.edge
    moved, _ = template.carry(template.rest + 0.5, np.eye(3)[None].repeat(template.n_nodes, axis=0))
    np.testing.assert_array_equal(moved, template.vertices + 0.5)


def test_corners_lie_where_their_places_on_the_uncut_triangles_say() -> None:
    shape = trimesh.creation.box(extents=[1, 2, 3])
    whole = np.asarray(shape.vertices)[shape.faces]
    values, triangles, places = split(np.array(shape.vertices), np.array(shape.faces), 0.7)
    assert len(triangles) > 5 * len(shape.faces)
    np.testing.assert_allclose(values[triangles], places.barycentrics @ whole[places.triangles], atol=1e-12)


def striped() -> Mesh:
    """A square of two triangles, x and y 0..1, red left of the middle and blue right of it."""
    image = np.zeros((8, 64, 3), np.uint8)
    image[:, :32, 0], image[:, 32:, 2] = 255, 255
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces, material = np.array([[0, 1, 2], [0, 2, 3]]), Material("striped", textures={"diffuse": image})
    return Mesh.from_faces(corners, faces, corner_uvs=corners[faces][..., :2], material=material)


@pytest.mark.parametrize("objects", [None, np.zeros(8, int), np.repeat([0, 1], 4)])
def test_a_texture_colours_what_lies_between_the_vertices_of_a_coarse_mesh(objects: np.ndarray | None) -> None:
    mesh = striped()
    if objects is not None:
        both = np.concatenate([mesh.vertices, mesh.vertices + [0, 0, 1]])
        faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
        mesh = Mesh.from_faces(both, faces, corner_uvs=both[faces][..., :2], material=mesh.materials[0])
    surface = Surface(mesh.vertices, mesh.triangles()[0], mesh.welded(), vertex_colors(mesh), objects, paint_of(mesh))
    template = template_of_surface(surface, nodes=800)
    assert isinstance(template, SceneTemplate) == (objects is not None and objects.any())
    x = template.rest[:, 0]
    left, right = x < 0.4, x > 0.6
    painted = template.painted().colors
    np.testing.assert_allclose(painted[left], np.tile([1, 0, 0], (left.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(painted[right], np.tile([0, 0, 1], (right.sum(), 1)), atol=1e-6)
    darker = template_of_surface(surface.toned(np.array([0.5, 1, 0.25])), nodes=800).painted().colors
    np.testing.assert_allclose(darker, painted * [0.5, 1, 0.25], atol=1e-6)
    assert (template.colors[(x > 0.2) & (x < 0.4), 2] > 0.05).all()  # mixed from the corners


def test_a_coarse_part_beside_a_dense_one_is_painted_as_well() -> None:
    mesh = striped()
    ball = trimesh.creation.icosphere(4, radius=0.05)
    vertices = np.concatenate([mesh.vertices, ball.vertices + [0, 0, 1]])
    triangles = np.concatenate([mesh.triangles()[0], ball.faces + 4])
    colors, paint = np.tile([0.5, 0, 0.5], (len(vertices), 1)), paint_of(mesh)
    assert paint is not None

    def both(at: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
        found, of_square = np.full((len(at), 3), 0.5), at < 2
        found[of_square] = paint(at[of_square], barycentrics[of_square])
        return found

    template = Template(vertices, triangles, np.arange(len(vertices)), colors, nodes=1500, paint=both)
    left = (template.rest[:, 0] < 0.4) & (template.rest[:, 2] < 0.5)
    assert left.sum() > 50 and template.n_nodes < len(vertices)
    np.testing.assert_allclose(template.painted().colors[left], np.tile([1, 0, 0], (left.sum(), 1)), atol=1e-6)


def test_a_surface_without_texture_has_the_colours_of_its_vertices() -> None:
    template = template_of(patterned_capsule())
    assert paint_of(patterned_capsule()) is None
    np.testing.assert_array_equal(template.painted().colors, template.colors)


def test_vertices_that_nothing_can_tell_apart_keep_their_shape() -> None:
    """A fan a thousand times smaller than its neighbours weighs nothing: as nodes its vertices would fly apart."""
    ball = trimesh.creation.icosphere(2)
    (a, b, c), n = ball.faces[0], len(ball.vertices)
    p, q, r = n, n + 1, n + 2
    fan = ball.triangles_center[0] + 1e-4 * (ball.vertices[[a, b, c]] - ball.triangles_center[0])
    ring = [[a, b, p], [b, q, p], [b, c, q], [c, r, q], [c, a, r], [a, p, r], [p, q, r]]
    shape = trimesh.Trimesh(np.concatenate([ball.vertices, fan]), [*ball.faces[1:], *ring], process=False)
    template = plain(shape, nodes=n)
    assert template.n_nodes == plain(ball, nodes=n).n_nodes + 1
    turn = trimesh.transformations.rotation_matrix(0.8, [1, 2, 3])[:3, :3]
    rotations = np.broadcast_to(turn, (template.n_nodes, 3, 3))
    moved, _ = template.carry(np.random.default_rng(0).normal(size=(template.n_nodes, 3)), rotations)
    np.testing.assert_allclose(moved[n + 1 :] - moved[n], (fan[1:] - fan[0]) @ turn.T, atol=1e-12)
    moved, _ = template.carry(template.rest @ turn.T, rotations)
    np.testing.assert_allclose(moved, shape.vertices @ turn.T, atol=1e-12)


def test_thinning_keeps_pieces_apart_and_thin_parts_drawn() -> None:
    wire = trimesh.creation.cylinder(radius=0.004, height=2, sections=8).subdivide_to_size(0.05)
    near = wire.copy()
    near.apply_translation([0.009, 0, 0])
    ball = trimesh.creation.icosphere(4, radius=0.5)
    template = plain(trimesh.util.concatenate([wire, near, ball]), nodes=400)
    assert template.pieces.max() == 2
    area = np.bincount(template.pieces, template.areas)
    assert area[:2].min() > 0.6 * wire.area


def test_the_two_sides_of_a_thin_plate_are_linked() -> None:
    template = plain(plates(gap=0.6))
    step = np.diff(template.rest[template.links], axis=1)[:, 0]
    inner = np.abs(template.rest[template.links][..., :2]).max(axis=(1, 2)) < 0.45  # away from the rim
    assert (inner & (np.abs(step[:, 2]) > 0.04)).any()
    assert (np.abs(step[:, 2]) < 0.3).all()


def test_pieces_that_lie_on_each_other_are_bound_firmly_and_those_that_touch_in_a_corner_faintly() -> None:
    flat = plain(plates(gap=0.001))
    firm = flat.bonds.firmness.max()
    assert firm < 0.2  # what a camera sees of a piece has the say
    corner = trimesh.creation.box(extents=[1, 1, 0.05])
    other = corner.copy()
    other.apply_translation([0.99, 0.99, 0.051])
    touching = plain(trimesh.util.concatenate([corner, other]))
    assert len(touching.bonds.pairs) and touching.bonds.firmness.max() < 0.1 * firm


def test_a_piece_that_touches_nothing_hangs_faintly_on_its_nearest_neighbour() -> None:
    bonds = plain(plates(gap=0.6)).bonds
    assert len(bonds.pairs) and bonds.firmness.max() < 0.002


def test_the_way_that_faces_are_wound_does_not_matter() -> None:
    plate = trimesh.creation.box(extents=[1, 1, 0.05])
    turned = trimesh.Trimesh(plate.vertices, plate.faces[:, ::-1], process=False)
    count, other = len(plain(plate).links), len(plain(turned).links)
    assert abs(count - other) < 0.02 * count


def test_links_are_strained_by_stretching_and_not_by_turning() -> None:
    template = template_of(patterned_capsule(2))
    turned = template.rest @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 1.0
    assert template.strain(turned) == pytest.approx(0.0, abs=1e-12)
    assert template.strain(1.1 * turned) == pytest.approx(0.1)
    assert template.strain(0.9 * turned) == pytest.approx(0.1)


def bent_tube(gap: float) -> tuple[trimesh.Trimesh, np.ndarray]:
    """A square tube bent into a U whose halves, 0.2 and less wide, lie this far apart; negative where they overlap.

    Returns:
        the tube, and where each vertex is along it, 0 to 1 ``[N]``.
    """
    far = np.linspace(0, 1, 40)
    turn = np.clip((far - 0.4) / 0.2, 0, 1) * np.pi
    radius = 0.1 + gap / 2
    along = radius * np.sin(turn) - 5 * np.maximum(np.abs(far - 0.5) - 0.1, 0)
    spine = np.stack([along, -radius * np.cos(turn), 0 * far], axis=1)
    across, up = np.stack([np.sin(turn), -np.cos(turn), 0 * far], axis=1), np.array([0, 0, 1])
    width = (0.1 - 0.02 * far)[:, None]  # no two sides lie in one plane
    rings = [spine + width * (a * across + b * up) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    corner = np.arange(160).reshape(40, 4)
    around = np.roll(corner, -1, axis=1)
    quads = np.stack([corner[:-1], around[:-1], around[1:], corner[1:]], axis=-1).reshape(-1, 4)
    quads = np.concatenate([quads, [[0, 3, 2, 1], [156, 157, 158, 159]]])
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return trimesh.Trimesh(np.stack(rings, axis=1).reshape(-1, 3), faces, process=False), np.repeat(far, 4)


@pytest.mark.parametrize("gap", [0.05, -0.07])
def test_limbs_that_touch_or_overlap_at_rest_are_not_tied_together(gap: float) -> None:
    tube, far = bent_tube(gap)
    along = np.repeat(far[:, None], 3, axis=1)
    tied = Template(np.array(tube.vertices), np.array(tube.faces), np.arange(len(tube.vertices)), along, nodes=800)
    free = tied.untied()

    def ties(template: Template) -> int:
        return int((np.abs(np.diff(template.colors[template.links][..., 0], axis=1)) > 0.2).sum())

    assert ties(tied) > 100
    assert ties(free) < 0.05 * ties(tied)  # a corner that stands out of the other half by a hair
    through = np.linalg.norm(np.diff(free.rest[free.links], axis=1)[:, 0], axis=1) > 0.15
    assert through.sum() > 200  # the two sides of either half
