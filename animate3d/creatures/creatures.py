"""One creature: a textured mesh that can be moved by the motions of its family."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.families import FAMILIES
from animate3d.creatures.family import Body, Family, Motion
from animate3d.creatures.family_mesh import family_mesh
from animate3d.creatures.looks import Look, draw_look
from animate3d.creatures.sculpt.fields import Points
from animate3d.errors import InputError
from animate3d.meshes import Material, Mesh, save_obj

YAW = 15.0
"""Creatures face their family's direction within this many degrees."""


@dataclass(frozen=True, eq=False)
class Creature:
    """A member of a family.

    Attributes:
        family: its family's name.
        seed: makes it; the same seed gives the same creature.
        yaw: direction of its front from +z towards +x (azimuth 0 towards 90 once placed), degrees.
        mesh: closed, one vertex per place, with UVs and a diffuse texture; y up.
        look: colours and the words for them.
        body: the creature before it is turned by the yaw.
    """

    family: str
    seed: int
    yaw: float
    mesh: Mesh
    look: Look
    body: Body


def family_named(name: str) -> Family:
    """The family of a name in `FAMILIES`.

    Raises:
        InputError: there is none of this name.
    """
    if name not in FAMILIES:
        raise InputError(f"The family {name!r} is unknown; known are: {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def motion_named(family: Family, name: str) -> Motion:
    """The motion of a family that has a name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in family.motions:
        raise InputError(f"A {family.name} has no motion {name!r}, only: {', '.join(family.motions)}.")
    return family.motions[name]


def make_creature(family: str, seed: int) -> Creature:
    """A creature with random proportions, colours, pattern and facing.

    Args:
        family: a name in `FAMILIES`.
        seed: not negative.

    Raises:
        InputError: the family is unknown.
    """
    kind = family_named(family)
    base = family_mesh(kind)
    generator = np.random.default_rng(seed)
    traits = {name: float(generator.uniform(low, high)) for name, (low, high) in kind.traits.items()}
    yaw = float(kind.facing + generator.uniform(-YAW, YAW))
    look = draw_look(seed, base.vertices)
    body = Body(kind, traits, base.vertices, kind.grow(base.vertices, traits))
    colors = np.clip(kind.paint(base.texel_points, base.texel_normals, look), 0.0, 1.0)
    texture = (colors * 255 + 0.5).astype(np.uint8)[base.texels]
    mesh = Mesh.from_faces(
        _facing(body.rest, yaw).round(6),
        base.quads,
        corner_uvs=base.corner_uvs,
        material=Material(family, base_color=(1.0, 1.0, 1.0, 1.0), textures={"diffuse": texture}),
    )
    return Creature(family, seed, yaw, mesh, look, body)


def move(
    creature: Creature, motion: str, frames: int, amplitude: float = 1.0, speed: float = 1.0
) -> NDArray[np.float64]:
    """Positions of the mesh's vertices ``[F, N, 3]`` in its own coordinates; frame 0 is the mesh.

    Args:
        motion: a name in the family's motions.
        frames: F. At speed 1 a cyclic motion would be at rest again in frame F.
        amplitude: 1 is the usual one.
        speed: 1 is the usual one.

    Raises:
        InputError: the motion is unknown, or fewer than one frame is asked for.
    """
    pose = motion_named(creature.body.family, motion).pose
    if frames < 1:
        raise InputError(f"A motion has at least one frame, not {frames}.")
    positions = [creature.mesh.vertices]
    for frame in range(1, frames):
        positions.append(_facing(pose(creature.body, speed * frame / frames, amplitude), creature.yaw))
    return np.stack(positions)


def save_creature(creature: Creature, folder: str | os.PathLike[str]) -> Path:
    """Write the mesh as an object folder (``base.obj``, ``base.mtl``, ``texture_diffuse.png``); returns the OBJ."""
    return save_obj(creature.mesh, Path(folder))


def _facing(points: Points, yaw: float) -> Points:
    c, s = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([c * x + s * z, y, c * z - s * x], axis=-1)
