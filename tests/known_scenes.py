"""Scenes of creatures whose motions are known: what was tracked is compared object by object."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from animate3d.cameras import Cameras, orbit_cameras
from animate3d.creatures.creatures import make_creature, move
from animate3d.evaluation.recovery import Recovery, recovery
from animate3d.meshes import Mesh, Placement
from animate3d.meshes.scene import Member, Scene, assemble
from animate3d.rasterize.textured import render_mesh

Path3 = Callable[[float], tuple[float, float, float]]
"""Where an object goes at the time 0..1, from its place at rest."""


def still(t: float) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0)


def scene(
    *objects: tuple[str, int, str | None, tuple[float, float, float], float, Path3], frames: int = 16
) -> tuple[Scene, np.ndarray]:
    """A scene and its true positions ``[F, N, 3]`` in scene coordinates.

    Args:
        objects: family, seed, motion (None for none), position, scale and path of each.
        frames: F
    """
    meshes: list[Mesh] = []
    members: list[Member] = []
    truths = []
    for family, seed, motion, position, scale, path in objects:
        creature = make_creature(family, seed)
        placement = Placement(np.eye(3), scale, np.array(position))
        poses = move(creature, motion, frames) if motion else np.repeat(creature.mesh.vertices[None], frames, axis=0)
        away = np.array([path(f / (frames - 1)) for f in range(frames)])
        truths.append(placement.apply(poses) + away[:, None])
        meshes.append(creature.mesh)
        members.append(Member(family, placement))
    return assemble(meshes, members), np.concatenate(truths, axis=1)


def ball_before_flower(frames: int = 16) -> tuple[Scene, np.ndarray]:
    """A ball passes in front of a swaying flower."""
    across: Path3 = lambda t: (2.2 * t, 0.25 * float(np.sin(np.pi * t)), 0.0)  # noqa: E731
    flower = ("flower", 1, "sway", (0.0, 0.0, 0.0), 1.0, still)
    return scene(flower, ("ball", 1, None, (-1.1, -0.2, 0.9), 0.35, across), frames=frames)


def dog_beside_still_bird(frames: int = 16) -> tuple[Scene, np.ndarray]:
    """Two creatures, one still."""
    dog = ("dog", 1, "jump", (-0.8, 0.0, 0.0), 1.0, still)
    return scene(dog, ("bird", 1, None, (0.8, 0.0, 0.0), 0.8, still), frames=frames)


def three(frames: int = 16) -> tuple[Scene, np.ndarray]:
    """A flower sways, a ball passes in front of it, a butterfly flaps its wings beside."""
    across: Path3 = lambda t: (1.8 * t, 0.2 * float(np.sin(np.pi * t)), 0.0)  # noqa: E731
    flower = ("flower", 1, "sway", (0.0, 0.0, 0.0), 1.0, still)
    ball = ("ball", 1, None, (-0.9, -0.2, 0.9), 0.35, across)
    return scene(flower, ball, ("butterfly", 1, "flap", (1.3, 0.4, 0.0), 0.6, still), frames=frames)


SCENES = {kind.__name__: kind for kind in (ball_before_flower, dog_beside_still_bird, three)}


def filmed(mesh: Scene, truth: np.ndarray, views: int = 4, size: int = 256) -> tuple[Placement, np.ndarray, Cameras]:
    """The automatic placement, and RGBA frames ``[V, F, H, W, 4]`` 0..1 of the placed truth."""
    placement = mesh.automatic_placement()
    spacing = 90.0 if views <= 2 else 360.0 / views
    cameras = orbit_cameras(15.0, [spacing * v for v in range(views)], size=size)
    frames = render_mesh(mesh, placement.apply(truth), cameras, shading=False)
    return placement, frames.astype(np.float32) / 255, cameras


def by_object(mesh: Scene, positions: np.ndarray, truth: np.ndarray) -> dict[str, Recovery]:
    """How well each object was recovered, against its own diagonal."""
    chosen = {name: mesh.objects == number for number, name in enumerate(mesh.names)}
    return {name: recovery(positions[:, own], truth[:, own]) for name, own in chosen.items()}
