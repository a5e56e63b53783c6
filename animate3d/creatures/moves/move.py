"""A move: a motion that applies to whatever has the parts it needs, and moves that are done at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from animate3d.creatures.figures.part import Part
from animate3d.creatures.moves.manner import DIRECTIONS, Manner
from animate3d.creatures.moves.rhythms import steady
from animate3d.creatures.moves.stance import Stance
from animate3d.creatures.moves.subject import Subject
from animate3d.creatures.sculpt.fields import Points
from animate3d.errors import InputError

SIDES = {"left": 1, "right": -1}
"""Sides of parts, the body's own."""
_TURNS = 3
"""Whole turns that the frames of a usual clip still show."""
_WAY = 3
"""Frames in which a move that does not come back by itself goes one way."""


@dataclass(frozen=True)
class Cue:
    """What is asked of a move at one moment.

    Attributes:
        t: 0 is the rest, 1 the end of a cycle.
        amplitude: 1 is the usual one.
        direction: a name in `DIRECTIONS`, or empty where the move has none.
        side: of the only limb that moves, 1 for the body's own left, -1 for its right; 0 where none is asked for.
        count: how often it is done in the clip; 0 is as often as usual.
        closes: what turns does so evenly and on the spot.
    """

    t: float
    amplitude: float
    direction: str
    side: int = 0
    count: int = 0
    closes: bool = False

    def limbs(self, subject: Subject, name: str) -> list[int]:
        """Numbers of the parts of a name that move: those of the side that is asked for, if there are any."""
        found = subject.having(name)
        return [number for number in found if self.side and subject.parts[number].side == self.side] or found

    @property
    def sign(self) -> float:
        """1 for left (counter-clockwise from above), -1 for right."""
        return -1.0 if self.direction == "right" else 1.0

    def turned(self, usual: float) -> float:
        """Radians that something has turned about its axis: so many whole turns, or the usual angle."""
        return 2 * np.pi * self.count * (self.t if self.closes else steady(self.t)) if self.count else usual

    def towards(self, subject: Subject) -> Points:
        """Unit vector of the direction ``[3]``: forward is where a body looks, left and right are the picture's."""
        ahead = {"forward": 1.0, "backward": -1.0}.get(self.direction)
        return DIRECTIONS[self.direction] if ahead is None else ahead * subject.front


Warp = Callable[[Subject, Points, Cue], Points]
"""Subject, positions ``[N, 3]`` that other moves may have changed already, and cue to positions."""
Turn = Callable[[Subject, Stance, Cue], None]
"""Adds the turns of parts to a stance."""


@dataclass(frozen=True, eq=False)
class Move:
    """A motion with the phrases that name it.

    Attributes:
        name: in `MOVES`.
        phrases: canonical one first, then at most two variants, such as ``"flapping its wings"``.
        needs: names of parts; it applies to what has any of them, to everything where empty.
        needs_all: it applies only to what has all of them.
        least: number of such parts that it takes.
        without: names of parts that forbid it.
        directions: it can take, the usual one first; empty where it has none.
        cyclic: at rest again at the end of a cycle.
        fastest: the largest speed at which 16 frames still show it.
        beats: how often it repeats at speed 1.
        turns: it turns about an axis; how often is said in whole turns.
        shown_in: frames that it takes to be seen once, where it is said how often.
        rises: its amplitude is a height, in captions "high" and "low" instead of "strongly" and "gently".
        graded: it has an amplitude.
        sided: one limb of a pair can do it alone.
        uses: what it moves: names of parts (where empty, those that it needs), "place", "shape" and "heading" of the
            whole; moves that share none combine.
        warp: displaces points, if it does.
        turn: turns parts, if it does.
    """

    name: str
    phrases: tuple[str, ...]
    needs: tuple[str, ...] = ()
    needs_all: bool = False
    least: int = 1
    without: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    cyclic: bool = True
    fastest: float = 2.0
    beats: int = 1
    turns: bool = False
    shown_in: int = 4
    rises: bool = False
    graded: bool = True
    sided: bool = False
    uses: tuple[str, ...] = ()
    warp: Warp | None = None
    turn: Turn | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "uses", self.uses or self.needs)

    def cue(self, t: float, manner: Manner) -> Cue:
        """What is asked of it at a share of the clip.

        Raises:
            InputError: it does not have the direction.
        """
        if manner.direction and manner.direction not in self.directions:
            known = ", ".join(self.directions) or "none"
            raise InputError(f"The move {self.name!r} has no direction {manner.direction!r}, only: {known}.")
        direction = manner.direction or (self.directions[0] if self.directions else "")
        side = SIDES.get(manner.side, 0) if self.sided else 0
        return Cue(self._course(t, manner), manner.amplitude, direction, side, manner.count, manner.closes)

    def _course(self, t: float, manner: Manner) -> float:
        """How far it is at a share of the clip; what does not come back by itself goes back in between."""
        pace = min(manner.speed, self.fastest)
        if not manner.count:
            return t * pace
        if self.turns and manner.closes:
            return t
        if self.turns:
            return min(t * max(min(pace, _TURNS / manner.count), 1.0), 1.0)
        if self.cyclic:
            cycles = manner.count / self.beats
            return min(t * max(pace, cycles), cycles)
        ways = 2 * manner.count - 1
        way, share = divmod(min(t, 1.0) * ways, 1.0)
        return 1.0 if way == ways else share if way % 2 == 0 else 1.0 - share

    def most(self, frames: int) -> int:
        """How often so many frames can show it."""
        if self.cyclic or self.turns:
            return max(frames // self.shown_in, 1)
        return max((frames // _WAY + 1) // 2, 1)

    def frames_for(self, count: int) -> int:
        """The fewest frames that show it so often."""
        return self.shown_in * count if self.cyclic or self.turns else _WAY * (2 * count - 1)

    def pose(self, subject: Subject, t: float, manner: Manner) -> Points:
        """Positions ``[N, 3]`` at a share of the clip; 0 is the rest."""
        return pose_at(subject, [(self, manner)], np.array([t]))[0]


def applies(move: Move, parts: Iterable[Part]) -> bool:
    """Whether something with these parts can do a move."""
    names, needs = [part.name for part in parts], set(move.needs)
    if set(names) & set(move.without) or (move.needs_all and not needs <= set(names)):
        return False
    return not needs or sum(name in needs for name in names) >= move.least


def combine(first: Move, second: Move) -> bool:
    """Whether two moves can be done at once: they do not use the same parts or the whole body in the same way."""
    return not set(first.uses) & set(second.uses)


def move_points(subject: Subject, moves: Sequence[tuple[Move, Manner]], frames: int) -> Points:
    """Positions ``[F, N, 3]`` of moves that are done at the same time; frame 0 is exactly the rest.

    Frame f shows the time f / F of the clip, so at speed 1 a cyclic move would be at rest again in frame F.

    Raises:
        InputError: no frame is asked for, or a move lacks the direction or its parts.
    """
    if frames < 1:
        raise InputError(f"A motion has at least one frame, not {frames}.")
    for move, _ in moves:
        if not applies(move, subject.parts):
            raise InputError(f"The move {move.name!r} needs one of these parts: {', '.join(move.needs)}.")
    moved = pose_at(subject, moves, np.arange(frames) / frames)
    moved[0] = subject.points
    return moved


def pose_at(subject: Subject, moves: Sequence[tuple[Move, Manner]], times: Points) -> Points:
    """Positions ``[T, N, 3]`` of moves that are done at the same time, at shares ``[T]`` of the clip."""
    turning = [(move.turn, [move.cue(float(t), manner) for t in times]) for move, manner in moves if move.turn]
    if turning:
        stances = [Stance(subject.skeleton) for _ in times]
        for turn, cues in turning:
            for stance, cue in zip(stances, cues, strict=True):
                turn(subject, stance, cue)
        moved = subject.skeleton.posed(
            np.stack([stance.turns for stance in stances]), np.stack([stance.shift for stance in stances])
        )
    else:
        moved = np.repeat(subject.points[None], len(times), axis=0)
    for move, manner in moves:
        if move.warp is not None:
            for frame, t in enumerate(times):
                moved[frame] = move.warp(subject, moved[frame], move.cue(float(t), manner))
    return moved
