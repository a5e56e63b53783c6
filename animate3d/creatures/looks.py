"""Colours and patterns of creatures, with the words for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.13, 0.12),
    "orange": (0.97, 0.52, 0.09),
    "yellow": (0.98, 0.85, 0.16),
    "green": (0.20, 0.65, 0.22),
    "blue": (0.15, 0.35, 0.87),
    "purple": (0.52, 0.20, 0.70),
    "pink": (0.98, 0.52, 0.70),
    "white": (0.95, 0.94, 0.92),
    "brown": (0.48, 0.27, 0.11),
    "black": (0.11, 0.11, 0.14),
}
"""Named colours, sRGB. None is near the grey background."""

PATTERNS = ("plain", "striped", "spotted")

_CONTRASTS: dict[str, tuple[str, ...]] = {
    "red": ("yellow", "white", "black"),
    "orange": ("white", "black", "purple"),
    "yellow": ("red", "black", "blue", "brown"),
    "green": ("yellow", "white", "black"),
    "blue": ("yellow", "white", "orange"),
    "purple": ("yellow", "white", "orange"),
    "pink": ("white", "purple", "red"),
    "white": ("black", "red", "blue", "brown"),
    "brown": ("white", "yellow", "orange"),
    "black": ("white", "yellow", "red"),
}


@dataclass(frozen=True, eq=False)
class Look:
    """Colours of one creature.

    Attributes:
        color, pattern: the words for its main colour and pattern.
        main, second, accent: sRGB; the pattern is drawn in the second.
        stripe_width: half a period of stripes, in the template's units.
        stripe_phase: where they begin, 0 to 1.
        spots: ``[S, 3]`` centres in the template, on the left side.
        spot_radius: in the template's units.
    """

    color: str
    pattern: str
    main: Points
    second: Points
    accent: Points
    stripe_width: float
    stripe_phase: float
    spots: Points
    spot_radius: float

    def coat(self, points: Points, along: Points) -> Points:
        """The main colour with the pattern; stripes run across the coordinate ``along [...]``. ``[..., 3]``"""
        color = np.broadcast_to(self.main, points.shape)
        if self.pattern == "striped":
            wave = np.abs((along / (2 * self.stripe_width) + self.stripe_phase) % 1.0 - 0.5)
            return mix(color, self.second, soft_step(wave, 0.21, 0.29))
        if self.pattern == "spotted":
            left = mirrored(points)
            away = np.full(points.shape[:-1], np.inf)
            for spot in self.spots:
                away = np.minimum(away, ((left - spot) ** 2).sum(axis=-1))
            return mix(color, self.second, soft_step(self.spot_radius - np.sqrt(away), -0.02, 0.02))
        return color


def draw_words(seed: int) -> tuple[str, str]:
    """Names of the main colour and of the pattern of the creature with a seed."""
    generator = np.random.default_rng([seed, 1])
    return str(generator.choice(list(COLORS))), str(generator.choice(PATTERNS))


def draw_look(seed: int, surface: Points) -> Look:
    """Random colours that stand out from each other; spots are spread on a surface ``[N, 3]``."""
    color, pattern = draw_words(seed)
    generator = np.random.default_rng([seed, 2])
    second = str(generator.choice(_CONTRASTS[color]))
    accent = str(generator.choice([name for name in COLORS if name not in (color, second)]))
    return Look(
        color=color,
        pattern=pattern,
        main=_varied(generator, color),
        second=_varied(generator, second),
        accent=_varied(generator, accent),
        stripe_width=float(generator.uniform(0.085, 0.14)),
        stripe_phase=float(generator.random()),
        spots=_spread(generator, mirrored(surface), 0.27),
        spot_radius=float(generator.uniform(0.075, 0.1)),
    )


def eyes(color: Points, points: Points, center: ArrayLike, radius: float, gaze: ArrayLike) -> Points:
    """Paint a white eye with a dark pupil on both sides.

    Args:
        color: ``[..., 3]`` what is there so far.
        points: ``[..., 3]``
        center, radius: of the left eye.
        gaze: ``[3]`` direction from the eye's centre to that of the pupil, of any length.
    """
    left = mirrored(points)
    forward = np.asarray(gaze, dtype=float) / np.linalg.norm(gaze)
    away = np.linalg.norm(left - np.asarray(center), axis=-1)
    pupil = np.linalg.norm(left - (np.asarray(center) + 0.25 * radius * forward), axis=-1)
    color = mix(color, (0.98, 0.98, 0.98), soft_step(radius - away, -0.015, 0.015))
    return mix(color, (0.05, 0.05, 0.08), soft_step(0.58 * radius - pupil, -0.015, 0.015))


def _varied(generator: np.random.Generator, name: str) -> Points:
    return np.clip(np.asarray(COLORS[name]) + generator.uniform(-0.05, 0.05, 3), 0.0, 1.0)


def _spread(generator: np.random.Generator, surface: Points, apart: float) -> Points:
    """Random points of a surface that keep a distance from each other."""
    kept: list[Points] = []
    for candidate in generator.permutation(surface)[:250]:
        if all(np.linalg.norm(candidate - other) > apart for other in kept):
            kept.append(candidate)
    return np.array(kept)
