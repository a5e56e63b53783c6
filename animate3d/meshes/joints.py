"""The rig of a mesh's file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Joints:
    """The rig of a file, as it stands in the scene.

    Attributes:
        names: of the B joints.
        parents: ``[B]`` number of the joint above, smaller than the joint's own; -1 at the top.
        matrices: ``[B, 4, 4]`` from the joint to the scene, in the file's coordinates.
        influences: ``[N, 4]`` joints of every vertex of the mesh.
        weights: ``[N, 4]`` their weights, as in the file; parts without a skin follow the joint they hang on.
    """

    names: list[str]
    parents: np.ndarray
    matrices: np.ndarray
    influences: np.ndarray
    weights: np.ndarray
