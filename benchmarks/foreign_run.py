"""A mesh file animated from a sentence, and where its vertices are in the exported file."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.files import read_json
from animate3d.meshes import Mesh, load_mesh, save_obj
from animate3d.meshes.gltf_motion import load_gltf_motion
from animate3d.runs.mesh import MeshRun, animate
from animate3d.runs.options import AnimateOptions
from animate3d.runs.presets import PRESETS
from animate3d.runs.videos import preset_videos

MeshRun.preview = lambda run, trajectory: None  # type: ignore[method-assign]  # pictures for people, most of the time


@dataclass(frozen=True, eq=False)
class Animated:
    """What the command made.

    Attributes:
        mesh: that was exported, at rest.
        positions: ``[F, N, 3]`` in the exported file.
        moves: what it says it did.
    """

    mesh: Mesh
    positions: NDArray[np.float64]
    moves: str

    @property
    def went(self) -> NDArray[np.float64]:
        """Displacements ``[F, N, 3]``."""
        return self.positions - self.positions[:1]


def animated(model: Path, sentence: str, facing: float | None = None) -> Animated | None:
    """A mesh animated as a sentence says, ``facing`` as by the flag; None where nothing of it is computed."""
    preset = PRESETS["laptop"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = AnimateOptions(
            model,
            None,
            Path(folder),
            formats=("glb",),
            video=preset_videos(sentence, preset),
            rigidity=preset.rigidity,
            moves="always",
            facing=facing,
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                result = animate(options)
        except InputError as error:
            if "nothing that can be computed" in str(error):
                return None
            raise
        said = read_json(result.record)["steps"]["5 move"]["facts"]["motion"]
        motion = load_gltf_motion(result.files["glb"])
        if motion is None:  # nothing moves at all
            return Animated(result_mesh := load_mesh(model), result_mesh.vertices[None].repeat(16, axis=0), said)
        return Animated(motion.mesh, motion.positions.astype(np.float64), said)


def turned(model: Path, folder: Path, yaw: float) -> Path:
    """A mesh turned about the vertical, degrees from +z towards +x, in a file of its own."""
    mesh, angle = load_mesh(model), np.deg2rad(yaw)
    sine, cosine = np.sin(angle), np.cos(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    path = folder / f"{model.name}_{yaw:.0f}"
    save_obj(Mesh.from_faces(mesh.vertices @ turn.T, mesh.triangles()[0]), path)
    return path


def areas(mesh: Mesh) -> NDArray[np.float64]:
    """The share of the surface around each vertex ``[N]``."""
    triangles = mesh.triangles()[0]
    a, b, c = (mesh.vertices[triangles[:, corner]] for corner in range(3))
    sizes = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    around = np.bincount(triangles.ravel(), np.repeat(sizes, 3), len(mesh.vertices))
    return around / around.sum()
