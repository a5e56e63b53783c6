"""A skin of a glTF file: joints, what takes them back to the rest pose, and their animation.

Nothing above a skinned mesh moves it, only its joints do: they hang below one node that turns and places the whole, and
the meshes stand at the top of the scene.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from animate3d.export.clip import Clip
from animate3d.export.gltf_buffer import ARRAY_BUFFER, Buffer
from animate3d.export.skeleton.rig import Rig

_STILL = 1e-7  # of the diagonal, and of a unit quaternion


def skin_attributes(rig: Rig, vertices: np.ndarray, buffer: Buffer) -> dict[str, int]:
    """``JOINTS_0`` and ``WEIGHTS_0`` of vertices ``[S]`` of the mesh."""
    kind = np.uint8 if len(rig) <= 256 else np.uint16
    return {
        "JOINTS_0": buffer.add(rig.influences[vertices].astype(kind), ARRAY_BUFFER),
        "WEIGHTS_0": buffer.add_normalized(rig.weights[vertices].astype(np.float64), "u2"),
    }


def add_skin(document: dict[str, Any], rig: Rig, clip: Clip, buffer: Buffer, place: dict[str, Any]) -> None:
    """Put joints, a skin and an animation into a document whose nodes with meshes are at the top.

    Args:
        document: with nodes and a scene.
        place: translation and rotation of the node that the joints hang below.
    """
    nodes = document["nodes"]
    turns, moves = rig.channels()
    first = len(nodes)
    for number, name in enumerate(rig.names):
        children = (np.flatnonzero(rig.parents == number) + first).tolist()
        node: dict[str, Any] = {"name": name, "translation": moves[0, number].tolist()}
        if np.abs(turns[0, number] - [1, 0, 0, 0]).max() > _STILL:
            node["rotation"] = _xyzw(turns[0, number]).tolist()
        nodes.append(node | ({"children": children} if children else {}))
    tops = (np.flatnonzero(rig.parents < 0) + first).tolist()
    armature = len(nodes)
    nodes.append({"name": "armature", "children": tops} | place)
    document["scenes"][0]["nodes"].append(armature)
    document["skins"] = [
        {
            "name": clip.mesh.name,
            "joints": list(range(first, armature)),
            "skeleton": armature,
            "inverseBindMatrices": buffer.add(_inverse_binds(rig)),
        }
    ]
    for node in nodes:
        if "mesh" in node:
            node["skin"] = 0
    if clip.n_frames > 1:
        animation = _animation(rig, clip, buffer, first)
        if animation["channels"]:
            document["animations"] = [animation]


def _inverse_binds(rig: Rig) -> np.ndarray:
    """From the mesh's coordinates into every bone's at rest, column by column. ``[B, 16]``"""
    matrices = np.zeros((len(rig), 4, 4))
    back = rig.axes.transpose(0, 2, 1)
    matrices[:, :3, :3] = back
    matrices[:, :3, 3] = -np.einsum("bij,bj->bi", back, rig.joints)
    matrices[:, 3, 3] = 1.0
    return matrices.transpose(0, 2, 1).reshape(-1, 16)


def _animation(rig: Rig, clip: Clip, buffer: Buffer, first: int) -> dict[str, Any]:
    turns, moves = rig.keyed(closes=clip.closes)
    times = buffer.add(clip.key_times, bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for number in range(len(rig)):
        for path, values, still in (
            ("rotation", _xyzw(turns[:, number]), _STILL),
            ("translation", moves[:, number], _STILL * clip.diagonal),
        ):
            if np.abs(values - values[0]).max() <= still:
                continue
            channels.append({"sampler": len(samplers), "target": {"node": first + number, "path": path}})
            samplers.append({"input": times, "output": buffer.add(values), "interpolation": "LINEAR"})
    return {"name": clip.name, "samplers": samplers, "channels": channels}


def _xyzw(quaternions: np.ndarray) -> np.ndarray:
    return np.roll(quaternions, -1, axis=-1)
