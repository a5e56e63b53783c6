"""Clips as moving points: the surface of a made-up object in every frame, its colours and the sentence for it.

Nothing is drawn here. Points are cheap to move on a CPU core; `animate3d.small_model.data.points` draws them in
batches where the model learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.folder import FRAMES
from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.creatures.creatures import Creature, make_creature, move
from animate3d.creatures.sculpt.fields import Points
from animate3d.meshes import Placement
from animate3d.small_model.data.plan import VARIATION

POINTS = 8192
"""Points of an object: enough to cover it in pictures of 64 pixels with twice as many samples along each axis."""
CLIPS_PER_OBJECT = 6
"""Clips of an object before another is drawn: making one takes as long as a few motions of it."""
FAMILY_SHARE = 0.3
_LIT_SHARE, _LIT = 0.4, 0.45  # share of clips with light in their colours, and how dark their shadows are
_TINT = 0.06
_PROBED = 4  # every so many points are looked at to place an object


@dataclass(frozen=True, eq=False)
class MovingPoints:
    """A clip before it is drawn.

    Attributes:
        positions: float16 ``[F, P, 3]`` placed as `animate3d.meshes.Placement.automatic` places objects.
        colors: uint8 ``[P, 3]`` sRGB.
        text: the caption.
        kind: what moves: a family, or a kind of figure.
        moves: names of its motions, joined by ``+``.
    """

    positions: NDArray[np.float16]
    colors: NDArray[np.uint8]
    text: str
    kind: str
    moves: str


def clip_stream(seed: int, *, held_out: bool = False) -> Iterator[MovingPoints]:
    """Clips without end; streams of different seeds share no object.

    Args:
        seed: not negative.
        held_out: objects that no stream of a training has.
    """
    generator = np.random.default_rng([seed, int(held_out)])
    while True:
        makers = [family_object(generator, held_out)]
        for _ in range(CLIPS_PER_OBJECT):
            for make in makers:
                yield make(generator)


Maker = Callable[[np.random.Generator], MovingPoints]
"""Draws another clip of an object."""


def object_seed(generator: np.random.Generator, held_out: bool) -> int:
    """Seed of an object: odd for those held out and even for training."""
    return 2 * int(generator.integers(2**40)) + int(held_out)


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
        text = str(generator.choice(captions(family, motion)))
        return finish(moved, surface.colors, text, family, motion, generator)

    return clip


@dataclass(frozen=True, eq=False)
class MeshPoints:
    """Points spread evenly over the triangles of a mesh.

    Attributes:
        corners: ``[P, 3]`` the vertices of each point's triangle.
        shares: ``[P, 3]`` its barycentric coordinates.
        colors: ``[P, 3]`` 0..1
    """

    corners: NDArray[np.int64]
    shares: Points
    colors: Points

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
    return MovingPoints(
        placed.astype(np.float16),
        (np.clip(varied_colors(colors, placed[0], generator), 0, 1) * 255 + 0.5).astype(np.uint8),
        text,
        kind,
        moves,
    )


def varied_colors(colors: Points, placed: Points, generator: np.random.Generator) -> Points:
    """Another tint, and for some clips light from above as textures often hold it. ``[P, 3]``"""
    colors = colors * generator.uniform(1 - _TINT, 1 + _TINT, 3)
    if generator.random() < _LIT_SHARE:
        height = (placed[:, 2] - placed[:, 2].min()) / max(float(np.ptp(placed[:, 2])), 1e-9)
        side = generator.uniform(-0.5, 0.5, 2)
        light = np.clip(height + placed[:, :2] @ side, 0, 1)
        colors = colors * (1 - _LIT * generator.random() * (1 - light[:, None]))
    return colors
