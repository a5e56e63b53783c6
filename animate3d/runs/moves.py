"""Motions of the whole body that are computed: anything can hop, spin or sway, whatever a video model has learnt.

A sentence is read as the bundled model reads it. Moves that need no parts are functions of the shape alone
(`animate3d.creatures.moves`); they are applied to the placed mesh itself, so nothing is filmed, cut out or tracked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animate3d.creatures.moves import MOVES, Manner, canonical, pose_at, subject_of_points
from animate3d.errors import InputError
from animate3d.meshes import Placement
from animate3d.runs.options import RunOptions

_UPRIGHT = Placement.from_flags(90.0, 90.0)
"""From y up and the front towards +z, which moves are written for, to the placed frame."""
_STEP = 1e-4
"""Share of the size over which surroundings are compared."""


@dataclass(frozen=True)
class Computed:
    """What a sentence asks the whole body to do.

    Attributes:
        moves: names in `MOVES` and how they are done; at least one.
        left_out: what it asks for too, which moves parts that nobody knows of or cannot be done at the same time.
    """

    moves: tuple[tuple[str, Manner], ...]
    left_out: tuple[str, ...] = ()

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
        text = f"“{self}” is computed: the whole body moves, and no videos are made"
        if self.left_out:
            text += f"; “{' and '.join(self.left_out)}” is left out"
        if unknown:
            text += " (the bundled model was not trained on this; --moves never lets it try)"
        return text

    def stronger(self, factor: float) -> Computed:
        """The same with every amplitude multiplied."""
        moves = ((name, replace(manner, amplitude=factor * manner.amplitude)) for name, manner in self.moves)
        return replace(self, moves=tuple(moves))


def whole_body_moves(prompt: str) -> Computed | None:
    """The moves of a sentence that any shape can do; None where it asks for no such move, or is not understood."""
    from animate3d.bundled_model.prompts import reading_of  # torch takes a second to import

    reading = reading_of(prompt)
    whole = tuple((name, manner) for name, manner in reading.moves if not MOVES[name].needs)
    others = (*(name for name, _ in reading.moves if MOVES[name].needs), *reading.left_out)
    return Computed(whole, tuple(MOVES[name].phrases[0] for name in others)) if reading.known and whole else None


def computed_of(options: RunOptions, is_known: Callable[[], bool]) -> Computed | None:
    """What is computed of what a run is asked for; None where videos show what moves.

    Args:
        is_known: whether the bundled model was trained on the model and the motion.

    Raises:
        InputError: it is to be computed, but nothing of it can.
    """
    video = options.video
    if options.frames is not None or video is None or options.moves == "never":
        return None
    if options.moves == "auto" and (not video.bundled or is_known()):
        return None
    found = whole_body_moves(video.prompt)
    if found is None and options.moves == "always":
        raise InputError(
            f"“{video.prompt}” asks for nothing that the whole body does, as hopping, spinning or swaying; "
            "docs/moves.md lists what is computed, and without --moves always the video model tries."
        )
    return None if found is None else found.stronger(options.move_strength)


class MovingBody:
    """A body whose moves are functions of space and time.

    Args:
        body: ``[M, 3]`` placed points that say where it is and how large.
        moves: names in `MOVES` and how they are done.
        frames: F
    """

    def __init__(self, body: NDArray[np.floating], moves: Sequence[tuple[str, Manner]], frames: int) -> None:
        self._subject = subject_of_points(_UPRIGHT.invert(np.asarray(body, np.float64)))
        self._moves = [(MOVES[name], manner) for name, manner in moves]
        self.frames = frames

    def at(self, points: NDArray[np.floating], frame: int) -> NDArray[np.float64]:
        """Where placed points ``[N, 3]`` are in a frame; in the first they rest."""
        points = np.asarray(points, np.float64)
        if frame == 0:
            return points
        asked = self._subject.at(_UPRIGHT.invert(points))
        return _UPRIGHT.apply(pose_at(asked, self._moves, np.array([frame / self.frames]))[0])

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
