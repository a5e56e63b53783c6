"""Animated glTF files played: morph targets, nodes and joints."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from animate3d.errors import InputError
from animate3d.export import export
from animate3d.meshes import Mesh
from animate3d.meshes.gltf_motion import load_gltf_motion


def tetrahedron() -> Mesh:
    return Mesh.from_faces(np.eye(4, 3) + [[0, 0, 0]] * 4, [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])


def wobble(frames: int) -> np.ndarray:
    times = np.arange(frames)[:, None, None] / frames
    return tetrahedron().vertices + 0.3 * np.sin(2 * np.pi * times * [[1.0, 2.0, 1.0]] + np.arange(4)[:, None]) * times


@pytest.mark.parametrize("loop", [False, True])
def test_a_morph_animation_is_played_frame_by_frame(tmp_path, loop):
    positions = wobble(5)
    export(tetrahedron(), positions, tmp_path / "a.glb", fps=12, loop=loop)
    motion = load_gltf_motion(tmp_path / "a.glb")
    assert motion is not None and motion.fps == pytest.approx(12) and motion.closing is loop
    assert len(motion.positions) == 5
    moved = motion.positions[:, motion.mesh.corners]
    np.testing.assert_allclose(moved, positions[:, tetrahedron().corners], atol=1e-6)


def test_a_still_file_has_no_motion(tmp_path):
    export(tetrahedron(), wobble(1), tmp_path / "a.glb")
    assert load_gltf_motion(tmp_path / "a.glb") is None


def animated(tmp_path, path: str, values: np.ndarray, interpolation: str = "LINEAR", times=(0.0, 0.5, 1.0)):
    """A still file with one channel added to its first node."""
    export(tetrahedron(), wobble(1), tmp_path / "a.gltf")
    document = json.loads((tmp_path / "a.gltf").read_text())
    content = np.asarray(times, "<f4").tobytes() + np.asarray(values, "<f4").tobytes()
    (tmp_path / "more.bin").write_bytes(content)
    keys = len(times)
    document["buffers"].append({"byteLength": len(content), "uri": "more.bin"})
    buffer, views, accessors = len(document["buffers"]) - 1, document["bufferViews"], document["accessors"]
    views += [
        {"buffer": buffer, "byteOffset": 0, "byteLength": 4 * keys},
        {"buffer": buffer, "byteOffset": 4 * keys, "byteLength": len(content) - 4 * keys},
    ]
    kind = "VEC4" if path == "rotation" else "VEC3"
    accessors += [
        {"bufferView": len(views) - 2, "componentType": 5126, "count": keys, "type": "SCALAR"},
        {"bufferView": len(views) - 1, "componentType": 5126, "count": len(values), "type": kind},
    ]
    sampler = {"input": len(accessors) - 2, "output": len(accessors) - 1, "interpolation": interpolation}
    channel = {"sampler": 0, "target": {"node": 0, "path": path}}
    document["animations"] = [{"samplers": [sampler], "channels": [channel]}]
    (tmp_path / "a.gltf").write_text(json.dumps(document))
    return load_gltf_motion(tmp_path / "a.gltf")


def test_nodes_move_and_turn(tmp_path):
    half = np.sqrt(0.5)
    motion = animated(tmp_path, "rotation", np.array([[0, 0, 0, 1], [0, 0, half, half], [0, 0, 1, 0]]))
    assert motion is not None and motion.fps == pytest.approx(2)
    rest = motion.positions[0]
    np.testing.assert_allclose(motion.positions[1], np.stack([-rest[:, 1], rest[:, 0], rest[:, 2]], axis=1), atol=1e-6)
    motion = animated(tmp_path, "translation", np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0]]))
    assert motion is not None
    np.testing.assert_allclose(motion.positions[1] - motion.positions[0], [[1, 0, 0]] * len(rest), atol=1e-6)


def test_keys_that_are_unevenly_spaced_are_sampled_between(tmp_path):
    motion = animated(tmp_path, "translation", np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]]), times=(0.0, 0.25, 1.0))
    assert motion is not None and motion.fps == pytest.approx(24)
    assert len(motion.positions) == 25
    np.testing.assert_allclose((motion.positions[3] - motion.positions[0])[0], [0.5, 0, 0], atol=1e-5)
    np.testing.assert_allclose((motion.positions[15] - motion.positions[0])[0], [1, 0.5, 0], atol=1e-5)


def test_steps_stay_and_splines_curve(tmp_path):
    values = np.array([[0, 0, 0], [1, 0, 0]])
    motion = animated(tmp_path, "translation", np.vstack([values, [[5, 0, 0]]]), "STEP", (0.0, 0.25, 1.0))
    assert motion is not None
    np.testing.assert_allclose((motion.positions[20] - motion.positions[0])[0], [1, 0, 0], atol=1e-6)
    flat = np.zeros((2, 3, 3))
    flat[:, 1] = values
    flat = np.concatenate([flat, flat[1:]])
    motion = animated(tmp_path, "translation", flat.reshape(-1, 3), "CUBICSPLINE", (0.0, 1.0, 1.3))
    assert motion is not None
    share = 1.3 * 8 / (len(motion.positions) - 1)
    eased = 3 * share**2 - 2 * share**3
    np.testing.assert_allclose((motion.positions[8] - motion.positions[0])[0], [eased, 0, 0], atol=1e-4)


def test_a_damaged_animation_is_one_sentence(tmp_path):
    export(tetrahedron(), wobble(5), tmp_path / "a.glb")
    data = bytearray((tmp_path / "a.glb").read_bytes())
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    document["animations"][0]["samplers"][0]["output"] = 999
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = bytes(data[20 + length :])
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON")
    (tmp_path / "a.glb").write_bytes(head + text + rest)
    with pytest.raises(InputError, match="animation cannot be read"):
        load_gltf_motion(tmp_path / "a.glb")
