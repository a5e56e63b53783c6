"""Held-out creatures with their true motions, as `animate3d.small_model.data.synthesize` writes them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.folder import SIZE, VIEWS
from animate3d.errors import InputError
from animate3d.evaluation.clip_metrics import VideoArray
from animate3d.files import existing_folder, read_json
from animate3d.meshes import Mesh, load_mesh
from animate3d.mvvdm.data.records import UID_INFO
from animate3d.small_model.data.synthesize import CREATURES, HELD_OUT, TRAJECTORY
from animate3d.small_model.data.views import render_views


@dataclass(frozen=True)
class Subject:
    """A held-out creature.

    Attributes:
        uid, family: its name and its kind.
        folder: its mesh, an object folder.
        motions: names of its motions.
        prompts: the caption of each.
        positions: ``[F, N, 3]`` the true placed positions of each.
    """

    uid: str
    family: str
    folder: Path
    motions: list[str]
    prompts: list[str]
    positions: list[NDArray[np.float32]]

    def mesh(self) -> Mesh:
        """Read the creature's mesh."""
        return load_mesh(self.folder)

    def videos(self) -> list[VideoArray]:
        """The true clip of every motion."""
        mesh = self.mesh()
        rendered = (render_views(mesh, placed.astype(np.float64), views=VIEWS, size=SIZE) for placed in self.positions)
        return [video.astype(np.float32) / 255 for video in rendered]


def load_subjects(data: str | os.PathLike[str], cases: int) -> list[Subject]:
    """The first held-out creatures with so many motions in all; families take turns.

    Raises:
        InputError: the data set has no held-out creatures.
    """
    folder = existing_folder(Path(data) / HELD_OUT, "held-out part of the data set")
    subjects: list[Subject] = []
    found = 0
    for uid, clips in read_json(folder / UID_INFO).items():
        if found >= cases:
            break
        positions = []
        for clip in clips:
            with np.load(folder / "videos" / uid / clip["anim"] / TRAJECTORY, allow_pickle=False) as file:
                positions.append(file["positions"])
        subjects.append(
            Subject(
                uid,
                clips[0]["family"],
                folder / CREATURES / uid,
                [clip["motion"] for clip in clips],
                [clip["prompt"] for clip in clips],
                positions,
            )
        )
        found += len(clips)
    if not subjects:
        raise InputError(f"{folder} lists no held-out creatures.")
    return subjects
