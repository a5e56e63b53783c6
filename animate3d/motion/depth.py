"""What is assumed about depth where one view alone does not show it.

A shift along the line of sight costs rigidity nothing and hardly changes the picture, so small biases of the flow add
up to a drift. Depth is measured in the upright plane that faces the camera: what passes by goes straight on rather than
in a circle around the camera, and what jumps goes up. What does not move in the picture does not move in depth either,
and holds the rest in place; of the motions in depth that explain the frames the least is preferred, and a part that has
clearly left its depth, as a bend towards the camera does, is let go. What stands on the ground at rest is pulled up
where it sinks: a foot that looks lower came nearer, or was found wrongly.
"""

from __future__ import annotations

import numpy as np

from animate3d.cameras import Cameras
from animate3d.motion.rigid_fit import Anchors
from animate3d.motion.surfaces import Array
from animate3d.motion.template import Template

_LEVEL = 0.7  # cosine of the elevation below which a camera looks down steeply, and is faced by its own image plane
_LET_GO = 0.03  # of the diagonal: a node this far from its depth at rest is pulled back a quarter as much
_STILL = 0.02  # of the diagonal: a node that went this far across the line of sight holds the depth a quarter as much
_MOVING = 0.05  # say of a node that went far, against one that stays: where all move, all of them count
_FEET = 0.02  # of the height: what is so low at rest stands on the ground
_GROUND = 0.1  # pull of a foot that has sunk below the ground, against the stiffness of its links


class DepthPrior:
    """The depths of a template at rest, in front of its only camera.

    Args:
        weight: pull of every node towards its depth at rest, against the stiffness of its links.
    """

    def __init__(self, template: Template, cameras: Cameras, weight: float) -> None:
        self._eye = cameras.positions[0].double().cpu().numpy()
        forward = -cameras.c2w[0, :3, 2].double().cpu().numpy()
        level = forward * [1.0, 1.0, 0.0]
        self._axis = forward if np.linalg.norm(level) < _LEVEL else level / np.linalg.norm(level)
        self._say = template.areas / template.areas.mean()
        self._weights = weight * self._say
        self._diagonal = float(np.linalg.norm(np.ptp(template.rest, axis=0)))
        self._sights = template.rest - self._eye
        self._rest = self._sights @ self._axis
        height = template.rest[:, 2]
        self._ground = float(height.min())
        self._feet = height < self._ground + _FEET * np.ptp(height)

    def anchors(self, nodes: Array) -> Anchors:
        """Of nodes ``[M, 3]``: each at the depth it has at rest, or a foot on the ground."""
        weights = self._weights * self._kept((nodes - self._eye) @ self._axis - self._rest, _LET_GO)
        planes = self._rest + self._axis @ self._eye
        sunk = self._ground - nodes[:, 2]
        below = self._feet & (sunk > 0)
        return Anchors(
            np.where(below[:, None], [0.0, 0.0, 1.0], self._axis),
            np.where(below, self._ground, planes),
            np.where(below, _GROUND * self._say * self._kept(sunk, _LET_GO), weights),
        )

    def at_rest_depth(self, nodes: Array) -> Array:
        """Nodes ``[M, 3]`` scaled about the camera until what stays in the picture is as deep as it is at rest."""
        sights = nodes - self._eye
        depths = sights @ self._axis
        across = np.linalg.norm(sights * (self._rest / depths)[:, None] - self._sights, axis=1)
        say = self._say * (_MOVING + self._kept(across, _STILL))
        return self._eye + sights * (say @ self._rest / (say @ depths))

    def _kept(self, distances: Array, far: float) -> Array:
        """What is left of a pull after ``distances``: a quarter at ``far`` diagonals, then nearly nothing."""
        return np.asarray(1.0 / (1.0 + (distances / (far * self._diagonal)) ** 2) ** 2)
