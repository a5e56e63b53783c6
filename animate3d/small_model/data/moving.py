"""Clips as moving points: the surface of a made-up object in every frame, its colours and the sentence for it.

Nothing is drawn here. Points are cheap to move on a CPU core; `animate3d.small_model.data.points` draws them in
batches where the model learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.folder import FRAMES
from animate3d.creatures.captions import FAMILY_MOTIONS
from animate3d.creatures.creatures import Creature, make_creature, move
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.part import Part
from animate3d.creatures.figures.sampling import surface_points
from animate3d.creatures.moves import (
    FAMILY_MOVES,
    MOVES,
    STILL,
    caption,
    draw_moves,
    move_points,
    subject_of,
)
from animate3d.creatures.sculpt.fields import Points
from animate3d.meshes import Placement
from animate3d.small_model.data.plan import VARIATION

POINTS = 8192
"""Points of an object: enough to cover it in pictures of 64 pixels with twice as many samples along each axis."""
CLIPS_PER_OBJECT = 6
"""Clips of an object before another is drawn: making one takes as long as a few motions of it."""
_FAMILY_SHARE, _STILL_SHARE, _FRONT_SHARE = 0.3, 0.03, 0.4
_FRONT = 20.0  # degrees on either side that count as facing the first camera
_LIT_SHARE, _LIT = 0.4, 0.45  # share of clips with light in their colours, and how dark their shadows are
_TINT = 0.12
_FARTHEST = 2.5  # of a placed point from the middle: the cameras stand at 3
_PROBED = 4  # every so many points are looked at to place an object


@dataclass(frozen=True, eq=False)
class MovingPoints:
    """A clip before it is drawn.

    Attributes:
        positions: float16 ``[F, P, 3]`` placed as `animate3d.meshes.Placement.automatic` places objects.
        colors: uint8 ``[P, 3]`` sRGB.
        text: the caption.
        kind: what moves: a family, or a kind of figure.
        moves: names of its moves, joined by ``+``, or ``still``.
    """

    positions: NDArray[np.float16]
    colors: NDArray[np.uint8]
    text: str
    kind: str
    moves: str


def clip_stream(seed: int, *, held_out: bool = False) -> Iterator[MovingPoints]:
    """Clips without end; streams of different seeds share no object, those held out none with any training."""
    generator = np.random.default_rng([seed, int(held_out)])
    while True:
        draw_object = family_object if generator.random() < _FAMILY_SHARE else figure_object
        draw_clip = draw_object(generator, held_out)
        for _ in range(CLIPS_PER_OBJECT):
            yield draw_clip(generator)


Maker = Callable[[np.random.Generator], MovingPoints]
"""Draws another clip of an object."""


def object_seed(generator: np.random.Generator, held_out: bool) -> int:
    """Seed of an object: odd for those held out and even for training."""
    return 2 * int(generator.integers(2**40)) + int(held_out)


# -- random figures --------------------------------------------------------------------------------------------------


def figure_object(generator: np.random.Generator, held_out: bool = False) -> Maker:
    """A random figure, which can face anywhere."""
    figure = draw_figure(object_seed(generator, held_out))
    points, normals = surface_points(figure, POINTS, generator)
    colors = figure.paint(points, normals)
    jointed = _Skinned(figure.parts, figure.weights(points))

    def clip(generator: np.random.Generator) -> MovingPoints:
        subject = subject_of(jointed, points, draw_yaw(generator))
        moves = draw_moves(subject, generator) if generator.random() > _STILL_SHARE else []
        text = caption(moves, figure.noun, generator) if moves else f"the {figure.noun} is {STILL}"
        names = "+".join(move.name for move, _ in moves) or "still"
        return finish(move_points(subject, moves, FRAMES), colors, text, figure.kind, names, generator)

    return clip


@dataclass(frozen=True, eq=False)
class _Skinned:
    """Parts, and how much the points of a figure follow them, which is measured once for all its clips."""

    parts: tuple[Part, ...]
    known: Points

    def weights(self, points: Points) -> Points:
        return self.known


def draw_yaw(generator: np.random.Generator) -> float:
    """Often towards the first camera, else anywhere; degrees."""
    reach = _FRONT if generator.random() < _FRONT_SHARE else 180.0
    return float(generator.uniform(-reach, reach))


# -- the seven families ----------------------------------------------------------------------------------------------


def family_object(generator: np.random.Generator, held_out: bool = False) -> Maker:
    """A creature of one of the seven families."""
    family = str(generator.choice(list(FAMILY_MOTIONS)))
    creature = make_creature(family, object_seed(generator, held_out))
    surface = sample_creature(creature, POINTS, generator)

    def clip(generator: np.random.Generator) -> MovingPoints:
        motion = str(generator.choice(FAMILY_MOTIONS[family]))
        amplitude, speed = generator.uniform(1 - VARIATION, 1 + VARIATION, 2)
        moved = surface.follow(move(creature, motion, FRAMES, amplitude, speed))
        name, usual = FAMILY_MOVES[family][motion]
        manner = replace(usual, amplitude=usual.amplitude * amplitude, speed=usual.speed * speed)
        text = caption([(MOVES[name], manner)], family, generator)
        return finish(moved, surface.colors, text, family, name, generator)

    return clip


@dataclass(frozen=True, eq=False)
class MeshPoints:
    """Points spread evenly over the triangles of a mesh."""

    corners: NDArray[np.int64]  # [P, 3] the vertices of each point's triangle
    shares: Points  # [P, 3] its barycentric coordinates
    colors: Points  # [P, 3] 0..1

    def follow(self, positions: NDArray[np.float64]) -> Points:
        """Where the points are when the vertices are at ``[F, N, 3]``. ``[F, P, 3]``"""
        positions = positions.astype(np.float32)
        moved = self.shares[:, :1] * positions[:, self.corners[:, 0]]
        for corner in (1, 2):
            moved += self.shares[:, corner, None] * positions[:, self.corners[:, corner]]
        return moved


def sample_creature(creature: Creature, count: int, generator: np.random.Generator) -> MeshPoints:
    """Points on the surface of a creature, with the colours of its texture."""
    mesh = creature.mesh
    triangles, corners, _ = mesh.triangles()
    chosen, shares = spread(mesh.vertices[triangles], count, generator)
    assert mesh.corner_uvs is not None
    uvs = (mesh.corner_uvs[corners[chosen]] * shares[..., None]).sum(axis=1)
    texture = mesh.materials[0].textures["diffuse"]
    height, width = texture.shape[:2]
    column = np.clip((uvs[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(((1 - uvs[:, 1]) * height).astype(int), 0, height - 1)
    return MeshPoints(triangles[chosen], shares.astype(np.float32), texture[row, column, :3] / 255.0)


def spread(triangles: Points, count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], Points]:
    """Places on triangles ``[T, 3, 3]``, even by area: the triangle ``[count]`` and the coordinates ``[count, 3]``."""
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    reached = np.cumsum(area) / area.sum()
    # Even steps with a little chance leave fewer holes than independent draws.
    steps = (np.arange(count) + generator.random(count)) / count
    chosen = np.minimum(np.searchsorted(reached, steps), len(triangles) - 1)
    u, v = np.sqrt(generator.random(count)), generator.random(count)
    return chosen, np.stack([1 - u, u * (1 - v), u * v], axis=1)


# -- all objects -----------------------------------------------------------------------------------------------------


def finish(
    positions: Points, colors: Points, text: str, kind: str, moves: str, generator: np.random.Generator
) -> MovingPoints:
    """Place a clip ``[F, P, 3]`` with its y axis up, and vary its colours ``[P, 3]`` 0..1."""
    placed = Placement.automatic(positions[0, ::_PROBED], "y").apply(positions.astype(np.float32))
    if not np.abs(placed).max() < _FARTHEST:
        raise ValueError(f"A {kind} moves out of sight ({moves}).")
    painted = as_bytes(varied_colors(colors, placed[0], generator))
    return MovingPoints(placed.astype(np.float16), painted, text, kind, moves)


def as_bytes(colors: Points) -> NDArray[np.uint8]:
    """Colours 0..1 in steps of 255; those beyond are cut off."""
    return (colors * 255 + 0.5).clip(0, 255).astype(np.uint8)


def varied_colors(colors: Points, placed: Points, generator: np.random.Generator) -> Points:
    """Another hue and tint, and for some clips light from above as textures often hold it. ``[P, 3]``"""
    colors = colors[:, generator.permutation(3)] * generator.uniform(1 - _TINT, 1 + _TINT, 3)
    if generator.random() < _LIT_SHARE:
        height = (placed[:, 2] - placed[:, 2].min()) / max(float(np.ptp(placed[:, 2])), 1e-9)
        side = generator.uniform(-0.5, 0.5, 2)
        light = np.clip(height + placed[:, :2] @ side, 0, 1)
        colors = colors * (1 - _LIT * generator.random() * (1 - light[:, None]))
    return colors
