"""Procedural colours of random bodies, from plain to busy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from animate3d.creatures.figures.part import Part
from animate3d.creatures.looks import COLORS
from animate3d.creatures.sculpt.blend import mix, soft_step

Points = NDArray[np.float64]

PATTERNS = ("plain", "striped", "spotted", "checkered", "gradient", "busy")
_PATTERN_SHARES = (0.34, 0.16, 0.15, 0.09, 0.12, 0.14)
_MOUTH = (0.42, 0.06, 0.09)
_TABLE = 8  # spots repeat after this many cells


@dataclass(frozen=True, eq=False)
class Coat:
    """Colours of one figure.

    Attributes:
        pattern: one of `PATTERNS`.
        main, second: ``[P, 3]`` sRGB by part; the pattern is drawn in the second.
        axes: ``[3, 3]`` orthonormal; stripes run across the first, checks lie along all.
        width: half a period of the pattern.
        phase: ``[3]`` where it begins.
        jitter: ``[T, T, T, 4]`` places and sizes of spots in their cells, 0 to 1.
        waves: ``[K, 4]`` directions times frequency, and phases, of the noise.
        grain: how much the noise lightens and darkens.
        belly: how much lighter the sides that look down are.
        eyes: ``[E, 4]`` centre and radius.
        eye_colors: ``[2, 3]`` of the eye and of its middle.
        mouths: parts whose upper side is dark red.
        spokes: ``[W, 6]`` part, centre, radius and number of spokes of wheels, which show that they turn.
        lit: 0 flat to 1 shaded by a soft light from above.
        light: ``[3]`` unit, towards the light.
    """

    pattern: str
    main: Points
    second: Points
    axes: Points
    width: float
    phase: Points
    jitter: Points
    waves: Points
    grain: float
    belly: float
    eyes: Points
    eye_colors: Points
    mouths: tuple[int, ...]
    spokes: Points
    lit: float
    light: Points

    def colors(self, points: Points, normals: Points, part: NDArray[np.int64]) -> Points:
        """sRGB of surface points ``[N, 3]`` with normals ``[N, 3]`` that belong to parts ``[N]``. ``[N, 3]``"""
        noise = np.sin(points @ self.waves[:, :3].T + self.waves[:, 3]).mean(axis=1)
        color = mix(self.main[part], self.second[part], self._pattern(points, noise))
        for index, _, y, z, radius, count in self.spokes:
            away, angle = np.hypot(points[:, 1] - y, points[:, 2] - z), np.arctan2(points[:, 1] - y, points[:, 2] - z)
            star = soft_step(np.cos(count * angle), -0.1, 0.3) * soft_step(away / radius, 0.85, 0.75)
            color = mix(color, self.second[int(index)], star * (part == index))
        if self.belly > 0:
            color = color + self.belly * soft_step(-normals[:, 1], 0.1, 0.7)[:, None] * (0.96 - color)
        color = color * (1.0 + self.grain * noise[:, None])
        if self.mouths:
            color = mix(color, _MOUTH, soft_step(normals[:, 1], 0.2, 0.5) * np.isin(part, self.mouths))
        if self.lit > 0:
            up = 0.5 + 0.5 * (normals @ self.light)
            color = color * (1.0 - self.lit * 0.55 * (1.0 - up[:, None]) + 0.1 * self.lit)
        for x, y, z, radius in self.eyes:
            away = np.sqrt(((points - (x, y, z)) ** 2).sum(axis=1)) / radius
            color = mix(color, self.eye_colors[0], soft_step(away, 1.3, 1.05))
            color = mix(color, self.eye_colors[1], soft_step(away, 0.78, 0.6))
        return off_grey(np.clip(color, 0.0, 1.0))

    def _pattern(self, points: Points, noise: Points) -> Points:
        """How much of the second colour is seen. ``[N]``"""
        across = (points @ self.axes.T) / (2 * self.width) + self.phase
        if self.pattern == "striped":
            return soft_step(np.abs(across[:, 0] % 1.0 - 0.5), 0.2, 0.3)
        if self.pattern == "checkered":
            sides = np.abs(across % 1.0 - 0.5) * 4 - 1  # -1 to 1
            return soft_step(np.clip(6 * sides, -1, 1).prod(axis=1), -0.5, 0.5)
        if self.pattern == "gradient":
            return soft_step(points @ self.axes[0], -0.8, 0.8)
        if self.pattern == "busy":
            return soft_step(noise, -0.12, 0.12)
        if self.pattern == "spotted":
            cell = np.floor(across)
            place = self.jitter[tuple(cell.astype(int).T % _TABLE)]
            away = np.linalg.norm(across - cell - (0.35 + 0.3 * place[:, :3]), axis=1)
            return soft_step(0.2 + 0.15 * place[:, 3] - away, -0.05, 0.05)
        return np.zeros(len(points))


def off_grey(color: Points, least: float = 0.12) -> Points:
    """Colours ``[..., 3]`` at least so far from the grey of backgrounds, along the line from it."""
    away = color - 0.5
    size = np.linalg.norm(away, axis=-1, keepdims=True)
    towards = np.where(size > 1e-3, away / np.maximum(size, 1e-9), -(3**-0.5))
    return np.where(size < least, 0.5 + least * towards, color)


def draw_coat(
    generator: np.random.Generator, parts: Sequence[Part], tints: Mapping[str, ArrayLike], eyes: Points
) -> Coat:
    """Random colours and a pattern.

    Args:
        parts: of the figure.
        tints: colours that parts of a name have by nature; most figures keep to them.
        eyes: ``[E, 4]`` centres and radii.
    """
    palette = _palette(generator, 4)
    natural = generator.random() < 0.65
    two_tone = generator.random() < 0.55
    names = sorted({part.name for part in parts})
    tone = {name: int(generator.integers(0, 3)) if two_tone else 0 for name in names}
    tone["trunk"] = 0
    main = np.array([palette[tone[part.name]] for part in parts])
    second = np.array([palette[3] if tone[part.name] != 3 else palette[0] for part in parts])
    for index, part in enumerate(parts):
        if natural and part.name in tints:
            main[index] = np.clip(np.asarray(tints[part.name]) + generator.uniform(-0.06, 0.06, 3), 0, 1)
            second[index] = np.clip(main[index] * generator.uniform(0.7, 1.3), 0, 1)
    pattern = str(generator.choice(PATTERNS, p=_PATTERN_SHARES))
    frequency = generator.uniform(4, 14) * (2.0 if pattern == "busy" else 1.0)
    axes = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    if generator.random() < 0.5:  # straight patterns are as common as slanted ones
        axes = np.roll(np.eye(3), int(generator.integers(3)), axis=0)
    wheels = [index for index, part in enumerate(parts) if part.name == "wheel"] if generator.random() < 0.75 else []
    bright = _contrast(generator, main[wheels[0]]) if wheels else np.zeros(3)
    second[wheels] = bright
    count = float(generator.choice([1, 2, 3, 4, 5]))
    painted = generator.random() < 0.75
    dark = np.array([[0.96, 0.96, 0.97], [0.05, 0.05, 0.08]])
    if generator.random() < 0.4:
        dark = np.repeat(dark[1:], 2, axis=0)
    light = np.array([generator.uniform(-0.5, 0.5), 1.0, generator.uniform(-0.3, 0.6)])
    return Coat(
        pattern=pattern,
        main=main,
        second=second,
        axes=axes,
        width=float(generator.uniform(0.07, 0.3)),
        phase=generator.random(3),
        jitter=generator.random((_TABLE, _TABLE, _TABLE, 4)),
        waves=np.concatenate([generator.normal(size=(7, 3)) * frequency, generator.uniform(0, 6.3, (7, 1))], axis=1),
        grain=float(generator.choice([0.0, 0.15, 0.4], p=[0.5, 0.3, 0.2])),
        belly=float(generator.choice([0.0, 0.7], p=[0.75, 0.25])),
        eyes=eyes,
        eye_colors=dark,
        mouths=tuple(i for i, part in enumerate(parts) if part.name == "jaw" and painted),
        spokes=np.array([[w, *parts[w].joint, parts[w].length, count] for w in wheels]).reshape(-1, 6),
        lit=float(generator.choice([0.0, 1.0], p=[0.55, 0.45]) * generator.uniform(0.5, 1.0)),
        light=light / np.linalg.norm(light),
    )


def _contrast(generator: np.random.Generator, color: Points) -> Points:
    """The farthest of a few named colours."""
    options = [_color(generator, "named") for _ in range(4)]
    return max(options, key=lambda option: float(np.linalg.norm(option - color)))


def _palette(generator: np.random.Generator, count: int) -> Points:
    """Colours of one mood, neighbours far enough from each other. ``[count, 3]``"""
    mood = str(
        generator.choice(["named", "vivid", "pale", "dark", "greyish", "earthy"], p=[0.3, 0.2, 0.15, 0.13, 0.12, 0.1])
    )
    chosen = [_color(generator, mood)]
    while len(chosen) < count:
        options = [_color(generator, mood if generator.random() < 0.6 else "named") for _ in range(6)]
        chosen.append(max(options, key=lambda c: min(float(np.linalg.norm(c - other)) for other in chosen)))
    return off_grey(np.array(chosen), 0.2)


def _color(generator: np.random.Generator, mood: str) -> Points:
    if mood == "named":
        return np.clip(
            np.asarray(COLORS[str(generator.choice(list(COLORS)))]) + generator.uniform(-0.06, 0.06, 3), 0, 1
        )
    hue, a, b = generator.random(3)
    saturation, value = {
        "vivid": (0.6 + 0.4 * a, 0.6 + 0.4 * b),
        "pale": (0.05 + 0.3 * a, 0.82 + 0.18 * b),
        "dark": (0.2 + 0.7 * a, 0.06 + 0.3 * b),
        "greyish": (0.15 * a, 0.08 + 0.25 * b if a < 0.5 else 0.7 + 0.28 * b),
        "earthy": (0.3 + 0.4 * a, 0.3 + 0.55 * b),
    }[mood]
    if mood == "earthy":
        hue = 0.04 + 0.1 * hue
    # Of hue, saturation and value.
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return value * (1 + saturation * (wheel - 1))
