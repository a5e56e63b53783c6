"""How a move is done: how far, how fast, which way; with the few words that captions have for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from animate3d.creatures.sculpt.fields import Points

GENTLE, STRONG = 0.5, 1.6
SLOW = 0.5

DIRECTIONS: dict[str, Points] = {
    "left": np.array([-1.0, 0.0, 0.0]),
    "right": np.array([1.0, 0.0, 0.0]),
    "forward": np.array([0.0, 0.0, 1.0]),
    "backward": np.array([0.0, 0.0, -1.0]),
    "up": np.array([0.0, 1.0, 0.0]),
    "down": np.array([0.0, -1.0, 0.0]),
}
"""As the first camera (azimuth 0) sees a y-up object: it looks at the front +z, so +x is right in its picture."""


@dataclass(frozen=True)
class Manner:
    """How a move is done.

    Attributes:
        amplitude: 1 is the usual one; gently is 0.5, strongly 1.6.
        speed: 1 is the usual one; slowly is 0.5, quickly 2.
        direction: a name in `DIRECTIONS` that the move has, or empty for its usual one.
        side: "left" or "right", the body's own, of the only limb that moves where the move is `sided`; else empty.
        count: how often it is done in the clip; 0 is as often as usual.
        closes: what turns does so evenly and on the spot, so that the clip can be played over and over.
    """

    amplitude: float = 1.0
    speed: float = 1.0
    direction: str = ""
    side: str = ""
    count: int = 0
    closes: bool = False


ADVERBS: dict[str, Manner] = {
    "gently": Manner(amplitude=GENTLE),
    "low": Manner(amplitude=GENTLE),
    "strongly": Manner(amplitude=STRONG),
    "high": Manner(amplitude=STRONG),
    "slowly": Manner(speed=SLOW),
    "quickly": Manner(speed=2.0),
    "twice": Manner(count=2),
    **{name: Manner(direction=name) for name in DIRECTIONS},
}
"""The adverbs of captions; each changes one thing."""
