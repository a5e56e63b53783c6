"""Where a picture of a model was taken from: azimuth, elevation, roll, field of view, distance and offset.

The model is drawn small from all sides and compared with the picture, outline and colours; the best few views are
refined by Gauss-Newton steps on blurred pictures, whose derivatives are differences of renders. The light of the
picture is unknown: the colours of a render are multiplied by the light that explains the picture best, constant plus
linear in the surface's direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.meshes import Mesh, Placement
from animate3d.runs.camera_pictures import Drawer, Drawn, Window, camera_numbers, picture_size, viewmats
from animate3d.runs.viewpoint import Viewpoint, camera_to_world

Array = NDArray[np.float64]
Image = NDArray[np.float32]

MIN_OVERLAP = 0.8
"""Silhouette IoU of the picture and the model under which a camera is not believed."""

WELL_OVERLAP, CLOSE_RIVAL = 0.93, 1.25
"""Overlap under which a camera is doubted, and the error of another view, against this one's, under which it is."""

_SURE_OVERLAP, _MOST_COLOR_ERROR = 0.95, 0.12  # where outlines agree less, colours have to agree

_COARSE, _FINE, _FINAL = 48, 80, 160  # pixels of the window around the object
_AZIMUTHS, _ELEVATIONS = 24, (-60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0)
_ROLLS = (-24.0, -12.0, 0.0, 12.0, 24.0)
_SPREAD = 0.22  # standard deviation of an object's pixels after it was brought to one size, of the window
_CANDIDATES, _FINALISTS = 8, 4
_IN_REACH = 2.5  # times the least error: worse views are given up
_RIVAL = 40.0  # degrees from the view found, from which on another one is a different answer
_APART = 25.0  # degrees between candidates
_USUAL_FOV = 38.0
# Parameters: azimuth, elevation, roll (degrees), log of the field of view's tangent, log of the size of the model in
# the picture, offset. Steps of the differences, and how far from usual each may wander (standard deviations).
_STEPS = np.array([2.0, 2.0, 2.0, 0.08, 0.02, 0.01, 0.01])
_PRIOR = np.array([np.inf, np.inf, 25.0, 0.5, np.inf, np.inf, np.inf])
_PRIOR_WEIGHT = 0.5
_COLOR = 0.6  # weight of a difference of colours against one of coverage


@dataclass(frozen=True)
class FoundCamera:
    """What was found.

    Attributes:
        viewpoint: the camera, of the picture's size.
        overlap: silhouette IoU of the picture and the model drawn by it.
        color_error: mean difference of colours (0..1) where both show the object, in the light found.
        rival: the best other view, more than 40 degrees away, and how close it comes (its error / the error of
            this one); None when no other was in reach.
    """

    viewpoint: Viewpoint
    overlap: float
    color_error: float
    rival: tuple[Viewpoint, float] | None

    @property
    def believed(self) -> bool:
        """Whether the picture shows the model: many outlines fit some view of it, but not with its colours."""
        fits = self.overlap >= _SURE_OVERLAP or self.color_error <= _MOST_COLOR_ERROR
        return self.overlap >= MIN_OVERLAP and fits

    @property
    def ambiguous(self) -> bool:
        """Whether the picture looks nearly the same from quite another view."""
        return self.rival is not None and self.rival[1] < CLOSE_RIVAL

    @property
    def doubtful(self) -> bool:
        """Whether a person should look at the answer."""
        return self.overlap < WELL_OVERLAP or self.ambiguous


def find_camera(mesh: Mesh, placement: Placement, rgba: NDArray[np.uint8]) -> FoundCamera:
    """The camera that saw a picture of the placed model at rest, or nearly so.

    Args:
        rgba: ``[H, W, 4]`` picture with the object cut out; its alpha is not empty.
    """
    drawer = Drawer(mesh, placement)
    pictures = {size: Window.of(rgba, size) for size in (_COARSE, _FINE, _FINAL)}
    starts = _coarse(drawer, pictures[_COARSE], picture_size(rgba))
    rough = _refined(drawer, pictures[_COARSE], starts, (2.5,), (5,))
    fine = _refined(drawer, pictures[_FINE], [p for _, p in rough[:_FINALISTS]], (2.5, 1.5), (4, 3))
    in_reach = [p for e, p in fine if e < _IN_REACH * fine[0][0]]
    final = _refined(drawer, pictures[_FINAL], in_reach, (2.0, 1.0), (3, 3))
    error, best = final[0]
    size = picture_size(rgba)
    overlap, color_error = _quality(drawer, pictures[_FINAL], best)
    others = [(e / max(error, 1e-9), p) for e, p in final[1:] if _angle(p, best) > _RIVAL]
    rival = (_viewpoint(others[0][1], drawer.centre, size), others[0][0]) if others else None
    return FoundCamera(_viewpoint(best, drawer.centre, size), overlap, color_error, rival)


def refine_camera(mesh: Mesh, placement: Placement, rgba: NDArray[np.uint8], start: Viewpoint) -> Viewpoint:
    """The camera near another one that sees the model most like a picture; the field of view stays.

    Args:
        rgba: see `find_camera`.
        start: of the picture's size.
    """
    drawer = Drawer(mesh, placement)
    c2w = start.c2w()
    c2w[:3, 3] -= drawer.centre
    about = Viewpoint.of_matrix(c2w, start.field_of_view, start.size)
    half = np.log(np.tan(np.radians(about.field_of_view) / 2))
    turn = [about.azimuth, about.elevation, about.roll]
    parameters = np.array([*turn, half, -np.log(about.distance) - half, *about.offset])
    steps = _STEPS * np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    for size, blurs in ((_FINE, (4.0, 2.0)), (_FINAL, (2.0, 1.0))):
        parameters = _refine(drawer, Window.of(rgba, size), parameters, blurs, (5, 3), steps)[1]
    return _viewpoint(parameters, drawer.centre, start.size)


def _viewpoint(parameters: Array, centre: Array, size: tuple[int, int]) -> Viewpoint:
    numbers = camera_numbers(parameters[None])
    c2w = camera_to_world(numbers)[0]
    c2w[:3, 3] += centre
    return Viewpoint.of_matrix(c2w, float(numbers[0, 3]), size)


def _angle(a: Array, b: Array) -> float:
    """Between the directions from the centre to two cameras, degrees."""
    (aa, ae), (ba, be) = np.radians(a[:2]), np.radians(b[:2])
    cos = np.sin(ae) * np.sin(be) + np.cos(ae) * np.cos(be) * np.cos(aa - ba)
    return float(np.degrees(np.arccos(np.clip(cos, -1, 1))))


# From all sides


def _coarse(drawer: Drawer, picture: Window, size: tuple[int, int]) -> list[Array]:
    """Parameters of the views that look most like the picture, apart from each other, the best first."""
    azimuth, elevation = np.meshgrid(np.arange(_AZIMUTHS) * 360.0 / _AZIMUTHS, _ELEVATIONS)
    views = np.stack([azimuth.ravel(), elevation.ravel()], axis=1)
    half = np.tan(np.radians(_USUAL_FOV) / 2)
    distance = 1.15 * drawer.radius / np.sin(np.radians(_USUAL_FOV) / 2)
    zeros = np.zeros((len(views), 1))
    numbers = np.concatenate([views, zeros, zeros + _USUAL_FOV, zeros + distance, zeros, zeros], axis=1)
    focal = np.full(len(views), 0.5 * _COARSE / half)
    drawn = drawer.draw_through(viewmats(camera_to_world(numbers)), focal, np.zeros(2), _COARSE)
    targets = [_canonical(picture.alpha, picture.color, roll) for roll in _ROLLS]
    scores = np.full((len(views), len(_ROLLS)), np.inf)
    frames = []
    for v in range(len(views)):
        view = _canonical(drawn.alpha[v], drawn.color[v], 0.0)
        frames.append(view)
        if view is not None:
            scores[v] = [_unlikeness(view, target) for target in targets]
    found: list[Array] = []
    for v, r in zip(*np.unravel_index(np.argsort(scores, axis=None), scores.shape), strict=True):
        view, target = frames[v], targets[r]
        if view is None or target is None or not np.isfinite(scores[v, r]):
            break
        # Spread and middle of the object fix the size and the offset.
        spread = target.spread / picture.scale / size[1]  # share of the picture's height
        zoom = spread / (view.spread / _COARSE)
        middle = (np.array(target.middle) / picture.scale + picture.corner - np.array(size) / 2) / size[1]
        shown = (np.array(view.middle) - _COARSE / 2) / _COARSE * zoom
        angle = np.radians(_ROLLS[r])
        c, s = np.cos(angle), np.sin(angle)
        turned = np.array([shown[0] * c + shown[1] * s, shown[1] * c - shown[0] * s])
        offset = middle - turned
        start = np.array([*views[v], _ROLLS[r], np.log(half), np.log(zoom / (distance * half)), offset[0], -offset[1]])
        if all(_angle(start, other) > _APART or abs(start[2] - other[2]) > 20 for other in found):
            found.append(start)
        if len(found) == _CANDIDATES:
            break
    return found


class _Canonical(NamedTuple):
    """An object brought to one place and size.

    Attributes:
        alpha, color: ``[S, S]``, ``[S, S, 3]``
        spread: root mean square distance of its pixels from their middle, in pixels of where it came from.
        middle: x and y of it there.
    """

    alpha: Image
    color: Image
    spread: float
    middle: tuple[float, float]


def _canonical(alpha: Image, color: Image, roll: float) -> _Canonical | None:
    """Centred and scaled to `_SPREAD`; turned back by a clockwise roll of the camera."""
    mask = alpha > 0.5
    if mask.sum() < 8:
        return None
    rows, columns = np.nonzero(mask)
    x, y = columns.mean() + 0.5, rows.mean() + 0.5
    spread = float(np.sqrt(((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2).mean() / 2))
    zoom = _SPREAD * _COARSE / max(spread, 0.5)
    # A camera that is rolled clockwise sees the picture turned counter-clockwise: turn it clockwise.
    c, s = zoom * np.cos(np.radians(roll)), zoom * np.sin(np.radians(roll))
    matrix = np.array([[c, -s, 0.0], [s, c, 0.0]])
    matrix[:, 2] = _COARSE / 2 - 0.5 - matrix[:, :2] @ [x - 0.5, y - 0.5]
    layers = np.dstack([color * alpha[..., None], alpha])
    seen = np.asarray(cv2.warpAffine(layers, matrix, (_COARSE, _COARSE), flags=cv2.INTER_LINEAR), np.float32)
    over = np.maximum(seen[..., 3:], 1e-3)
    return _Canonical(seen[..., 3], seen[..., :3] / over, spread, (x, y))


def _unlikeness(view: _Canonical, target: _Canonical | None) -> float:
    """1 - IoU, and the difference of colours where both are."""
    if target is None:
        return np.inf
    inside = np.minimum(view.alpha, target.alpha)
    overlap = float(inside.sum() / np.maximum(view.alpha, target.alpha).sum())
    both = inside > 0.5
    if both.sum() < 8:
        return np.inf
    a, b = view.color[both], target.color[both]
    gain = ((a * b).sum(axis=0) / np.maximum((a * a).sum(axis=0), 1e-6)).clip(0.4, 2.0)
    return 1 - overlap + 1.5 * float(np.abs(a * gain - b).mean())


# Refinement


def _refined(
    drawer: Drawer, picture: Window, starts: list[Array], blurs: tuple[float, ...], rounds: tuple[int, ...]
) -> list[tuple[float, Array]]:
    """Errors and parameters that the starts lead to, the best first."""
    found = [_refine(drawer, picture, start, blurs, rounds) for start in starts]
    return _distinct(sorted(found, key=lambda item: item[0]))


def _refine(
    drawer: Drawer,
    picture: Window,
    start: Array,
    blurs: tuple[float, ...],
    rounds: tuple[int, ...],
    steps: Array = _STEPS,
) -> tuple[float, Array]:
    """Gauss-Newton from coarse to fine blur. Returns the last error and the parameters."""
    parameters, error = start, np.inf
    for blur, count in zip(blurs, rounds, strict=True):
        target = _blurred(np.dstack([picture.alpha, picture.color * picture.alpha[..., None]]), blur)
        damping = 1e-2
        error = np.inf
        for _ in range(count):
            tried = parameters + np.concatenate([np.zeros((1, 7)), np.diag(steps), -np.diag(steps)])
            drawn = drawer.draw(tried, picture)
            light = _light(drawn.color[0], drawn.normal[0], drawn.alpha[0], picture)
            residuals = _residuals(drawn, light, target, picture.known, blur)
            current = residuals[0]
            if not np.isfinite(error):
                error = _cost(current, parameters)
            slope = (residuals[1:8] - residuals[8:15]) / 2  # per step
            moved, error, damping = _step(
                drawer, picture, target, blur, (parameters, current, slope, light, error, damping, steps)
            )
            if moved is None:
                break
            parameters = moved
    return error, parameters


def _step(drawer, picture, target, blur, state):  # type: ignore[no-untyped-def]
    """One damped step: the first of a few dampings that lowers the error; None where none does."""
    parameters, current, slope, light, error, damping, steps = state
    left, right = slope @ slope.T, -slope @ current
    pull = _PRIOR_WEIGHT * (steps / _PRIOR) ** 2
    left = left + np.diag(pull)
    right = right - _PRIOR_WEIGHT * (_away(parameters) / _PRIOR) * (steps / _PRIOR)
    dampings = damping * np.array([0.1, 1.0, 10.0, 100.0])
    ridge = np.diag(left) + 1e-6 * np.trace(left)
    tried = np.stack(
        [parameters + (np.linalg.solve(left + np.diag(d * ridge), right)).clip(-6, 6) * steps for d in dampings]
    )
    residuals = _residuals(drawer.draw(tried, picture), light, target, picture.known, blur)
    errors = [_cost(residual, p) for residual, p in zip(residuals, tried, strict=True)]
    best = int(np.argmin(errors))
    if errors[best] >= error:
        return None, error, damping
    return tried[best], errors[best], float(np.clip(dampings[best], 1e-4, 10.0))


def _away(parameters: Array) -> Array:
    """From the usual field of view, without roll; what has no usual value is 0."""
    away = np.zeros(7)
    away[2] = parameters[2]
    away[3] = parameters[3] - np.log(np.tan(np.radians(_USUAL_FOV) / 2))
    return away


def _cost(residual: Array, parameters: Array) -> float:
    return float(residual @ residual + _PRIOR_WEIGHT * ((_away(parameters) / _PRIOR) ** 2).sum())


def _residuals(drawn: Drawn, light: Array, target: Image, known: Image, blur: float) -> Array:
    """Differences of blurred coverage and colours ``[B, P]``; the sum of their squares grows with no window's size."""
    shown = _lit(drawn.color, drawn.normal, light) * drawn.alpha[..., None]
    layers = np.concatenate([drawn.alpha[..., None], shown], axis=-1)
    difference = np.stack([_blurred(layer, blur) for layer in layers]) - target
    difference[..., 1:] *= _COLOR
    difference *= known[..., None]
    scale = 100.0 / known.shape[0]
    return (scale * difference.reshape(len(layers), -1)).astype(np.float64)


def _blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), sigma), np.float32)


def _light(color: Image, normal: Image, alpha: Image, picture: Window) -> Array:
    """The light that makes the render's colours the picture's: constant, and along the camera's axes ``[4, 3]``.

    One for every channel, held near white light without direction.
    """
    both = (alpha > 0.5) & (picture.alpha > 0.9)
    plain = np.zeros((4, 3))
    plain[0] = 1.0
    if both.sum() < 20:
        return plain
    basis = np.concatenate([np.ones((both.sum(), 1)), normal[both]], axis=1)
    light = plain.copy()
    for k in range(3):
        terms = basis * color[both][:, k : k + 1]
        ridge = np.diag([0.02, 0.05, 0.05, 0.05]) * len(terms) * 0.2
        light[:, k] += np.linalg.solve(
            terms.T @ terms + ridge, terms.T @ (picture.color[both][:, k] - terms @ plain[:, k])
        )
    return light


def _lit(color: Image, normal: Image, light: Array) -> Image:
    gain = light[0] + normal @ light[1:]
    return (color * gain.clip(0, 3)).clip(0, 1).astype(np.float32)


def _distinct(found: list[tuple[float, Array]]) -> list[tuple[float, Array]]:
    """Without those that came to a better one's place."""
    kept: list[tuple[float, Array]] = []
    for error, parameters in found:
        if all(_angle(parameters, other) > 8 for _, other in kept):
            kept.append((error, parameters))
    return kept


def _quality(drawer: Drawer, picture: Window, parameters: Array) -> tuple[float, float]:
    """Silhouette IoU, and the mean difference of colours where both are."""
    drawn = drawer.draw(parameters[None], picture)
    light = _light(drawn.color[0], drawn.normal[0], drawn.alpha[0], picture)
    inside = picture.known > 0
    a, b = (drawn.alpha[0] > 0.5) & inside, (picture.alpha > 0.5) & inside
    both = a & b
    shown = _lit(drawn.color, drawn.normal, light)[0]
    error = float(np.abs(shown[both] - picture.color[both]).mean()) if both.any() else 1.0
    return float(both.sum() / max((a | b).sum(), 1)), error
