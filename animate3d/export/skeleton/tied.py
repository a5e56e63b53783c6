"""The pose of a rig that fits a trajectory best: its joints turn and stay where the bones above hold them.

A skinned vertex is linear in the turns of the bones, about the joints: ``sum_b R_b a_b + s_b T_b``. So all that a fit
needs of the vertices are products of these sums, and its time does not depend on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from animate3d.motion.surfaces import Array, Ids, nearest_rotations

_CHUNK = 8192  # vertices at a time
_HOLD = 1e-10  # of the vertices' moment: what nothing else tells, a joint does like the one above
_SWEEPS, _STEPS = 4, 40
_DONE = 1e-9  # of the sum of squares, gained by a step
_SEEN = 1e-3  # of the diagonal: up to such an error no joint is asked to leave its place
_CLEAR = 0.25  # of the sum of squares: joints that leave their places have to bring it down to so much
_SLIDES = 5e-3  # of the diagonal: how far a joint goes in the mean that leaves its place
_TOGETHER = 0.5  # of the largest gain: joints that are asked in one go
_WORTH = 0.02  # of the sum of squares that joints which leave their places take off


@dataclass(frozen=True)
class Tied:
    """How the bones move.

    Attributes:
        rotations: ``[F, B, 3, 3]`` of the rest pose's points, about the origin.
        translations: ``[F, B, 3]``
        sliding: ``[B]`` joints that leave their places in the bones above; the topmost one of a tree may always.
    """

    rotations: Array
    translations: Array
    sliding: np.ndarray


def tied_pose(positions: Array, weights: Array, parents: Ids, joints: Array) -> Tied:
    """Turn the bones about their joints, frame by frame, and move the topmost one.

    Joints leave their places where the rig clearly does that: where the error falls to half and less if they may, and
    those that go more than 0.5 % of the diagonal then.

    Args:
        positions: ``[F, N, 3]``, frame 0 the rest pose.
        weights: ``[N, B]``
        parents: ``[B]``
        joints: ``[B, 3]`` at rest.
    """
    problem = _Problem.of(positions, weights, parents, joints)
    diagonal = float(np.linalg.norm(np.ptp(positions[0], axis=0))) or 1.0
    fixed, slides = _trunk(parents, weights.sum(axis=0))
    pose = problem.solve(slides, fixed, None)
    seen = (_SEEN * diagonal) ** 2 * len(weights) * max(len(positions) - 1, 1)
    may = ~fixed & (problem.below.sum(axis=0) > 1e-6)
    if problem.error(pose) > seen and (may & ~slides).any():
        free = problem.solve(may, fixed, pose)
        if problem.error(free) < _CLEAR * problem.error(pose):
            slides, pose = _released(problem, pose, fixed, (slides, may), diagonal)
    turns, moves = pose[..., :3], pose[..., 3]
    places = _places(turns, moves, parents, joints)
    return Tied(turns, places - np.einsum("fbij,bj->fbi", turns, joints), slides)


def _released(
    problem: _Problem, pose: Array, fixed: np.ndarray, slides: tuple[np.ndarray, np.ndarray], diagonal: float
) -> tuple[np.ndarray, Array]:
    """Joints that leave their places: those first that take most off the error, of these the ones that go far."""
    now, may = slides[0].copy(), slides[1].copy()
    worth = _WORTH * problem.error(pose)
    while (may & ~now).any():
        gains = np.where(may & ~now, problem.gains(pose, now, fixed), -1.0)
        asked = gains >= max(_TOGETHER * gains.max(), worth)
        if not asked.any():
            break
        found = problem.solve(now | asked, fixed, pose)
        far = np.sqrt((found[1:, :, :, 3] ** 2).sum(axis=-1).mean(axis=0)) > _SLIDES * diagonal
        may &= ~asked | far
        if not far[asked].any():
            continue
        if not far[asked].all():
            found = problem.solve(now | (asked & far), fixed, pose)
        if problem.error(found) > problem.error(pose) - worth:
            break
        now, pose = now | (asked & far), found
    return now, pose


def _trunk(parents: Ids, shares: Array) -> tuple[np.ndarray, np.ndarray]:
    """Joints that keep still and joints that move their whole tree: those above the first one that has a task."""
    count = len(parents)
    busy = shares > 1e-6
    for bone in range(count - 1, -1, -1):
        if busy[bone] and parents[bone] >= 0:
            busy[parents[bone]] = True
    fixed, top = np.zeros(count, bool), np.zeros(count, bool)
    for root in np.flatnonzero(parents < 0):
        bone = int(root)
        while shares[bone] <= 1e-6:
            fixed[bone] = True
            children = np.flatnonzero((parents == bone) & busy)
            if len(children) != 1:
                fixed[bone] = not len(children)
                break
            bone = int(children[0])
        top[bone] = not fixed[bone]
    for bone in range(count):  # what hangs below a joint that keeps still and has no task keeps still too
        if parents[bone] >= 0 and fixed[parents[bone]] and not busy[bone]:
            fixed[bone] = True
    return fixed, top


def _places(turns: Array, moves: Array, parents: Ids, joints: Array) -> Array:
    """Where the joints are. ``[F, B, 3]``"""
    found = np.empty_like(moves)
    for bone, above in enumerate(parents):
        if above < 0:
            found[:, bone] = joints[bone] + moves[:, bone]
        else:
            arm = turns[:, above] @ (joints[bone] - joints[above])
            found[:, bone] = found[:, above] + arm + moves[:, bone]
    return found


@dataclass(frozen=True)
class _Problem:
    """The sum of squares of a trajectory's distance from its bones, as a function of their turns and moves.

    A pose is ``[F, B, 3, 4]``: for every bone a rotation, and how far its joint has left its place.

    Attributes:
        gram: ``[B, 4, B, 4]`` products of what the turns and moves are multiplied by, summed over the vertices.
        toward: ``[F, B, 3, 4]`` their products with the trajectory.
        square: ``[F]`` of the trajectory.
        below: ``[N, B]`` share of a vertex that a joint carries with all below it.
    """

    gram: Array
    toward: Array
    square: Array
    below: Array

    @classmethod
    def of(cls, positions: Array, weights: Array, parents: Ids, joints: Array) -> _Problem:
        frames, count = len(positions), len(parents)
        below = np.array(weights, dtype=np.float64)
        for bone in range(count - 1, -1, -1):
            if parents[bone] >= 0:
                below[:, parents[bone]] += below[:, bone]
        roots = parents < 0
        gram, toward = np.zeros((4 * count, 4 * count)), np.zeros((frames, 3, 4 * count))
        square = np.zeros(frames)
        for start in range(0, len(weights), _CHUNK):
            rows = slice(start, start + _CHUNK)
            arms = weights[rows, :, None] * (positions[0, rows, None] - joints)
            for bone in np.flatnonzero(~roots):
                above = parents[bone]
                arms[:, above] += below[rows, bone, None] * (joints[bone] - joints[above])
            factors = np.concatenate([arms, below[rows, :, None]], axis=2).reshape(-1, 4 * count)
            paths = positions[:, rows] - below[rows][:, roots] @ joints[roots]
            gram += factors.T @ factors
            toward += paths.transpose(0, 2, 1) @ factors
            square += (paths**2).sum(axis=(1, 2))
        own = gram.reshape(count, 4, count, 4)
        want = toward.reshape(frames, 3, count, 4).transpose(0, 2, 1, 3).copy()
        size = float(np.ptp(positions[0], axis=0).max()) or 1.0
        hold = _HOLD * max(len(weights), 1)
        for bone, above in enumerate(parents):
            for axis in range(3):
                own[bone, axis, bone, axis] += hold * size**2
                if above >= 0:
                    own[above, axis, above, axis] += hold * size**2
                    own[bone, axis, above, axis] -= hold * size**2
                    own[above, axis, bone, axis] -= hold * size**2
                else:
                    want[:, bone, axis, axis] += hold * size**2
            square += 3 * hold * size**2 * (above < 0)
            own[bone, 3, bone, 3] += hold
        return cls(own, want, square, below)

    def error(self, pose: Array) -> float:
        """Sum of squares over all frames."""
        return sum(self._error_of(frame, pose[frame]) for frame in range(1, len(pose)))

    def solve(self, slides: np.ndarray, fixed: np.ndarray, start: Array | None) -> Array:
        """The pose of least error, frame after frame, in which only some joints leave their places."""
        frames, count = len(self.square), len(slides)
        rest = np.concatenate([np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3, 1))], axis=2)
        pose = np.tile(rest, (frames, 1, 1, 1)) if start is None else start.copy()
        for frame in range(1, frames):
            begins = [pose[frame]]
            if start is None:
                begins = [pose[frame - 1], self._swept(frame, rest, slides, fixed)]
            ends = [self._descended(frame, begin, slides, fixed) for begin in begins]
            pose[frame] = min(ends, key=lambda end: end[1])[0]
        return pose

    def gains(self, pose: Array, slides: np.ndarray, fixed: np.ndarray) -> Array:
        """How much less the error would be, to first order, if one more joint left its place. ``[B]``"""
        count = len(slides)
        found = np.zeros(count)
        for frame in range(1, len(pose)):
            slope, bend = self._slope(frame, pose[frame]), self._bend(pose[frame])
            active = _active(slides, fixed)
            other = (6 * np.arange(count)[:, None] + [3, 4, 5]).ravel()
            inner = bend[np.ix_(active, active)]
            inner = inner + 1e-9 * np.diag(inner.diagonal() + 1e-300)
            cross = bend[np.ix_(active, other)]
            solved = np.linalg.solve(inner, cross)
            for bone in range(count):
                at = slice(3 * bone, 3 * bone + 3)
                ids = other[at]
                own = bend[np.ix_(ids, ids)]
                left = own - cross[:, at].T @ solved[:, at]
                left += 1e-6 * (own + 1e-300 * np.eye(3))
                pull = slope[ids] - cross[:, at].T @ np.linalg.solve(inner, slope[active])
                found[bone] += float(pull @ np.linalg.lstsq(left, pull, rcond=None)[0])
        return found

    def _swept(self, frame: int, begin: Array, slides: np.ndarray, fixed: np.ndarray) -> Array:
        """Each bone turned as fits best while the others keep still, in turn: far from the start too."""
        pose = begin.copy()
        for _ in range(_SWEEPS):
            for bone in range(len(pose)):
                if slides[bone]:
                    left = self._slope_of(frame, pose, bone)[:, 3]
                    pose[bone, :, 3] += left / self.gram[bone, 3, bone, 3]
                if not fixed[bone]:
                    own = pose[bone, :, :3] @ self.gram[bone, :3, bone, :3]
                    pose[bone, :, :3] = nearest_rotations((self._slope_of(frame, pose, bone)[:, :3] + own)[None])[0]
        return pose

    def _slope_of(self, frame: int, pose: Array, bone: int) -> Array:
        return np.asarray(self.toward[frame, bone] - np.einsum("bik,bkl->il", pose, self.gram[:, :, bone]))

    def _descended(self, frame: int, pose: Array, slides: np.ndarray, fixed: np.ndarray) -> tuple[Array, float]:
        """Steps of Gauss and Newton, damped, and the error where they end."""
        active = _active(slides, fixed)
        error, damping = self._error_of(frame, pose), 1e-4
        if not len(active):
            return pose, error
        for _ in range(_STEPS):
            slope, bend = self._slope(frame, pose)[active], self._bend(pose)[np.ix_(active, active)]
            while damping < 1e6:
                step = np.zeros(6 * len(pose))
                step[active] = np.linalg.solve(bend + damping * np.diag(bend.diagonal() + 1e-300), slope)
                tried = _stepped(pose, step.reshape(-1, 6))
                now = self._error_of(frame, tried)
                if now < error:
                    break
                damping *= 10
            else:
                break
            gained, pose, error, damping = error - now, tried, now, max(damping / 10, 1e-12)
            if gained < _DONE * abs(error) or error < 1e-13 * self.square[frame]:
                break
        return pose, error

    def _error_of(self, frame: int, pose: Array) -> float:
        pulled = np.einsum("bik,bkcl->cil", pose, self.gram, optimize=True)
        return float(self.square[frame] + ((pulled - 2 * self.toward[frame]) * pose).sum())

    def _slope(self, frame: int, pose: Array) -> Array:
        """Half the descent by small turns about x, y, z and moves of every bone. ``[6 B]``"""
        left = self.toward[frame] - np.einsum("bik,bkcl->cil", pose, self.gram, optimize=True)
        twist = np.einsum("bik,bjk->bij", left[..., :3], pose[..., :3])
        turns = np.stack(
            [twist[:, 2, 1] - twist[:, 1, 2], twist[:, 0, 2] - twist[:, 2, 0], twist[:, 1, 0] - twist[:, 0, 1]], axis=1
        )
        return np.concatenate([turns, left[..., 3]], axis=1).ravel()

    def _bend(self, pose: Array) -> Array:
        """Half the second derivative for these, without what the residual adds. ``[6 B, 6 B]``"""
        count = len(pose)
        turned = np.einsum("bik,bkcl->bicl", pose[..., :3], self.gram[:, :3], optimize=True)
        both = np.einsum("bicl,cjl->bicj", turned[..., :3], pose[..., :3], optimize=True)
        found = np.zeros((count, 6, count, 6))
        trace = np.einsum("bici->bc", both)
        found[:, :3, :, :3] = trace[:, None, :, None] * np.eye(3)[:, None] - both.transpose(0, 3, 2, 1)
        arms = turned[..., 3]  # [B, 3, C]
        for first, second, third in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            found[:, first, :, 3 + second] = -arms[:, third]
            found[:, second, :, 3 + first] = arms[:, third]
        found[:, 3:, :, :3] = found[:, :3, :, 3:].transpose(2, 3, 0, 1)
        for axis in range(3):
            found[:, 3 + axis, :, 3 + axis] = self.gram[:, 3, :, 3]
        return found.reshape(6 * count, 6 * count)


def _active(slides: np.ndarray, fixed: np.ndarray) -> Ids:
    """Which of the six numbers of every bone a fit may change."""
    return np.flatnonzero(np.repeat(np.stack([~fixed, slides], axis=1), 3, axis=1).ravel())


def _stepped(pose: Array, step: Array) -> Array:
    found = pose.copy()
    found[..., :3] = Rotation.from_rotvec(step[:, :3]).as_matrix() @ pose[..., :3]
    found[..., 3] += step[:, 3:]
    return found
