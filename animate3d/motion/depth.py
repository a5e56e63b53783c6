"""What is assumed about depth where one view alone does not show it.

A shift along the line of sight costs rigidity nothing and hardly changes the picture, so small biases of the flow add
up to a drift. The whole object therefore keeps its mean distance, and of the motions in depth that explain the frames
the least is preferred; a part that has clearly left its distance, as a bend towards the camera does, is let go. What
stands on the ground at rest is pulled up where it sinks: a foot that looks lower came nearer, or was found wrongly.
"""

from __future__ import annotations

import numpy as np

from animate3d.cameras import Cameras
from animate3d.motion.rigid_fit import Anchors
from animate3d.motion.surfaces import Array
from animate3d.motion.template import Template

_LET_GO = 0.03  # of the diagonal: a node this far from its distance at rest is pulled back a quarter as much
_FEET = 0.02  # of the height: what is so low at rest stands on the ground
_GROUND = 0.1  # pull of a foot that has sunk below the ground, against the stiffness of its links


class DepthPrior:
    """The distances of a template at rest from its only camera.

    Args:
        weight: pull of every node towards its distance at rest, against the stiffness of its links.
    """

    def __init__(self, template: Template, cameras: Cameras, weight: float) -> None:
        self._eye = cameras.positions[0].double().cpu().numpy()
        self._say = template.areas / template.areas.mean()
        self._weights = weight * self._say
        self._far = _LET_GO * float(np.linalg.norm(np.ptp(template.rest, axis=0)))
        self._rest = np.linalg.norm(template.rest - self._eye, axis=1)
        height = template.rest[:, 2]
        self._ground = float(height.min())
        self._feet = height < self._ground + _FEET * np.ptp(height)

    def anchors(self, nodes: Array) -> Anchors:
        """Of nodes ``[M, 3]``: each along its line of sight at the distance it has at rest, or a foot on the ground."""
        sight = nodes - self._eye
        distance = np.linalg.norm(sight, axis=1)
        sight /= distance[:, None]
        weights = self._weights / (1.0 + ((distance - self._rest) / self._far) ** 2) ** 2
        return self._grounded(nodes, Anchors(sight, sight @ self._eye + self._rest, weights))

    def _grounded(self, nodes: Array, anchors: Anchors) -> Anchors:
        """The same, but feet that have sunk are pulled up to the ground, and let go as depth is."""
        sunk = self._ground - nodes[:, 2]
        below = self._feet & (sunk > 0)
        up = _GROUND * self._say / (1.0 + (sunk / self._far) ** 2) ** 2
        return Anchors(
            np.where(below[:, None], [0.0, 0.0, 1.0], anchors.directions),
            np.where(below, self._ground, anchors.distances),
            np.where(below, up, anchors.weights),
        )

    def at_rest_distance(self, nodes: Array) -> Array:
        """Nodes ``[M, 3]`` scaled about the camera to the mean distance at rest: the picture stays as it is."""
        sight = nodes - self._eye
        now = np.average(np.linalg.norm(sight, axis=1), weights=self._say)
        return self._eye + sight * (np.average(self._rest, weights=self._say) / now)
