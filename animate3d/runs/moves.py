"""Motions that are computed: anything can hop, spin or sway, and what has legs can walk, whatever a model has learnt.

A sentence is read as the bundled model reads it. Moves are functions of a shape and of its parts
(`animate3d.creatures.moves`), which are found where a move needs them (`animate3d.creatures.anatomy`). They are applied
to the placed model itself, so nothing is filmed, cut out or tracked.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from animate3d.cameras import orbit_cameras
from animate3d.creatures.anatomy import Body, find_bodies
from animate3d.creatures.moves import (
    MOVES,
    Manner,
    Move,
    applies,
    canonical,
    pose_at,
    subject_of,
    subject_of_points,
)
from animate3d.errors import InputError
from animate3d.frames import save_image
from animate3d.meshes import Mesh, Placement
from animate3d.motion.template import Surface
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.options import RunOptions

PARTS = "parts.png"
UPRIGHT = Placement.from_flags(90.0, 90.0)
"""From y up and the front towards +z, which moves are written for, to the placed frame."""
_STEP = 1e-4
"""Share of the size over which surroundings are compared."""
_AT_ONCE = 100_000
"""Points that are moved together."""
_LEGEND = 26  # rows
_PICTURED = (30.0, 210.0)  # azimuths
_AROUND = 4
"""Vertices that a point's weights come from."""
_SURE_LEGS = 4
_BENDS_ALONG = ("swim", "slither", "dive")
"""Moves that bend or turn a body from its front to its back, whatever it has."""
_ALIKE: tuple[dict[str, str], ...] = ({"arm": "wing"}, {"wing": "arm"}, {"arm": "fin", "wing": "fin"})
"""Parts that geometry alone does not tell apart."""
_MANY = {"petal": ("arm", "wing", "tail", "head"), "tentacle": ("leg", "arm", "wing", "tail")}
"""Limbs that are petals or tentacles, where those are asked for and there are a few of them."""
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class Computed:
    """What a sentence asks a body to do.

    Attributes:
        moves: names in `MOVES` and how they are done; at least one.
        left_out: what it asks for too, which needs parts that were not found or cannot be done at the same time.
        body: the parts, where a move needs some.
    """

    moves: tuple[tuple[str, Manner], ...]
    left_out: tuple[str, ...] = ()
    body: Body | None = None

    def __str__(self) -> str:
        return canonical([(MOVES[name], manner) for name, manner in self.moves])

    def identity(self, frames: int) -> dict[str, Any]:
        """What so many frames of it depend on."""
        return {"moves": [[name, asdict(manner)] for name, manner in self.moves], "frames": frames}

    def told(self, unknown: bool) -> str:
        """One line for the user.

        Args:
            unknown: they are computed because the bundled model does not know the model or the motion.
        """
        text = f"“{self}” is computed, without videos"
        if self.body is not None:
            text += f", as of something with {_listed(self.body)} (parts.png shows what was found)"
            if not np.allclose(self.body.turn, np.eye(3)):
                text += ", which was taken to stand or to face another way"
        if self.left_out:
            text += f"; “{' and '.join(self.left_out)}” is left out"
        if unknown:
            text += " (the bundled model was not trained on this; --moves never lets it try)"
        return text

    def facts(self) -> dict[str, Any]:
        """What is noted about it in ``run.json``."""
        parts = {} if self.body is None else {part.name: self.body.count(part.name) for part in self.body.parts[1:]}
        return {"motion": str(self), "left_out": list(self.left_out), "parts": parts}

    def stronger(self, factor: float) -> Computed:
        """The same with every amplitude multiplied."""
        moves = ((name, replace(manner, amplitude=factor * manner.amplitude)) for name, manner in self.moves)
        return replace(self, moves=tuple(moves))


def computed_of(
    options: RunOptions,
    is_known: Callable[[], bool],
    find: Callable[[], Iterable[Body]],
    announce: Callable[[str], None] = lambda line: None,
) -> Computed | None:
    """What is computed of what a run is asked for; None where videos show what moves.

    Args:
        is_known: whether the bundled model was trained on the model and the motion.
        find: finds the parts of the body, upright, as they may be.
        announce: told what is computed.

    Raises:
        InputError: it is to be computed, but nothing of it can.
    """
    video = options.video
    if options.frames is not None or video is None or options.moves == "never":
        return None
    if options.moves == "auto" and (not video.bundled or is_known()):
        return None
    found = read_moves(video.prompt, find)
    if found is None and options.moves == "always":
        raise InputError(
            f"“{video.prompt}” asks for nothing that can be computed of this model: docs/moves.md lists the motions "
            "and the parts that they need; without --moves always the video model tries."
        )
    if found is None:
        return None
    announce(found.told(options.moves == "auto"))
    return found.stronger(options.move_strength)


def read_moves(prompt: str, find: Callable[[], Iterable[Body]]) -> Computed | None:
    """The moves of a sentence that a body can do; None where it asks for none of them, or is not understood."""
    from animate3d.bundled_model.prompts import reading_of  # torch takes a second to import

    reading = reading_of(prompt)
    if not reading.known:
        return None
    asked, left = list(reading.moves), []
    for name in reading.left_out:  # the bundled model does two at most, and none while a tail sways
        together = all(set(MOVES[name].uses) & set(MOVES[other].uses) <= {"tail"} for other, _ in asked)
        if together:
            asked.append((name, Manner()))
        else:
            left.append(name)
    moves = [MOVES[name] for name, _ in asked]
    with_parts = [move for move in moves if move.needs]
    body = suited_among(with_parts, find()) if with_parts else None
    able = {move.name for move in moves if not move.needs or (body is not None and can_do(move, body))}
    done = tuple((name, manner) for name, manner in asked if name in able)
    left_out = [*left, *(move.name for move in moves if move.name not in able)]
    return Computed(done, tuple(MOVES[name].phrases[0] for name in left_out), body) if done else None


def parts_of(surface: Surface) -> Iterator[Body]:
    """The parts of a placed surface, upright, see `find_bodies`."""
    return find_bodies(UPRIGHT.invert(surface.vertices), surface.triangles, surface.groups)


def save_parts(folder: Path, surface: Surface, computed: Computed) -> None:
    """Write ``parts.png``, a placed surface in the colours of its parts over their names, where there are some."""
    if (body := computed.body) is None:
        return (folder / PARTS).unlink(missing_ok=True)
    colors = np.concatenate([[[0.75, 0.75, 0.75]], _palette(len(body.parts) - 1)])
    painted = Mesh.from_faces(surface.vertices, surface.triangles, vertex_colors=body.shares @ colors)
    cameras = orbit_cameras(15.0, _PICTURED, size=384)
    drawn = render_mesh(painted, surface.vertices[None], cameras, supersample=3)[:, 0].astype(np.float32)
    alpha = drawn[..., 3:] / 255
    pictures = np.hstack(list((drawn[..., :3] * alpha + 127.5 * (1 - alpha) + 0.5).astype(np.uint8)))
    legend, at = np.full((_LEGEND, pictures.shape[1], 3), 40, np.uint8), 8
    for part, color in zip(body.parts, 255 * colors, strict=True):
        cv2.putText(legend, part.name, (at, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color.tolist(), 1, cv2.LINE_AA)
        at += 12 + 9 * len(part.name)
    save_image(folder / PARTS, np.vstack([pictures, legend]))


def _palette(count: int) -> NDArray[np.float64]:
    """Colours ``[count, 3]`` that differ."""
    hues = (np.arange(count) * 0.618) % 1.0
    return np.array([colorsys.hsv_to_rgb(hue, 0.85, 0.95) for hue in hues]).reshape(-1, 3)


def suited_among(moves: Sequence[Move], bodies: Iterable[Body]) -> Body | None:
    """The first of several bodies that does all moves, else the one that does most of them, called as it has to be.

    Only moves of legs or wheels tell how a body stands: without any, the first one is taken. Four legs on the ground
    are surer than two, which may be the ears of what lies on its face. None where no move can be done.
    """
    best, most = None, (0, False)
    needed = set().union(*(move.needs for move in moves))
    for body in (found.asked_for(needed) for found in bodies):
        for called in _callings(moves, body):
            other = body.called(called)
            does = [move for move in moves if can_do(move, other)]
            found = len(does), body.count("leg") >= _SURE_LEGS and any("leg" in move.needs for move in does)
            if does and found > most:
                best, most = other, found
        if not needed & {"leg", "wheel"} or (most[0] == len(moves) and (most[1] or "leg" not in needed)):
            break
    return best


def _callings(moves: Sequence[Move], body: Body) -> Iterator[dict[str, str]]:
    """What parts may be called for moves to be done: arms that flap are wings, and a few limbs are petals."""
    for many, limbs in _MANY.items():
        asked = any(move.needs == (many,) for move in moves)
        if asked and sum(part.name in limbs for part in body.parts) >= _FEWEST:
            yield dict.fromkeys(limbs, many)
    yield from ({}, *_ALIKE)


def can_do(move: Move, body: Body) -> bool:
    """Whether a body has the parts that a move needs; legs, on both of its sides."""
    if move.name in _BENDS_ALONG and body.count("leg") + body.count("wheel") < 2:
        return True  # what looks like arms are fins
    if "leg" in move.needs and not body.pairs_of_legs:
        return False
    return applies(move, body.parts)


def _listed(body: Body) -> str:
    names = list(dict.fromkeys(part.name for part in body.parts[1:]))
    counts = [(body.count(name), name) for name in names]
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts) or "no limbs"


class MovingBody:
    """A body whose moves are functions of space and time.

    Args:
        points: ``[M, 3]`` placed points that say where it is and how large; with parts, its vertices.
        computed: what it does.
        frames: F
    """

    def __init__(self, points: NDArray[np.floating], computed: Computed, frames: int) -> None:
        body = computed.body
        self._turn = np.eye(3) if body is None else body.turn
        upright = self._upright(points)
        self._subject = subject_of_points(upright) if body is None else subject_of(body, upright)
        self._moves = [(MOVES[name], manner) for name, manner in computed.moves]
        self.frames = frames

    def at(self, points: NDArray[np.floating], frame: int) -> NDArray[np.float64]:
        """Where placed points ``[N, 3]`` are in a frame; in the first they rest."""
        points = np.asarray(points, np.float64)
        if frame == 0:
            return points
        moved = np.empty_like(points)
        for start in range(0, len(points), _AT_ONCE):
            some = self._upright(points[start : start + _AT_ONCE])
            asked = self._subject.at(some, self._weights(some))
            moved[start : start + _AT_ONCE] = pose_at(asked, self._moves, np.array([frame / self.frames]))[0]
        return UPRIGHT.apply(moved @ self._turn)

    def around(self, points: NDArray[np.floating], frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Placed points in a frame, and how their surroundings are turned and stretched there.

        Returns:
            ``[N, 3]`` and the derivatives ``[N, 3, 3]`` of their places by those at rest.
        """
        points = np.asarray(points, np.float64)
        step = _STEP * float(np.ptp(points, axis=0).max())
        beside = points[None] + step * np.concatenate([np.zeros((1, 3)), np.eye(3)])[:, None]
        there = self.at(beside.reshape(-1, 3), frame).reshape(beside.shape)
        return there[0], np.stack([(other - there[0]) / step for other in there[1:]], axis=-1)

    def _upright(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Placed points as they are where the body stands and faces +z."""
        return UPRIGHT.invert(np.asarray(points, np.float64)) @ self._turn.T

    def _weights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much points follow the parts ``[N, P]``: as the vertices around them do."""
        own = self._subject.weights
        if not self._subject.parts:
            return np.empty((len(points), 0))
        distance, nearest = self._tree.query(points, k=min(_AROUND, len(own)))
        near = 1.0 / np.maximum(distance, 1e-3 * self._subject.size) ** 2
        near[distance[:, 0] < 1e-9 * self._subject.size, 1:] = 0.0  # a vertex itself
        return np.einsum("nk,nkp->np", near / near.sum(axis=1, keepdims=True), own[nearest])

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._subject.points)
