"""Meshes that are to do something, with the true motion of their vertices and other motions that they could do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.folder import FRAMES
from animate3d.creatures.creatures import make_creature, move
from animate3d.creatures.figures import figure_mesh
from animate3d.creatures.moves import (
    MOVES,
    Manner,
    Move,
    Subject,
    canonical,
    move_points,
    shows,
    subject_of,
    subject_of_points,
)
from animate3d.creatures.sculpt.fields import Points
from animate3d.errors import InputError
from animate3d.files import existing_folder
from animate3d.meshes import Mesh, load_mesh
from animate3d.small_model.cases import CANDIDATES, FAMILY, Asked, Cast, Trained, casts, family_prompt, family_turns
from animate3d.small_model.data.moving import object_seed

FOREIGN, YAW = "foreign mesh", "facing"
FACINGS = tuple(range(0, 360, 45))
_STRIDE = 5  # from one prompted move to the next
_SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb", ".gltf")
_TO_PLACED = (2, 0, 1)
"""Placed axes of y-up ones: the front +z is azimuth 0 (+x), the left +x is +y, and up is +z."""


@dataclass(frozen=True, eq=False)
class Act(Asked):
    """A prompt for a mesh.

    Attributes:
        mesh: at rest.
        positions: ``[M, F, N, 3]`` its vertices in each motion, in the mesh's coordinates.
    """

    mesh: Mesh
    positions: NDArray[np.float64]


Pending = tuple[str, Callable[[], Act]]
"""The name of an act, and what makes it: meshes take seconds, which an act that is known already does not need."""


def figure_acts(count: int, seed: int = 0) -> Iterator[Pending]:
    """The figures, prompts and motions of `animate3d.small_model.cases.figure_cases`, as meshes."""
    for cast in casts(count, seed):
        yield cast.uid, partial(_act_of, cast, cast.yaw, cast.uid, cast.group)


def facing_acts(count: int, seed: int = 0) -> Iterator[Pending]:
    """A few of the figures, each in eight facings; their directions are none, which a turn would change."""
    chosen = (cast for cast in casts(4 * count, seed) if not cast.wanted.directions)
    for _, cast in zip(range(count), chosen, strict=False):
        for yaw in FACINGS:
            uid = f"{cast.uid}_{yaw:03d}"
            yield uid, partial(_act_of, cast, float(yaw), uid, YAW)


def _act_of(cast: Cast, yaw: float, uid: str, group: str) -> Act:
    mesh = figure_mesh(cast.figure)
    subject = subject_of(cast.figure, mesh.vertices, yaw)
    turned = replace(mesh, vertices=subject.points.round(6))
    return Act(uid, cast.figure.kind, group, cast.moves, cast.prompt, yaw, turned, np.stack(cast.moved(subject)))


def family_acts(count: int, seed: int = 0, trained: Trained = Trained()) -> Iterator[Pending]:  # noqa: B008
    """Creatures of the seven families with the motions of their own; families and motions take turns."""
    generator = np.random.default_rng([seed, 103])
    for number, (family, motions) in enumerate(family_turns(count)):
        uid = f"{number:04d}_{family}_{motions[0]}"
        yield uid, partial(_family_act, uid, family, motions, object_seed(generator, held_out=True), trained)


def _family_act(uid: str, family: str, motions: tuple[str, ...], seed: int, trained: Trained) -> Act:
    creature = make_creature(family, seed)
    prompt = family_prompt(family, motions[0], trained)
    moved = np.stack([move(creature, motion, trained.frames) for motion in motions])
    return Act(uid, family, FAMILY, motions, prompt, creature.yaw, creature.mesh, moved)


# -- meshes from elsewhere -------------------------------------------------------------------------------------------


def foreign_acts(folder: Path, each: int, seed: int = 0) -> Iterator[Pending]:
    """Meshes that nobody here made, with so many whole-body moves each; the moves take turns.

    Raises:
        InputError: there is no folder, or no mesh in it.
    """
    paths = foreign_meshes(folder)
    for turn in range(each):
        for place, path in enumerate(paths):
            number = turn * len(paths) + place
            uid = f"{number:03d}_{path.stem}"
            yield uid, partial(_foreign_act, uid, path, number + seed)


def _foreign_act(uid: str, path: Path, number: int) -> Act:
    mesh = load_mesh(path)
    subject = subject_of_mesh(mesh)
    fitting = [motion for motion in MOVES.values() if not motion.needs and shows(subject, motion)]
    wanted = fitting[_STRIDE * number % len(fitting)]
    others = [motion for motion in fitting if motion is not wanted]
    order = np.random.default_rng([number, 104]).permutation(len(others))[: CANDIDATES - 1]
    moves = (wanted, *(others[index] for index in order))
    prompt = f"the {path.stem} is {canonical([(wanted, Manner())])}"
    moved = np.stack([moved_mesh(mesh, subject, motion) for motion in moves])
    return Act(uid, path.stem, FOREIGN, tuple(motion.name for motion in moves), prompt, 0.0, mesh, moved)


def foreign_meshes(folder: Path) -> list[Path]:
    """Files of meshes, and object folders, in a folder."""
    folder = existing_folder(folder, "folder of meshes")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES or (p / "base.obj").is_file())
    if not found:
        raise InputError(f"{folder} has no meshes ({', '.join(_SUFFIXES)} or object folders).")
    return found


def subject_of_mesh(mesh: Mesh) -> Subject:
    """A mesh's vertices with y up, as it stands before the cameras."""
    placed = mesh.automatic_placement().apply(mesh.vertices)
    return subject_of_points(placed[:, np.argsort(_TO_PLACED)])


def moved_mesh(mesh: Mesh, subject: Subject, motion: Move, manner: Manner | None = None) -> Points:
    """A mesh's vertices in a motion ``[F, N, 3]``, in the mesh's own coordinates."""
    moved = move_points(subject, [(motion, manner or Manner())], FRAMES)
    return mesh.automatic_placement().invert(moved[..., list(_TO_PLACED)])


def turns(sources: Sequence[Iterator[Pending]]) -> Iterator[Pending]:
    """Acts of several kinds, one of each in turn."""
    remaining = list(sources)
    while remaining:
        for source in list(remaining):
            pending = next(source, None)
            if pending is None:
                remaining.remove(source)
            else:
                yield pending
