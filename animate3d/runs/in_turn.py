"""Motions one after the other: how the frames are shared out, and what a body is like after each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves import MOVES, Manner, Move, Subject, how_often, pose_at

Moves = tuple[tuple[str, Manner], ...]
"""Names in `MOVES` that are done at the same time, and how."""

LEAST = 5
"""Frames of the shortest act."""
_FASTEST_IN = 12
"""Frames in which a move at its fastest is still seen, when it is one of several."""
_SAME = 1e-6
"""Of the size: what has moved less is at rest."""


@dataclass(frozen=True, eq=False)
class Act:
    """What a body does for some of the frames.

    Attributes:
        subject: the body as it is when it begins.
        moves: what it does.
        start, frames: when.
        turn: ``[3, 3]`` rotation from the axes of the points that are asked for to those of ``subject``.
    """

    subject: Subject
    moves: tuple[tuple[Move, Manner], ...]
    start: int
    frames: int
    turn: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def at(self, points: NDArray[np.float64], weights: NDArray[np.float64], frame: float) -> NDArray[np.float64]:
        """Where points ``[N, 3]`` of the body as it begins are in a frame, at its end after that."""
        share = min((frame - self.start) / self.frames, 1.0)
        return pose_at(self.subject.at(points @ self.turn.T, weights), self.moves, np.array([share]))[0] @ self.turn

    @cached_property
    def ended(self) -> NDArray[np.float64]:
        """Where the body's own points are at the end."""
        return pose_at(self.subject, self.moves, np.array([1.0]))[0]

    @cached_property
    def rests(self) -> bool:
        """Whether it ends where it began."""
        return bool(np.abs(self.ended - self.subject.points).max() < _SAME * self.subject.size)

    def after(self) -> Subject:
        """The body at its end, in its own axes: each part, and where the whole faces, turned as its points are."""
        if self.rests:
            return self.subject
        subject, parts = self.subject, []
        trunk = _carried(subject.points, self.ended, subject.weights[:, 0]) if subject.parts else None
        for number, part in enumerate(subject.parts):
            found = _carried(subject.points, self.ended, subject.weights[:, number]) or trunk
            parts.append(part if found is None else _moved(part, *found))
        front = subject.front if trunk is None else trunk[0].apply(subject.front)
        facing = subject.facing if trunk is None else float(np.rad2deg(np.arctan2(front[0], front[2])))
        return subject.posed(self.ended, parts, facing)


def shared_frames(acts: int, frames: int) -> list[tuple[int, int]]:
    """First frame and number of frames of every act: as many for each as there are."""
    bounds = [round(act * frames / acts) for act in range(acts + 1)]
    return [(start, end - start) for start, end in pairwise(bounds)]


def as_often_as_seen(acts: Sequence[Moves], frames: int) -> tuple[list[Moves], list[str]]:
    """Acts in which nothing is done more often than its frames show, and sentences about what was asked for."""
    seen, told = [], []
    for act, (_, count) in zip(acts, shared_frames(max(len(acts), 1), frames), strict=False):
        most = {name: MOVES[name].most(count) for name, _ in act}
        seen.append(tuple((name, replace(how, count=min(how.count, most[name]))) for name, how in act))
        for name, how in act:
            if how.count > most[name]:
                needed = len(acts) * MOVES[name].frames_for(how.count)
                told.append(f"{how_often(how.count)} would take --frame-count {needed}")
    return seen, told


def closing(acts: Sequence[Moves], frames: int) -> list[Moves]:
    """Acts that lead back to the start where all can: what turns does so by whole turns, at an even rate."""
    if not all(MOVES[name].cyclic or MOVES[name].turns for act in acts for name, _ in act):
        return list(acts)
    return [
        tuple((name, _closed(MOVES[name], manner, count)) for name, manner in act)
        for act, (_, count) in zip(acts, shared_frames(len(acts), frames), strict=True)
    ]


def _closed(move: Move, manner: Manner, frames: int) -> Manner:
    if not move.turns:
        return manner
    turns = min(max(int(min(manner.speed, move.fastest)), 1), move.most(frames))
    return replace(manner, count=manner.count or turns, closes=True)


def acts_of(
    subject: Subject, moves: Sequence[Moves], frames: int, lies: NDArray[np.float64] | None = None
) -> Iterator[Act]:
    """The acts of a body, the first from its rest.

    Args:
        lies: rotation ``[3, 3]`` from the axes of the body to those of the picture, where it was turned upright. What
            needs no parts is done in the latter: a hop goes up for who looks at it, as it does without any parts.
    """
    for some, (start, count) in zip(moves, shared_frames(len(moves), frames), strict=True):
        done = tuple((MOVES[name], manner) for name, manner in some)
        if len(moves) > 1:
            done = tuple((move, _whole(move, manner, count)) for move, manner in done)
        if lies is None or any(move.needs for move, _ in done):
            act = Act(subject, done, start, count)
            subject = act.after()
        else:
            act = Act(_turned(subject, lies), done, start, count, lies)
            # Where it faces is said in its own axes, which a turn in those of the picture does not change.
            subject = subject if act.rests else replace(_turned(act.after(), lies.T), facing=subject.facing)
        yield act


def _turned(subject: Subject, turn: NDArray[np.float64]) -> Subject:
    """A body in other axes."""
    points = subject.points @ turn.T
    parts = tuple(part.turned(turn) for part in subject.parts)
    return replace(subject, points=points, parts=parts, low=points.min(axis=0), high=points.max(axis=0))


def _whole(move: Move, manner: Manner, frames: int) -> Manner:
    """A manner in which a cyclic move ends at rest, with no more beats than so many frames show."""
    if not move.cyclic or manner.count:
        return manner
    beats = min(round(manner.speed * move.beats), int(frames * move.fastest * move.beats / _FASTEST_IN))
    return replace(manner, speed=max(beats, 1) / move.beats)


def _carried(
    before: NDArray[np.float64], after: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[Rotation, NDArray[np.float64], NDArray[np.float64]] | None:
    """How most of what follows a part is turned, and its middle before and after; None where hardly anything does."""
    own = weights > 0.5
    if own.sum() < 3:
        return None
    middle, there = before[own].mean(axis=0), after[own].mean(axis=0)
    return Rotation.align_vectors(after[own] - there, before[own] - middle)[0], middle, there


def _moved(part: Part, turn: Rotation, middle: NDArray[np.float64], there: NDArray[np.float64]) -> Part:
    joint = turn.apply(part.joint - middle) + there
    return replace(part, joint=joint, along=turn.apply(part.along), hinge=turn.apply(part.hinge))
