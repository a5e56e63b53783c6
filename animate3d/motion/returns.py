"""Moments to which a clip comes back: what was lost on the way is found again there.

Long motions repeat. Where a frame looks more like an earlier one than like the last, the pose of that one is a start
that no later mistake has touched; frame 0, whose pose is known, among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from animate3d.motion.flow import Bytes

_SIDE = 48  # pixels of the pictures that are kept of every frame
_RECENT = 5  # frames before this one that are no return


class Returns:
    """Small pictures of all frames so far."""

    def __init__(self) -> None:
        self._seen: list[NDArray[np.float32]] = []

    def add(self, images: Sequence[Bytes]) -> int | None:
        """Keep the next frame; the earlier one that looks most like it, if it does so more than the last one.

        Args:
            images: of every view, stored ``[H, W, 4]``.
        """
        small = [cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for image in images]
        now = np.stack(small).astype(np.float32)
        apart = [float(np.square(now - then).mean()) for then in self._seen]
        self._seen.append(now)
        earlier = apart[:-_RECENT]
        if not earlier or min(earlier) >= apart[-1]:
            return None
        return int(np.argmin(earlier))
