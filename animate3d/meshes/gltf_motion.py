"""How the meshes of an animated glTF file move: morph weights, nodes and joints, played from its first animation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.meshes.gltf import GltfReader
from animate3d.meshes.gltf_extensions import check_extensions
from animate3d.meshes.gltf_file import DAMAGE, GltfFile
from animate3d.meshes.mesh import Mesh

_MOST_FRAMES = 600
_RATE = 24.0  # frames per second where the keys are not evenly spaced
_PATHS = ("translation", "rotation", "scale", "weights")


@dataclass(frozen=True)
class GltfMotion:
    """A mesh and where its vertices are.

    Attributes:
        mesh: as `load_gltf` reads it, at the first key.
        positions: ``[F, N, 3]`` in the coordinates of the mesh.
        fps: frames per second.
        closing: the file ends with a key that is equal to its first; it is left out.
    """

    mesh: Mesh
    positions: np.ndarray
    fps: float
    closing: bool


@dataclass(frozen=True)
class _Channel:
    """What moves one property of one node."""

    node: int
    path: str
    times: np.ndarray
    values: np.ndarray
    interpolation: str

    def at(self, time: float) -> list[float]:
        """The property at a time in seconds, held before the first key and after the last."""
        last = len(self.times) - 1
        after = int(np.clip(np.searchsorted(self.times, time, side="right"), 1, max(last, 1)))
        before, after = after - 1, min(after, last)
        span = float(self.times[after] - self.times[before])
        share = float(np.clip((time - self.times[before]) / span, 0, 1)) if span > 0 else 0.0
        if self.interpolation == "CUBICSPLINE":
            value = _hermite(self.values[before], self.values[after], span, share)
        elif self.interpolation == "STEP":
            value = self.values[before if share < 1 else after]
        else:
            value = _between(self.values[before], self.values[after], share, turning=self.path == "rotation")
        return [float(number) for number in np.atleast_1d(value)]


def load_gltf_motion(path: Path) -> GltfMotion | None:
    """The first animation of a file, sampled at its keys; None where nothing moves.

    Raises:
        InputError: the file is damaged, or has none that can be played.
    """
    path = existing_file(path, "mesh file")
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what `load_gltf` says is dropped is played here
            file = GltfFile(path)
            check_extensions(path, file.items("extensionsUsed"), file.items("extensionsRequired"))
            channels = _channels(file)
            return _played(file, channels) if channels else None
    except InputError:
        raise
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: its animation cannot be read, the file may be truncated ({reason}).") from error


def _channels(file: GltfFile) -> list[_Channel]:
    animations = file.items("animations")
    found = []
    for channel in animations[0]["channels"] if animations else []:
        node, path = channel["target"].get("node"), channel["target"]["path"]
        if node is None or path not in _PATHS:
            continue
        sampler = animations[0]["samplers"][channel["sampler"]]
        times, kind = file.accessor(sampler["input"]), sampler.get("interpolation", "LINEAR")
        values = file.accessor(sampler["output"]).astype(np.float64)
        if len(times) == 0:
            continue
        rows = (len(times), 3) if kind == "CUBICSPLINE" else (len(times),)
        found.append(_Channel(node, path, times, values.reshape(*rows, -1), kind))
    return found


def _played(file: GltfFile, channels: list[_Channel]) -> GltfMotion:
    times, fps = _frame_times(channels)
    reader, frames = GltfReader(file), []
    first: Mesh | None = None
    for time in times:
        for channel in channels:
            node = file.item("nodes", channel.node)
            node.pop("matrix", None)  # a node that is animated has none
            node[channel.path] = channel.at(float(time))
        mesh = reader.mesh()
        first = first or mesh.check()
        if mesh.vertices.shape != first.vertices.shape:
            raise InputError(f"{file.path}: the number of its vertices changes in the animation; it cannot be played.")
        frames.append(mesh.vertices)
    assert first is not None
    moved = np.stack(frames)
    closing = len(moved) > 2 and bool(np.abs(moved[-1] - moved[0]).max() < 1e-6 * first.diagonal())
    mesh = first.near_origin()
    return GltfMotion(mesh, (moved[:-1] if closing else moved) - mesh.origin, fps, closing)


def _frame_times(channels: list[_Channel]) -> tuple[np.ndarray, float]:
    """Seconds of the frames, and frames per second: the keys where they are evenly spaced."""
    keys: Any = np.unique(np.concatenate([channel.times for channel in channels]))
    keys = keys[np.r_[True, np.diff(keys) > 1e-5]]
    if len(keys) == 1:
        return keys, _RATE
    steps = np.diff(keys)
    if len(keys) <= _MOST_FRAMES and np.ptp(steps) < 0.02 * steps.mean():
        return keys, round(float(1 / steps.mean()), 3)
    count = int(min(_MOST_FRAMES, max(2, np.ceil((keys[-1] - keys[0]) * _RATE) + 1)))
    return np.linspace(keys[0], keys[-1], count), float((count - 1) / (keys[-1] - keys[0]))


def _between(a: np.ndarray, b: np.ndarray, share: float, *, turning: bool) -> np.ndarray:
    """Linear, for quaternions along the great circle."""
    if not turning:
        return np.asarray(a * (1 - share) + b * share)
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-4:
        return np.asarray(a * (1 - share) + b * share)
    return np.asarray((np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle))


def _hermite(a: np.ndarray, b: np.ndarray, span: float, share: float) -> np.ndarray:
    """Cubic between keys ``[3, n]`` of in-tangent, value and out-tangent."""
    s = share
    start = (2 * s**3 - 3 * s**2 + 1) * a[1] + span * (s**3 - 2 * s**2 + s) * a[2]
    return np.asarray(start + (3 * s**2 - 2 * s**3) * b[1] + span * (s**3 - s**2) * b[0])
