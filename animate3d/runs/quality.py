"""How good a tracked motion is: what of the videos it explains, where it does not, and what would help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.meshes import Mesh
from animate3d.motion.harmless import keep_what_explains
from animate3d.motion.matching import FrameSource
from animate3d.motion.score import Explained, explained
from animate3d.motion.tracking import FEW_VIEWS, Tracked
from animate3d.rasterize.textured import render_mesh

_WELL = 0.8  # a motion that explains less may be wrong in places that people notice
_ENOUGH = 0.993  # a motion that explains less of given frames is looked for once more, thoroughly
_POORLY = 0.65  # the same where a video model made the frames: no motion explains all of what disagrees
_SOMETHING = 0.2  # what explains less is chance, however thoroughly it was looked for
_NEXT_TO_NOTHING = 0.02  # where less is explained and all is held, the frames show something else
_LAGS = 0.15  # a frame that is explained so much worse than the whole is named


class Followed(NamedTuple):
    """A tracked motion and how good it is.

    Attributes:
        positions: ``[F, N, 3]``
        rotations: ``[F, N, 3, 3]`` of each vertex's surroundings, as tracked.
        confidence: ``[F, N]`` 0..1, see `Tracked`.
        explained: how much of the videos' change it shows.
        held: share of the vertices that stand still because their motion explained the videos less than none.
    """

    positions: np.ndarray
    rotations: np.ndarray
    confidence: np.ndarray
    explained: Explained
    held: float

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` notes."""
        return {
            "explained": round(self.explained.total, 4),
            "explained_frames": [round(share, 3) for share in self.explained.frames],
            "changes": [round(share, 3) for share in self.explained.changes],
            "explained_views": [round(share, 3) for share in self.explained.views],
            "held_still": round(self.held, 4),
        }


def followed(
    follow: Callable[[bool], Tracked],
    mesh: Mesh,
    frames: FrameSource,
    cameras: Cameras,
    *,
    keep: bool,
    given: bool = False,
    by_origins: Callable[[], Tracked] | None = None,
    known: NDArray[np.bool_] | None = None,
) -> Followed:
    """What a surface does in some frames; where this explains little of many views, followed again and thoroughly.

    Args:
        follow: follows it, thoroughly or not.
        mesh, frames, cameras, keep, known: see `judged`.
        given: the frames are not a video model's, whose views disagree with each other.
        by_origins: follows it by what the video model says of its pixels; kept where it explains more.
    """
    judge = partial(judged, mesh, frames=frames, cameras=cameras, keep=keep, known=known)
    found = [judge(follow(False))]
    if by_origins is not None:
        found.append(judge(by_origins()))
    best = max(found, key=lambda each: each.explained.total)
    if best.explained.total >= (_ENOUGH if given else _POORLY) or frames.shape[0] <= FEW_VIEWS:
        return best
    again = judge(follow(True))
    return again if again.explained.total > max(best.explained.total, _SOMETHING) else best


def judged(
    mesh: Mesh,
    tracked: Tracked,
    frames: FrameSource,
    cameras: Cameras,
    *,
    keep: bool,
    known: NDArray[np.bool_] | None = None,
) -> Followed:
    """A tracked motion with what it explains.

    Args:
        mesh: how the tracked vertices look.
        frames: ``[V, F, H, W, 4]`` RGBA 0..1; a tensor without ``keep``.
        keep: hold parts still whose motion explains the videos less than none.
        known: ``[V, H, W]`` where the frames show anything; with ``keep``.
    """
    if keep:
        kept = keep_what_explains(mesh, tracked.positions, frames, cameras, known)
        return Followed(kept.positions, *tracked[1:], kept.explained, float(np.mean(kept.moving < 0.5)))
    drawn = render_mesh(mesh, tracked.positions, cameras, supersample=1, shading=False)
    assert isinstance(frames, torch.Tensor)
    return Followed(*tracked, explained(frames, torch.from_numpy(drawn).float() / 255), 0.0)


def frame_confidence(confidence: np.ndarray) -> list[float]:
    """How well each frame was followed, 0..1: the mean over what a camera saw of ``[F, N]``."""
    mean = confidence.sum(axis=1) / np.maximum((confidence > 0).sum(axis=1), 1)
    return [round(float(value), 3) for value in mean]


def quality_sentence(facts: Mapping[str, Any], views: int, size: int) -> str:
    """One line for the user from `Followed.facts`.

    Args:
        views: number of videos.
        size: their pixels.
    """
    total, frames = facts["explained"], facts["explained_frames"]
    # A frame in which next to nothing changes, such as a wing back at rest, says nothing.
    frames = [
        share if 2 * len(frames) * change > 1 else 1.0 for share, change in zip(frames, facts["changes"], strict=True)
    ]
    whose = "video's" if views == 1 else "videos'"
    if total < _NEXT_TO_NOTHING and facts["held_still"] > 0.99:
        shown = "video" if views == 1 else "videos"
        return (
            f"warning: the motion of the {shown} does not match the model, which stands still: none "
            "of the change is explained; check that what is seen moves, is this model in its own colours, and is "
            "seen from where the cameras say"
        )
    text = f"the tracked motion explains {100 * total:.0f} % of the {whose} change"
    worst = int(np.argmin(frames)) if frames else 0
    if frames and frames[worst] < total - _LAGS:
        text += f", least in frame {worst + 1} ({100 * max(frames[worst], 0):.0f} %)"
    if facts["held_still"] > 0:
        held = 100 * facts["held_still"]
        text += f"; {held:.0f} % of the mesh is held still, where its motion explained no more than chance"
    if total < _WELL:
        more = "larger videos" if views >= 4 else "more views" if size >= 256 else "more views or larger videos"
        text += f" (what helps: {more}, slower motion between frames)"
    if views == 1:
        text += "; depth, and what the one video does not show, are guessed: a second video from 90° aside helps most"
    return text
