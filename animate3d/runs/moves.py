"""Motions that are computed: anything can hop, spin or sway, and what has legs can walk, whatever a model has learnt.

A sentence is read as the bundled model reads it. Moves are functions of a shape and of its parts
(`animate3d.creatures.moves`), which are found where a move needs them (`animate3d.creatures.anatomy`). They are applied
to the placed model itself, so nothing is filmed, cut out or tracked.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from animate3d.creatures.figures.plan import hinge_for
from animate3d.creatures.moves import MOVES, Manner, Move, applies, subject_of, subject_of_points
from animate3d.creatures.rigs import UP
from animate3d.errors import InputError
from animate3d.frames import on_grey, save_image
from animate3d.meshes import Mesh, Placement
from animate3d.motion.template import Surface
from animate3d.rasterize.textured import render_mesh
from animate3d.rotations import rotation_matrices
from animate3d.runs.in_turn import LEAST, Moves, acts_of, as_often_as_seen, closing
from animate3d.runs.limbs import guessed, on_found_sides, said, unheard
from animate3d.runs.named_parts import said_otherwise, standing_in
from animate3d.runs.options import MOVE_FRAMES, RunOptions
from animate3d.runs.sentences import in_turn

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
_BROADER = 1.3
"""How much farther legs of one pair are apart than the pairs, at least, where a body is taken to look aside."""
_ON_THE_SPOT = ("walk", "run", "gallop", "crawl")
"""Moves that look the same forwards and backwards: the way that is gone tells."""
_BENDS_ALONG = ("swim", "slither", "dive")
"""Moves that bend or turn a body from its front to its back, whatever it has."""
_FIN = 0.15  # length of a leg that may be a fin, against that from the end of the head to that of the tail, at most
_TO_THE_FRONT, _WAYS = ("bow", "rock", "undulate", "wiggle"), ("forward", "backward")
"""Moves of the whole that go to the front or along the body, and directions that do."""
_FAR_LARGER = 1.5
"""How much longer other limbs are, at least, for them to be taken for what was asked for."""
_ALIKE: tuple[dict[str, str], ...] = ({"arm": "wing", "wing": "fin"}, {"wing": "arm"}, {"arm": "fin", "wing": "fin"})
"""Parts that geometry alone does not tell apart."""
_MANY = {"petal": ("arm", "wing", "tail", "head"), "tentacle": ("leg", "arm", "wing", "tail")}
"""Limbs that are petals or tentacles, where those are asked for and there are a few of them."""
_FEWEST = 3
_LEVEL = 1e-6
"""How far the vertical of a body that stands may be off."""
_NOT_LEARNT, _TOO_LITTLE = (
    "the bundled model was not trained on this",
    "the bundled model's videos show too little of it",
)
_FLIES = re.compile(r"\b(?:fly|flies|flying|flew)\b", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Computed:
    """What a sentence asks a body to do.

    Attributes:
        moves: names in `MOVES` that are done at the same time, and how; at least one.
        left_out: what it asks for too, which needs parts that were not found, cannot be done at the same time, was not
            understood or has no room.
        body: the parts, where a move needs some.
        then: what is done after that, in turn; nothing at all where it is to rest.
        crowded: number of frames that all would need, where there are fewer.
        facing: where it faces, degrees from the front towards its left, where a move needs that and no parts.
        fewer: what there are too few frames for, where something is done less often than it asks for.
    """

    moves: Moves
    left_out: tuple[str, ...] = ()
    body: Body | None = None
    then: tuple[Moves, ...] = ()
    crowded: int = 0
    facing: float = 0.0
    fewer: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", then ".join(said(act) for act in self.acts)

    @property
    def acts(self) -> tuple[Moves, ...]:
        """What it does, one after the other."""
        return (self.moves, *self.then)

    def identity(self, frames: int) -> dict[str, Any]:
        """What so many frames of it depend on."""
        first, *then = ([[name, asdict(manner)] for name, manner in act] for act in self.acts)
        others = {"then": then, "facing": self.facing if self.body is None else round(self.body.yaw, 3)}
        return {"moves": first, "frames": frames, **{name: value for name, value in others.items() if value}}

    def told(self, reason: str) -> str:
        """One line for the user.

        Args:
            reason: why the bundled model is not asked for it; empty where the user wants it computed.
        """
        text = f"“{self}” is computed, without videos"
        if self.body is not None:
            text += f", as of something with {_listed(self.body)} (parts.png shows what was found)"
            if not np.allclose(self.body.turn, np.eye(3)):
                text += f", {self.body.posture} (--facing says otherwise)"
            text += f"; {guess}" if (guess := guessed(self.acts, self.body)) else ""
        elif self.facing:
            text += ", as of something that faces another way (--facing says which)"
        if self.left_out:
            text += f"; “{' and '.join(self.left_out)}” is left out"
            reasons = dict.fromkeys(_not_found(phrase, self.body) for phrase in self.left_out)
            text += "".join(f", as {reason}" for reason in reasons if reason)
        if self.crowded:
            text += f", as all of it takes --frame-count {self.crowded}"
        text += "".join(f"; {one}" for one in self.fewer)
        if reason:
            text += f" ({reason}; with --moves never it tries)"
        return text

    def facts(self) -> dict[str, Any]:
        """What is noted about it in ``run.json``."""
        parts = {} if self.body is None else {part.name: self.body.count(part.name) for part in self.body.parts[1:]}
        return {"motion": str(self), "left_out": list(self.left_out), "parts": parts}

    def stronger(self, factor: float) -> Computed:
        """The same with every amplitude multiplied."""
        first, *then = (
            tuple((name, replace(manner, amplitude=factor * manner.amplitude)) for name, manner in act)
            for act in self.acts
        )
        return replace(self, moves=first, then=tuple(then))


def why_computed(understood: Mapping[str, Any]) -> str:
    """What speaks against videos of the bundled model, by what it made of the prompt; empty where nothing does."""
    if not understood["known"]:
        return _NOT_LEARNT
    return _TOO_LITTLE if understood.get("faint") else ""


def computed_of(
    options: RunOptions,
    reason: Callable[[], str],
    find: Callable[[], Iterable[Body]],
    announce: Callable[[str], None] = lambda line: None,
) -> Computed | None:
    """What is computed of what a run is asked for; None where videos show what moves.

    Args:
        reason: what speaks against videos of the bundled model; empty where nothing does.
        find: finds the parts of the body, upright, as they may be.
        announce: told what is computed.

    Raises:
        InputError: it is to be computed, but nothing of it can.
    """
    video = options.video
    if options.frames is not None or video is None or options.moves == "never":
        return None
    why = ""
    if options.moves == "auto":
        in_one = len(in_turn(video.prompt)) == 1  # the bundled model does nothing in turn
        why = "" if not video.bundled else reason() if in_one else _NOT_LEARNT
        if not why:
            return None
    found = read_moves(video.prompt, find, options.move_frames)
    if found is None and options.moves == "always":
        from animate3d.bundled_model.prompts import nearest_to  # torch takes a second to import

        raise InputError(
            f"“{video.prompt}” asks for nothing that can be computed of this model: docs/moves.md lists the motions "
            f"and the parts that they need{nearest_to(video.prompt)}; without --moves always the video model tries."
        )
    if found is None:
        asked = [move for clause in in_turn(video.prompt) for move in _asked(clause)[0] or ()]
        for phrase in dict.fromkeys(MOVES[name].phrases[0] for name, _ in asked):
            announce(f"“{phrase}” can be computed, but {_not_found(phrase, None)}; the video model is asked instead")
        return None
    first, *then = closing(found.acts, options.move_frames) if getattr(options, "loop", False) else found.acts
    found = replace(found, moves=first, then=tuple(then))
    announce(found.told(why))
    return found.stronger(options.move_strength)


def read_moves(prompt: str, find: Callable[[], Iterable[Body]], frames: int = MOVE_FRAMES) -> Computed | None:
    """The moves of a sentence that a body can do; None where it asks for none of them, or is not understood.

    Args:
        prompt: the sentence.
        find: finds the parts of the body, as they may be.
        frames: that all of it has.
    """
    prompt, stand = said_otherwise(prompt)
    bodies, clauses = (lambda: standing_in(find(), stand)), in_turn(prompt)
    acts, left = [], []
    for clause in clauses:
        moves, others = _asked(clause)
        left += others
        acts += [] if moves is None else [moves]
        left += [clause] if moves is None else []
    if len(clauses) > 1 and not any(acts):
        moves, left = _asked(prompt)
        acts = [moves or ()]
    room = max(frames // LEAST, 1)
    crowded = LEAST * len(acts) if len(acts) > room else 0
    left += [MOVES[name].phrases[0] for act in acts[room:] for name, _ in act]
    acts = acts[:room]
    with_parts = [MOVES[name] for act in acts for name, _ in act if MOVES[name].needs]
    body = suited_among(with_parts, bodies()) if with_parts else None
    able = {move.name for move in with_parts if body is not None and can_do(move, body)}
    able |= {name for name, move in MOVES.items() if not move.needs}
    if "flap" not in able and _FLIES.search(prompt):  # what has no wings flies all the same
        acts = [tuple(("rise" if name == "flap" else name, manner) for name, manner in act) for act in acts]
    lacking = [name for act in acts for name, _ in act if name not in able]
    left += [MOVES[name].phrases[0] for name in lacking]
    if "drive" in lacking:  # a car whose wheels are one piece with it goes along all the same
        acts = [tuple(_gliding(name, manner) for name, manner in act) for act in acts]
        body = body or next(iter(find()))
    done = [tuple((name, manner) for name, manner in act if name in able) for act in acts]
    done = [now for now, all_of_it in zip(done, acts, strict=True) if now or not all_of_it]
    if not any(done):
        return None
    done, others = on_found_sides(done, body)
    done, fewer = as_often_as_seen(done, frames)
    left, facing = left + others, 0.0
    if body is None and any(_has_a_way(name, manner) for act in done for name, manner in act):
        seen = next(iter(find()))
        facing = seen.yaw if seen.fronted else 0.0
    return Computed(done[0], tuple(dict.fromkeys(left)), body, tuple(done[1:]), crowded, facing, tuple(fewer))


def _has_a_way(name: str, manner: Manner) -> bool:
    """Whether a move of the whole goes to where a body faces, or back."""
    return name in _TO_THE_FRONT or (manner.direction or next(iter(MOVES[name].directions), "")) in _WAYS


def _asked(clause: str) -> tuple[Moves | None, list[str]]:
    """What a clause asks for at once, nothing where it is to rest, None where it is not understood; and what else."""
    from animate3d.bundled_model.prompts import directions_of, reading_of  # torch takes a second to import

    reading = reading_of(clause)
    if not reading.known:
        return None, []
    asked, left = list(reading.moves), unheard(clause, reading.moves)
    if "backward" in directions_of(clause) and any(name in _ON_THE_SPOT for name, _ in asked):
        asked.append(("slide", Manner(direction="backward")))
    for name in reading.left_out:  # the bundled model does two at most, and none while a tail sways
        together = all(set(MOVES[name].uses) & set(MOVES[other].uses) <= {"tail"} for other, _ in asked)
        if together:
            asked.append((name, Manner()))
        else:
            left.append(MOVES[name].phrases[0])
    return tuple(asked), left


def _gliding(name: str, manner: Manner) -> tuple[str, Manner]:
    """The same move, or sliding the same way where that is driving."""
    return ("slide", replace(manner, direction=manner.direction or "forward")) if name == "drive" else (name, manner)


def _not_found(phrase: str, body: Body | None) -> str:
    """Why a move of a sentence cannot be done by a body, where that is for want of parts; else nothing."""
    move = next((move for move in MOVES.values() if phrase in move.phrases), None)
    if move is None or not move.needs or (body is not None and can_do(move, body)):
        return ""
    few = "too few" if move.least > 1 or (body is not None and applies(move, body.parts)) else "no"
    return f"{few} {move.needs[0]}s were found"


def parts_of(surface: Surface, facing: float | None = None) -> Iterator[Body]:
    """The parts of a placed surface, upright, see `find_bodies`; then as if it looked to its left or right.

    With ``facing``, the azimuth from which its face is seen, it looks nowhere else.

    What has four legs, and a longer way between its left and right ones than between its front and hind ones, looks
    there first: a body that is alike from all sides walks along its length.
    """
    upright = UPRIGHT.invert(surface.vertices)
    if facing is not None:
        yield from find_bodies(upright, surface.triangles, surface.groups, facing)
        return
    for number, body in enumerate(find_bodies(upright, surface.triangles, surface.groups)):
        yield length_first(body) if number == 0 else body
    yield from _aside(upright, surface)


def _aside(upright: NDArray[np.float64], surface: Surface) -> Iterator[Body]:
    """The parts as if it looked to its left or right."""
    for yaw in (-90.0, 90.0):
        turn = rotation_matrices(np.deg2rad(yaw) * UP)
        body = next(find_bodies(upright @ turn.T, surface.triangles, surface.groups))
        yield replace(body, turn=body.turn @ turn)


def length_first(body: Body) -> Body:
    """The same body where its left is its front, if its four legs are farther apart from left to right than along."""
    joints = np.array([part.joint for part in body.parts if part.name == "leg"])
    if len(joints) != _SURE_LEGS or np.ptp(joints[:, 0]) <= _BROADER * np.ptp(joints[:, 2]):
        return body
    turn = rotation_matrices(-0.5 * np.pi * UP)
    parts = [part.turned(turn) for part in body.parts]
    middle = np.mean([part.joint for part in parts if part.name == "leg"], axis=0)
    for number, part in enumerate(parts):
        if part.name == "leg":
            side, order = (1 if part.joint[0] > middle[0] else -1), (0.0 if part.joint[2] > middle[2] else 1.0)
            hinge = hinge_for("leg", part.along, part.along)
            parts[number] = replace(part, hinge=hinge, side=side, order=order)
    return replace(body, parts=tuple(parts), turn=turn @ body.turn)


def save_parts(folder: Path, surface: Surface, computed: Computed) -> None:
    """Write ``parts.png``, a placed surface in the colours of its parts over their names, where there are some."""
    if (body := computed.body) is None:
        return (folder / PARTS).unlink(missing_ok=True)
    colors = np.concatenate([[[0.75, 0.75, 0.75]], _palette(len(body.parts) - 1)])
    painted = Mesh.from_faces(surface.vertices, surface.triangles, vertex_colors=body.shares @ colors)
    cameras = orbit_cameras(15.0, _PICTURED, size=384)
    drawn = render_mesh(painted, surface.vertices[None], cameras, supersample=3)[:, 0]
    pictures = np.hstack(list(on_grey(drawn)))
    legend = _legend([part.name for part in body.parts], np.asarray(255 * colors, np.float64), pictures.shape[1])
    save_image(folder / PARTS, np.vstack([pictures, legend]))


def _legend(names: Sequence[str], colors: NDArray[np.float64], width: int) -> NDArray[np.uint8]:
    """Names in their colours, in as many rows as they take. ``[H, width, 3]``"""
    rows, at = [np.full((_LEGEND, width, 3), 40, np.uint8)], 8
    for name, color in zip(names, colors, strict=True):
        (long, _), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
        if at + long > width - 8 and at > 8:
            rows.append(np.full_like(rows[0], 40))
            at = 8
        cv2.putText(rows[-1], name, (at, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color.tolist(), 1, cv2.LINE_AA)
        at += long + 12
    return np.vstack(rows)


def _palette(count: int) -> NDArray[np.float64]:
    """Colours ``[count, 3]`` that differ."""
    hues = (np.arange(count) * 0.618) % 1.0
    return np.array([colorsys.hsv_to_rgb(hue, 0.85, 0.95) for hue in hues]).reshape(-1, 3)


def suited_among(moves: Sequence[Move], bodies: Iterable[Body]) -> Body | None:
    """The first of several bodies that does all moves, else the one that does most of them, called as it has to be.

    Only moves of legs or wheels tell how a body stands: without any, the first one is taken. Four legs on the ground
    are surer than two, which may be the ears of what lies on its face. None where no move can be done.
    """
    best, most = None, (0, False, 0.0)
    needed = set().union(*(move.needs for move in moves))
    for body in (found.asked_for(needed) for found in bodies):
        for called in _callings(moves, body):
            other = body.called(called)
            does = [move for move in moves if can_do(move, other)]
            sure = body.count("leg") >= _SURE_LEGS and any("leg" in move.needs for move in does)
            found = len(does), sure, _limbs(does, other)
            if does and (found[:2] > most[:2] or (found[:2] == most[:2] and found[2] > _FAR_LARGER * most[2])):
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


def _limbs(moves: Sequence[Move], body: Body) -> float:
    """How long the longest part is that one of these moves needs: a tailplane is no wing beside the wings."""
    needed = set().union(*(move.needs for move in moves))
    return max((part.length for part in body.parts if part.name in needed), default=0.0)


def can_do(move: Move, body: Body) -> bool:
    """Whether a body has the parts that a move needs; legs, on both of its sides."""
    if move.name in _BENDS_ALONG and (body.count("leg") + body.count("wheel") < 2 or _on_fins(body)):
        return True  # what looks like arms are fins
    if "leg" in move.needs and not body.pairs_of("leg"):
        return False
    return applies(move, body.parts)


def _on_fins(body: Body) -> bool:
    """Whether its legs are so short against its length that they are fins: those of a fish may hang down."""
    ends = [part.joint[2] + part.length * part.along[2] for part in body.parts if part.name in ("head", "tail")]
    legs = [part.length for part in body.parts if part.name == "leg"]
    return bool(legs) and len(ends) > 1 and max(legs) < _FIN * float(np.ptp(ends)) and not body.count("wheel")


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
        # Left and right are those of the picture, so a body that stands is not turned, but faces another way.
        facing = computed.facing if body is None else body.yaw
        self._turn = np.eye(3) if body is None else rotation_matrices(np.deg2rad(facing) * UP) @ body.turn
        upright = self._upright(points)
        if body is None:
            self._subject = subject_of_points(upright, facing)
        else:
            self._subject = subject_of(body, upright @ rotation_matrices(-np.deg2rad(facing) * UP).T, facing)
        lies = self._turn.T if self._turn[1, 1] < 1.0 - _LEVEL else None
        self._acts = list(acts_of(self._subject, computed.acts, frames, lies))
        self.frames = frames

    def at(self, points: NDArray[np.floating], frame: int) -> NDArray[np.float64]:
        """Where placed points ``[N, 3]`` are in a frame; in the first they rest."""
        points = np.asarray(points, np.float64)
        if frame == 0:
            return points
        moved = np.empty_like(points)
        for start in range(0, len(points), _AT_ONCE):
            some = self._upright(points[start : start + _AT_ONCE])
            moved[start : start + _AT_ONCE] = self._moved(some, self._weights(some), frame)
        return UPRIGHT.apply(moved @ self._turn)

    def around(self, points: NDArray[np.floating], frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Placed points in a frame, and how their surroundings are turned and stretched there.

        The surroundings follow the parts as the points do: weights are not smooth enough for a derivative.

        Returns:
            ``[N, 3]`` and the derivatives ``[N, 3, 3]`` of their places by those at rest.
        """
        points = np.asarray(points, np.float64)
        step = _STEP * float(np.ptp(points, axis=0).max())
        there, change = np.empty_like(points), np.empty((*points.shape, 3))
        for start in range(0, len(points), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            weights = self._weights(self._upright(points[part]))
            there[part], *beside = (
                UPRIGHT.apply(self._moved(self._upright(points[part] + aside), weights, frame) @ self._turn)
                for aside in step * np.concatenate([np.zeros((1, 3)), np.eye(3)])
            )
            change[part] = np.stack([(other - there[part]) / step for other in beside], axis=-1)
        return there, change

    def _moved(self, upright: NDArray[np.float64], weights: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
        """Where upright points ``[N, 3]`` that follow the parts ``[N, P]`` are in a frame."""
        for act in self._acts:
            if frame > act.start and not (frame >= act.start + act.frames and act.rests):
                upright = act.at(upright, weights, frame)
        return upright

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
