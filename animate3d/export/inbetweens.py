"""Frames between the frames of a clip, in which the surface turns instead of cutting through."""

from __future__ import annotations

from animate3d.export.clip import Clip


def resampled(clip: Clip, fps: float) -> Clip:
    """The clip at another number of frames per second; a loop is resampled over its wrap too."""
    raise NotImplementedError
