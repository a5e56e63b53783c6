"""A finger that bends in two joints, and skinned files played by hand as their specifications say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation, Slerp
from test_gltf import Player

from animate3d.meshes import Material, Mesh


def finger(rings: int = 24, around: int = 8) -> Mesh:
    """A tube along y from 0 to 3, with a seam: its first and last column coincide."""
    angle = np.linspace(0, 2 * np.pi, around + 1)
    angle[-1] = 0.0
    height = np.linspace(0, 3, rings)
    points = np.array([[0.3 * np.cos(a), y, 0.3 * np.sin(a)] for y in height for a in angle])
    row = around + 1
    faces = [[r * row + k, (r + 1) * row + k, (r + 1) * row + k + 1, r * row + k + 1]
             for r in range(rings - 1) for k in range(around)]  # fmt: skip
    return Mesh.from_faces(points, np.array(faces), material=Material("skin"))


def bent(mesh: Mesh, angle: float) -> np.ndarray:
    """The finger bent by an angle in two places. ``[N, 3]``"""
    points = mesh.vertices.copy()
    for joint in (2.0, 1.0):
        share = np.clip((mesh.vertices[:, 1] - joint) / 0.3 + 0.5, 0, 1)
        turn = Rotation.from_rotvec(np.outer(share * angle, [0, 0, 1.0]))
        points = turn.apply(points - [0, joint, 0]) + [0, joint, 0]
    return points


def bending(mesh: Mesh, frames: int = 6) -> np.ndarray:
    """It bends to and fro. ``[F, N, 3]``"""
    angles = 0.7 * np.sin(2 * np.pi * np.arange(frames) / frames)
    return np.stack([bent(mesh, angle) for angle in angles])


class SkinPlayer(Player):
    """Plays the skin of a glTF file: joints by their channels, vertices by their weights."""

    def worlds(self, seconds: float) -> np.ndarray:
        """Matrices of all nodes. ``[n, 4, 4]``"""
        nodes = self.document.nodes
        places = [np.array(node.translation or [0, 0, 0], float) for node in nodes]
        turns = [np.array(node.rotation or [0, 0, 0, 1], float) for node in nodes]
        for animation in self.document.animations:
            for channel in animation.channels:
                sampler = animation.samplers[channel.sampler]
                times, values = self.read(sampler.input), self.read(sampler.output)
                seconds_in = np.clip(seconds, times[0], times[-1])
                if channel.target.path == "rotation":
                    turns[channel.target.node] = Slerp(times, Rotation.from_quat(values))(seconds_in).as_quat()
                else:
                    places[channel.target.node] = np.array([np.interp(seconds_in, times, axis) for axis in values.T])
        found = np.tile(np.eye(4), (len(nodes), 1, 1))
        parents = {child: number for number, node in enumerate(nodes) for child in node.children or []}
        for number in range(len(nodes)):
            at: int | None = number
            while at is not None:
                local = np.eye(4)
                local[:3, :3] = Rotation.from_quat(turns[at]).as_matrix() * (nodes[at].scale or 1.0)
                local[:3, 3] = places[at]
                found[number] = local @ found[number]
                at = parents.get(at)
        return found

    def skinned(self, seconds: float) -> np.ndarray:
        """Positions ``[N, 3]`` of the mesh's vertices in the scene."""
        skin = self.document.skins[0]
        binds = self.read_matrices(skin.inverseBindMatrices)
        joints = self.worlds(seconds)[skin.joints] @ binds
        shown: dict[int, np.ndarray] = {}
        for primitive in self.primitives:
            read = {name: self.read(getattr(primitive.attributes, name)) for name in ("POSITION", "WEIGHTS_0")}
            bones = self.read_bytes(primitive.attributes.JOINTS_0)
            blended = np.einsum("sk,skij->sij", read["WEIGHTS_0"], joints[bones])
            points = np.einsum("sij,sj->si", blended[:, :3, :3], read["POSITION"]) + blended[:, :3, 3]
            shown |= dict(zip(self.ids(primitive).tolist(), points, strict=True))
        return np.array([shown[number] for number in sorted(shown)])

    def read_matrices(self, index: int) -> np.ndarray:
        accessor = self.document.accessors[index]
        values = self.raw(accessor, np.dtype(np.float32), accessor.count, 16)
        return values.reshape(-1, 4, 4).transpose(0, 2, 1).astype(float)

    def read_bytes(self, index: int) -> np.ndarray:
        accessor = self.document.accessors[index]
        return self.raw(accessor, np.dtype(np.uint8), accessor.count, 4).astype(int)


def played(path: Path, frames: int, fps: float) -> np.ndarray:
    """Positions of a skinned glTF file at its frames. ``[F, N, 3]``"""
    player = SkinPlayer(path)
    return np.stack([player.skinned(frame / fps) for frame in range(frames)])
