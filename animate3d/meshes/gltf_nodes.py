"""The scene graph of a glTF file: where its meshes stand, and which part each of them is."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from animate3d.meshes.gltf_file import DAMAGE, Entry, GltfFile
from animate3d.meshes.mesh import Part


@dataclass(frozen=True)
class Instance:
    """A mesh that a node shows.

    Attributes:
        node: number of the node.
        mesh: number of the mesh.
        matrix: ``[4, 4]`` from the mesh to the scene; a skinned mesh does not follow it.
        skin: number of the skin, if any.
        weights: of the morph targets, where the node has its own.
        part: number of the part.
    """

    node: int
    mesh: int
    matrix: np.ndarray
    skin: int | None
    weights: list[float] | None
    part: int


def instances(file: GltfFile) -> tuple[list[Instance], list[Part]]:
    """The shown meshes by mesh then node, and their nodes with those above them as parts.

    Vertex numbers follow this order; it depends on nothing but the order in the file. A single nameless node is no
    part: there are none then.

    Raises:
        ValueError: a node is its own ancestor, or has no number in the file.
    """
    matrices, parents = _world(file)
    shown = sorted(
        (file.item("nodes", number)["mesh"], number) for number in matrices if "mesh" in file.item("nodes", number)
    )
    parts: list[Part] = []
    numbers: dict[int, int] = {}

    def part_of(node: int) -> int:
        chain = [node]
        while parents[chain[-1]] is not None and chain[-1] not in numbers:
            chain.append(parents[chain[-1]])  # type: ignore[arg-type]
        for item in reversed(chain):
            if item not in numbers:
                above = parents[item]
                numbers[item] = len(parts)
                parts.append(Part(_name(file, item), None if above is None else numbers[above]))
        return numbers[node]

    found = []
    for mesh, number in shown:
        node = file.item("nodes", number)
        found.append(Instance(number, mesh, matrices[number], node.get("skin"), node.get("weights"), part_of(number)))
    if len(parts) == 1 and not _own_name(file, shown[0][1]):
        parts = []
    return found, parts


def joint_matrices(file: GltfFile, instance: Instance) -> np.ndarray:
    """How the joints of a skin move its vertices into the scene. ``[J, 4, 4]``"""
    skin = file.item("skins", instance.skin)
    world, _ = _world(file, everything=True)
    joints = np.stack([world[number] for number in skin["joints"]])
    if "inverseBindMatrices" not in skin:
        return joints
    # Matrices are stored by columns.
    inverse = file.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    if len(inverse) < len(joints):
        raise ValueError("a skin has fewer inverse bind matrices than joints")
    return joints @ inverse[: len(joints)]


def joint_tree(file: GltfFile, nodes: set[int]) -> tuple[list[str], list[int], np.ndarray, np.ndarray]:
    """Joints with those above them first.

    Returns:
        names, numbers of the nodes, the parent of each among them, -1 at the top ``[B]``, and matrices to the scene
        ``[B, 4, 4]``.
    """
    matrices, above = _world(file, everything=True)
    order = [number for number in above if number in nodes]  # parents are found before their children
    place = {number: k for k, number in enumerate(order)}
    parents = []
    for number in order:
        found = nearest_joint(file, above[number], nodes)
        parents.append(-1 if found is None else place[found])
    names = [_name(file, number) for number in order]
    return names, order, np.array(parents), np.stack([matrices[number] for number in order])


def nearest_joint(file: GltfFile, node: int | None, joints: set[int]) -> int | None:
    """The node itself or the next above it that is a joint; None where there is none."""
    _, above = _world(file, everything=True)
    while node is not None and node not in joints:
        node = above[node]
    return node


def scenes_left_out(file: GltfFile) -> int:
    """How many scenes have meshes that the default scene does not show."""
    shown, _ = _world(file)
    count = 0
    for scene in file.items("scenes"):
        with contextlib.suppress(*DAMAGE):  # what is not read may be damaged
            count += any("mesh" in file.item("nodes", number) for number in _below(file, scene["nodes"]) - shown.keys())
    return count


def _below(file: GltfFile, roots: list[int]) -> set[int]:
    """Nodes and all that hang from them."""
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += file.item("nodes", number).get("children", [])
    return found


def _world(file: GltfFile, *, everything: bool = False) -> tuple[dict[int, np.ndarray], dict[int, int | None]]:
    """Matrix to the scene ``[4, 4]`` and parent of every node of the default scene, or of all nodes."""
    nodes = file.items("nodes")
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [number for number in range(len(nodes)) if number not in children]
    scenes = file.items("scenes")
    if scenes and not everything:
        roots = file.item("scenes", file.document.get("scene", 0)).get("nodes", [])
    matrices: dict[int, np.ndarray] = {}
    parents: dict[int, int | None] = {}
    waiting: list[tuple[int, int | None]] = [(root, None) for root in roots]
    while waiting:
        number, parent = waiting.pop()
        node = file.item("nodes", number)
        if number in parents:
            raise ValueError(f"node {number} is in the scene twice")
        parents[number] = parent
        local = _local(node)
        matrices[number] = local if parent is None else matrices[parent] @ local
        waiting += [(child, number) for child in node.get("children", [])]
    return matrices, parents


def _local(node: Entry) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), dtype=np.float64)
    length = x * x + y * y + z * z + w * w
    s = 2 / length if length > 0 else 0.0
    rotation = np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )
    matrix[:3, :3] = rotation * np.array(node.get("scale", [1, 1, 1]), dtype=np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", [0, 0, 0]), dtype=np.float64).reshape(3)
    return matrix


def _own_name(file: GltfFile, number: int) -> str:
    node = file.item("nodes", number)
    mesh = file.item("meshes", node["mesh"]) if "mesh" in node else {}
    name: Any = node.get("name") or mesh.get("name") or ""
    return str(name)


def _name(file: GltfFile, number: int) -> str:
    return _own_name(file, number) or f"node_{number}"
