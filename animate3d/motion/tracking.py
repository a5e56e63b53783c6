"""The template surface is tracked through the videos, frame by frame.

Gradients of a photometric loss reach a pixel or two; a wing that has moved by ten is lost to them. So each frame is
brought close by correspondences: draw the surface as it is believed to lie, with the colours it has in frame 0, find
the optical flow from this picture to the frame, and move the surface so that its points project where the flow says, as
rigidly as possible. A few rounds of draw, match and solve per frame; the stiffness falls from round to round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.motion.both_ways import back_share
from animate3d.motion.flow import Image
from animate3d.motion.limb_search import SEARCH_SIZE, LimbSearch, limbs_of
from animate3d.motion.matching import FrameSource, Matcher, MatchSettings, in_size
from animate3d.motion.objects import Fit, ObjectMasks, Prior, fit_of, masks_of, prior_of
from animate3d.motion.returns import Returns
from animate3d.motion.surfaces import Array, Ids
from animate3d.motion.template import Template

FEW_VIEWS = 2  # so many leave much unseen; more hold each other on course
_FAR_BETTER = 1.35  # times less missed: for what was found before what is found now is left
_JOINT_TURNS = 6  # per round where links let go at joints: what has bent there takes longer to settle
_LAST_ROUNDS = 3  # of the mean of both ways there; elsewhere one
_DOUBTFUL = 8  # frames after which a way may fall behind: in the first ones little is missed, and chance decides
_BEHIND = 1.6  # times the cost of the best way: one that falls so far behind does not catch up
_NEARLY = 1.25  # times the cost of the best way: one that costs no more has a say in the motion
_SURE = 12  # power of the costs: one of 1.1 times the best has a third of its say
_SEARCHES = 3  # for limbs, in a frame: what is found in one shows where another is
_NOTHING = 1e-30  # costs less than anything that moves
_MAX_SIZE = 256  # pixels; larger frames are reduced: they cost time and gain nothing


@dataclass(frozen=True)
class TrackSettings:
    """Settings of `track`; docs/motion.md has the measurements behind them.

    Attributes:
        stiffness: weight of rigidity against the correspondences, for each round of a frame.
        finest: scale at which the flow of each round ends, 0 for full resolution.
        turns: alternations of rotations and positions per round.
        stride: a correspondence of a coarse flow, and of outlines, is taken every so many pixels along both axes.
        residual: difference of colour (0..1) at which a correspondence counts half.
        outline: weight of a pixel that only one of the two silhouettes covers, against one of the flow.
        velocity: shares of the last frame's motion by which the next frame's start is extrapolated; from one and two
            views that whose picture is nearest to the frame, from more the first.
        depth: pulls of every node towards its depth at rest, against its links, where only one view is given; all
            are tried, see `_Way.cost`.
        thorough: follow more than two views as few are followed: from several starts, there and back.
        limbs: look for those that are lost, where several views are followed thoroughly (two always are); for frames
            that agree with each other, as a video model's do not.
    """

    stiffness: tuple[float, ...] = (30.0, 10.0, 3.0, 1.0, 1.0)
    finest: tuple[int, ...] = (1, 1, 0, 0, 0)
    turns: int = 4
    stride: int = 2
    residual: float = 0.08
    outline: float = 0.3
    velocity: tuple[float, ...] = (0.8, 0.4, 0.0)
    depth: tuple[float, ...] = (0.05, 0.0005)
    thorough: bool = False
    limbs: bool = False

    def scaled(self, rigidity: float) -> TrackSettings:
        """The same with every round's stiffness multiplied."""
        return replace(self, stiffness=tuple(rigidity * value for value in self.stiffness))


class Tracked(NamedTuple):
    """The motion of the vertices the template was made of.

    Attributes:
        positions: ``[F, N, 3]``
        rotations: ``[F, N, 3, 3]`` of each vertex's surroundings.
        confidence: ``[F, N]`` 0..1, how well a camera found the surface around each vertex again; 0 where none saw it.
    """

    positions: Array
    rotations: NDArray[np.floating]
    confidence: Array


def track(
    template: Template,
    frames: FrameSource,
    cameras: Cameras,
    settings: TrackSettings | None = None,
    progress: Callable[[int], None] = lambda frame: None,
    ids: NDArray[np.integer] | None = None,
    known: NDArray[np.bool_] | None = None,
) -> Tracked:
    """Follow the template through all frames.

    Args:
        frames: ``[V, F, H, W, 4]`` RGBA 0..1, read one at a time; frame 0 shows the template at rest.
        cameras: ``[V]`` with the size of the frames.
        progress: called with the number of frames that are finished, as the share of the work goes.
        ids: ``[V, F, H, W]`` which object of a scene each pixel shows, see `ObjectMasks`.
        known: ``[V, H, W]`` where the frames show anything, see `Matcher`.
    """
    settings = settings or TrackSettings()
    template = _seen_from(template, frames.shape[0])
    frames, cameras = _reduced(frames, cameras, _MAX_SIZE)
    compare = partial(_matcher, template, settings=settings, known=known)
    matcher = compare(frames, cameras)
    few = frames.shape[0] <= FEW_VIEWS
    thorough = settings.thorough or few
    if not thorough:
        settings = replace(settings, velocity=settings.velocity[:1])
    make = partial(_Way, template, matcher, settings, masks_of(ids, template, cameras))
    if frames.shape[0] == 1:
        ways = _ways_of_one_view(make, template, cameras, settings)
    else:
        ways = [make(fit_of(template, joints=joints), joints=joints) for joints in _joints(few, thorough)]
    if settings.limbs and thorough and frames.shape[0] > 1:
        small, limbs = compare(*_reduced(frames, cameras, SEARCH_SIZE)), limbs_of(template)
        for way in ways:
            way.search = LimbSearch(template, small, limbs)
    returns = Returns()
    returns.add(matcher.shown(0))
    with ThreadPoolExecutor(min(len(ways), torch.get_num_threads())) as pool:  # what is compiled works side by side
        for f in range(1, frames.shape[1]):
            earlier = returns.add(matcher.shown(f))
            if earlier is None and f == frames.shape[1] - 1:
                earlier = 0  # what is lost here is lost on the way back as well
            list(pool.map(partial(_Way.follow, frame=f, earlier=earlier), ways))  # list() raises what a way raised
            ways = _within(ways, _BEHIND) if f >= _DOUBTFUL else ways
            progress(f // 2 if thorough else f)
        ways = _within(ways, _NEARLY)
        if thorough:
            count = frames.shape[1]
            tells = [lambda done: progress((count + done) // 2), *[None] * len(ways)]  # the first tells for all
            list(pool.map(lambda way, tell: way.go_back(template.links, tell), ways, tells))
            progress(count - 1)
    nodes, confidence, fit = *_mean(ways), ways[0].fit
    del ways  # a long clip does not hold what the mean is of any longer
    positions = np.empty((len(nodes), *template.vertices.shape))
    rotations = np.empty((*positions.shape, 3), np.float32)
    for f, found in enumerate(nodes):  # frame by frame, which needs no second copy of a long motion
        positions[f], rotations[f] = template.carry(found, fit.rotations(found).astype(np.float32))
    return Tracked(positions, rotations, template.carry_values(confidence))


class _Way:
    """One way of following the surface: what is assumed of depth and of loose pieces, and where that has led.

    Attributes:
        fit: the solver.
        search: for limbs that are lost; None for none.
        nodes: ``[M, 3]`` of every frame so far.
        confidence: ``[M]`` of every frame so far, see `Tracked`.
        missed: how much of every frame so far is not shown, see `Matcher.missed`.
        strain: of the surface in every frame so far, see `Template.strain`.
    """

    def __init__(
        self,
        template: Template,
        matcher: Matcher,
        settings: TrackSettings,
        masks: ObjectMasks | None,
        fit: Fit,
        prior: Prior | None = None,
        *,
        joints: bool = False,
    ) -> None:
        self._template, self._matcher, self._settings, self._masks = template, matcher, settings, masks
        self.fit, self._prior = fit, prior
        self.search: LimbSearch | None = None
        self._turns = max(settings.turns, _JOINT_TURNS) if joints else settings.turns
        self._last_rounds = _LAST_ROUNDS if joints else 1
        self.nodes, self.confidence = [template.rest], [np.ones(template.n_nodes)]
        self.missed, self.strain = [matcher.missed(template.rest, 0)], [0.0]

    def cost(self) -> float:
        """What is missed of the frames so far times how far the surface is strained.

        A part that is held at its depth while it turns is squeezed, and a piece that is left alone while what carries
        it turns is smeared, by which the picture can be met as well.
        """
        return sum(self.missed) * sum(self.strain)

    def follow(self, frame: int, earlier: int | None) -> None:
        """Find the next frame's nodes.

        Args:
            earlier: a frame that this one looks like more than like the last, see `Returns`. Where more is missed than
                there, something has been lost since, and the pose found there is followed from as well.
        """
        before, last = [*self.nodes[:1], *self.nodes][-2:]
        others = [] if earlier is None else [self.nodes[earlier]]
        nodes, found = self._find(self._start(frame, before, last, others), frame)
        missed = self._matcher.missed(nodes, frame)
        nodes, found, missed = self._searched(nodes, found, missed, last, frame)
        if earlier is not None and missed > _FAR_BETTER * self.missed[earlier]:
            again, found_again = self._find(self.nodes[earlier], frame)
            missed_again = self._matcher.missed(again, frame)
            if missed > _FAR_BETTER * missed_again:
                nodes, found, missed = again, found_again, missed_again
        self.nodes.append(nodes)
        self.confidence.append(found)
        self.missed.append(missed)
        self.strain.append(self._template.strain(nodes))

    def _searched(
        self, nodes: Array, found: Array, missed: float, last: Array, frame: int
    ) -> tuple[Array, Array, float]:
        """What was found in a frame, or what is found from other poses of limbs, if that costs less, see `cost`."""
        for _ in range(_SEARCHES):
            posed = self.search.posed(nodes, last, frame) if self.search else nodes
            if posed is nodes:
                break
            again, found_again = self._find(posed, frame)
            missed_again = self._matcher.missed(again, frame)
            if missed_again * self._template.strain(again) >= missed * self._template.strain(nodes):
                break
            nodes, found, missed = again, found_again, missed_again
        return nodes, found, missed

    def go_back(self, links: Ids, progress: Callable[[int], None] | None = None) -> None:
        """Follow the surface again from the last frame to the first, and make one motion of both, see `back_share`.

        A limb that was lost behind another one when it began to move is often found again later, and not lost on the
        way back. Where the way back is the one that is lost, it goes on from what was found before.

        Args:
            links: ``[E, 2]`` nodes that are neighbours.
            progress: called with the number of frames that are done.
        """
        before = last = self.nodes[-1]
        backwards = range(len(self.nodes) - 2, 0, -1)
        found, misses = [], []
        for frame in backwards:
            nodes, _ = self._find(self._start(frame, before, last, []), frame)
            found.append(nodes)
            misses.append(tuple(self._matcher.misses(x, frame) for x in (self.nodes[frame], nodes)))
            ahead, back = (missed.total for missed in misses[-1])
            before, last = last, self.nodes[frame] if back > _FAR_BETTER * ahead else nodes
            if progress:
                progress(len(self.nodes) - 1 - frame)
        if not found:
            return
        there, back_again = zip(*reversed(misses), strict=True)
        shares = back_share(there, back_again, links)

        def settle(frame: int) -> None:
            nodes, share = found[-frame], shares[frame - 1]
            mean = self.nodes[frame] + share[:, None] * (nodes - self.nodes[frame])
            self.nodes[frame], self.confidence[frame] = self._find(mean, frame, self._last_rounds)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(settle, reversed(backwards)))

    def _find(self, current: Array, frame: int, rounds: int = 0) -> tuple[Array, Array]:
        """The nodes in a frame and their confidence: all or the last few rounds of draw, match and solve."""
        settings, prior = self._settings, self._prior
        for stiffness, finest in [*zip(settings.stiffness, settings.finest, strict=True)][-rounds:]:
            rays, found = self._matcher.match(current, frame, finest)
            rays = self._masks.trusted(rays, frame) if self._masks else rays
            anchors = prior.anchors(current) if prior else None
            current = self.fit.solve(current, rays, stiffness, self._turns, anchors)
            if prior:
                current = prior.at_rest_depth(current)
        return current, found

    def _start(self, frame: int, before: Array, last: Array, others: list[Array]) -> Array:
        """The last motion goes on, slows down or stops, or another pose: whichever looks most like the frame."""
        shares = (0.0,) if before is last else self._settings.velocity
        starts = [*(last + share * (last - before) if share else last for share in shares), *others]
        return min(starts, key=lambda start: self._matcher.missed(start, frame)) if len(starts) > 1 else starts[0]


def _seen_from(template: Template, views: int) -> Template:
    """The template as it is followed from so many views.

    From one view much is guessed. There limbs that touch at rest are guessed better if they hold together.
    """
    return template.painted() if views == 1 else template.untied().painted()


def _ways_of_one_view(
    make: Callable[[Fit, Prior], _Way], template: Template, cameras: Cameras, settings: TrackSettings
) -> list[_Way]:
    """Every pull in depth, with loose pieces free and, where there are any, bound."""
    priors = [prior_of(template, cameras, weight) for weight in settings.depth]
    fits = [fit_of(template, bound=bound) for bound in ([False, True] if len(template.bonds.pairs) else [False])]
    return [make(fit, prior) for fit in fits for prior in priors]


def _matcher(
    template: Template,
    frames: FrameSource,
    cameras: Cameras,
    settings: TrackSettings,
    known: NDArray[np.bool_] | None,
) -> Matcher:
    """Compares the template with frames, in which ``known``, of any size, is where they show anything."""
    known = None if known is None else in_size(known, cameras.width, cameras.height)
    compared = MatchSettings(settings.stride, settings.residual, settings.outline)
    return Matcher(template, frames, cameras, compared, known)


def _joints(few: bool, thorough: bool) -> list[bool]:
    """Whether links let go at joints, for every way that several views are followed."""
    if few:
        return [True]
    return [False, True] if thorough else [False]


def _within(ways: Sequence[_Way], factor: float) -> list[_Way]:
    """Those that cost at most some times as much as the cheapest, the cheapest first."""
    ordered = sorted(ways, key=_Way.cost)
    return [way for way in ordered if way.cost() <= factor * ordered[0].cost()]


def _mean(ways: Sequence[_Way]) -> tuple[list[Array], Array]:
    """The mean of ways that cost about as little, by what they cost, as a hair decides between them.

    What the processor rounds changes the costs of one clip by up to a tenth (docs/motion_trials.md).

    Returns:
        the nodes ``[M, 3]`` of every frame, and their confidence ``[F, M]``.
    """
    costs = np.array([max(way.cost(), _NOTHING) for way in ways])
    shares = (costs.min() / costs) ** _SURE
    shares = shares / shares.sum()
    nodes = [np.tensordot(shares, each, 1) for each in zip(*(way.nodes for way in ways), strict=True)]
    return nodes, np.tensordot(shares, [way.confidence for way in ways], 1)


@dataclass(frozen=True)
class _Reduced:
    """Frames that are made smaller when they are asked for."""

    frames: FrameSource
    size: tuple[int, int]  # width, height

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.frames.shape[:2], *self.size[::-1], 4)

    def __getitem__(self, at: tuple[int, int]) -> Image:
        small = cv2.resize(np.asarray(self.frames[at], np.float32), self.size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32)


def _reduced(frames: FrameSource, cameras: Cameras, size: int) -> tuple[FrameSource, Cameras]:
    """Frames and cameras of at most so many pixels."""
    height, width = frames.shape[2:4]
    scale = size / max(height, width)
    if scale >= 1:
        return frames, cameras
    width, height = round(width * scale), round(height * scale)
    return _Reduced(frames, (width, height)), cameras.resized(height, width)
