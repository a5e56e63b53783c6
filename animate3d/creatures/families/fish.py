"""Fish with tall tails."""

from __future__ import annotations

import numpy as np

from animate3d.creatures.family import Body, Family, Motion, Traits
from animate3d.creatures.looks import Look, eyes
from animate3d.creatures.rigs import FRONT, LEFT, UP, bend_limb, settle, smooth_step, turned, wave
from animate3d.creatures.sculpt import fields
from animate3d.creatures.sculpt.blend import mix, soft_step
from animate3d.creatures.sculpt.fields import Points, mirrored

# Outlines in z and y.
_TAIL = np.array(
    [
        (-0.4, 0.08),
        (-0.6, 0.18),
        (-0.95, 0.46),
        (-1.02, 0.4),
        (-0.86, 0.0),
        (-1.02, -0.4),
        (-0.95, -0.46),
        (-0.6, -0.18),
        (-0.4, -0.08),
    ]
)
_BACK_FIN = np.array([(0.25, 0.2), (0.12, 0.52), (-0.1, 0.56), (-0.4, 0.36), (-0.35, 0.1)])
_BELLY_FIN = np.array([(0.1, -0.2), (-0.08, -0.5), (-0.25, -0.5), (-0.25, -0.15)])


def _fins(left: Points) -> Points:
    plane = left[..., [2, 1]]
    rim = np.minimum(fields.polygon(plane, _TAIL), fields.polygon(plane, _BACK_FIN))
    return np.minimum(rim, fields.polygon(plane, _BELLY_FIN))


def _paddle(left: Points) -> Points:
    """The fin at the side."""
    local = left - np.array([0.2, -0.12, 0.22])
    out = np.array([0.75, -0.2, -0.63])
    across = np.array([0.0, 0.95, -0.3])
    normal = np.cross(out, across)
    plane = np.stack([local @ out - 0.16, local @ (across / np.linalg.norm(across))], axis=-1)
    return fields.slab(
        np.linalg.norm(plane / [1.0, 0.6], axis=-1) * 0.8 - 0.15, local @ (normal / np.linalg.norm(normal)), 0.04
    )


def _trunk(left: Points) -> Points:
    return fields.union(
        fields.ellipsoid(left, [0, 0, 0.12], [0.24, 0.36, 0.56]),
        fields.limb(left, [([0, 0, -0.1], 0.16), ([0, 0, -0.55], 0.07)]),
        0.2,
    )


def _solid(points: Points) -> Points:
    left = mirrored(points)
    fins = fields.slab(_fins(left), left[..., 0], 0.04)
    body = fields.union(_trunk(left), fins, 0.05)
    return fields.union(body, _paddle(left), 0.03)


def _grow(points: Points, traits: Traits) -> Points:
    x, y, z = np.moveaxis(points, -1, 0)
    tail = smooth_step((-0.45 - z) / 0.3)
    y = y * (traits["height"] + tail * (traits["tail"] - traits["height"]))
    return np.stack([x * traits["width"], y, z * traits["length"]], axis=-1)


def _paint(points: Points, normals: Points, look: Look) -> Points:
    left = mirrored(points)
    color = look.coat(points, left[..., 2])
    belly = soft_step(left[..., 1], -0.14, -0.24) * soft_step(left[..., 2], -0.4, -0.3)
    color = mix(color, look.second if look.pattern == "plain" else (0.96, 0.94, 0.88), belly)
    fin = np.maximum(soft_step(_trunk(left), 0.02, 0.06), soft_step(left[..., 2], -0.56, -0.62))
    color = mix(color, look.accent, fin)
    lips = soft_step(left[..., 2], 0.645, 0.665)
    color = mix(color, (0.9, 0.45, 0.4), lips)
    return eyes(color, points, [0.16, 0.12, 0.44], 0.105, [1.0, 0.1, 0.6])


def _swim(body: Body, t: float, amplitude: float) -> Points:
    """A wave that grows towards the tail; the head swings a little against it."""
    tail = body.at([0, 0, 0.1])
    reach = np.clip(tail[2] - body.rest[:, 2], 0.0, None)
    ahead = np.clip(body.rest[:, 2] - tail[2], 0.0, None)
    posed = bend_limb(body.rest, reach, tail, -FRONT, LEFT, 0.95 * amplitude * wave(t))
    posed += bend_limb(body.rest, ahead, tail, FRONT, LEFT, 0.4 * amplitude * wave(t)) - body.rest
    return posed - 0.09 * amplitude * wave(t) * LEFT


def _turn(body: Body, t: float, amplitude: float) -> Points:
    done = settle(t)
    posed = bend_limb(
        body.rest,
        np.clip(0.1 - body.rest[:, 2], 0, None),
        np.array([0, 0, 0.1]),
        -FRONT,
        LEFT,
        0.5 * amplitude * np.sin(np.pi * done),
    )
    return turned(posed, np.zeros(3), UP, 0.8 * amplitude * done)


def _dive(body: Body, t: float, amplitude: float) -> Points:
    done = settle(t)
    return turned(body.rest, np.zeros(3), LEFT, 0.6 * amplitude * done) + amplitude * done * (0.05 * FRONT - 0.16 * UP)


FISH = Family(
    name="fish",
    solid=_solid,
    low=(-0.5, -0.62, -1.1),
    high=(0.5, 0.66, 0.74),
    spacing=0.052,
    facing=50.0,
    traits={"width": (0.85, 1.2), "height": (0.82, 1.15), "length": (0.92, 1.08), "tail": (0.8, 1.2)},
    grow=_grow,
    paint=_paint,
    motions={
        "swim": Motion(
            _swim,
            (("swimming", "swims"), ("waving its tail", "waves its tail"), ("swimming forward", "swims forward")),
            cyclic=True,
        ),
        "turn": Motion(
            _turn,
            (
                ("turning around", "turns around"),
                ("turning to the side", "turns to the side"),
                ("turning left", "turns left"),
            ),
        ),
        "dive": Motion(_dive, (("diving", "dives"), ("diving down", "dives down"), ("swimming down", "swims down"))),
    },
)
