"""What the video model says of its pixels goes on to tracking, and decides whether that is up to date."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_asset import FRAMES, write_asset

from animate3d.files import read_json
from animate3d.motion.pixel_origins import ORIGINS, PixelOrigins, save_origins
from animate3d.motion.score import Explained
from animate3d.motion.tracking import Tracked
from animate3d.runs import base
from animate3d.runs.mesh import MeshRun
from animate3d.runs.options import AnimateOptions
from animate3d.runs.quality import Followed
from animate3d.runs.videos import VideoOptions


def tracked(options: AnimateOptions) -> tuple[bool, dict[str, str]]:
    """Run up to tracking: whether that ran, and the hashes of its inputs."""
    said: list[str] = []
    run = MeshRun(options, said.append)
    with run.at_work():
        run.place()
        if options.frames is None:
            run.render_static()
            run.choose_frames()
        else:
            run.read_frames(options.frames)
        run.track()
    return any("✓ 5 tracking" in line for line in said), read_json(run.steps.path)["steps"]["5 tracking"]["inputs"]


def test_origins_beside_the_videos_help_to_track_and_are_an_input_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh, frames = write_asset(tmp_path / "asset")
    helped: list[Tracked | None] = []

    def followed(follow: object, *rest: object, by_origins: Callable[[], Tracked] | None = None, **more: object) -> Any:
        helped.append(None if by_origins is None else by_origins())
        still = np.zeros((FRAMES, run_vertices, 3)), np.zeros((FRAMES, run_vertices, 3, 3)) + np.eye(3)
        shares = [0.5] * (FRAMES - 1)
        return Followed(*still, np.ones((FRAMES, run_vertices)), Explained(0.5, shares, [0.5] * 4, shares), 0.0)

    def make_videos(video: VideoOptions, images: object, folder: Path) -> None:
        shutil.copytree(frames, folder / "0-a-tube")
        nowhere = PixelOrigins(np.zeros((4, FRAMES - 1, 2, 8, 8)), np.zeros((4, FRAMES - 1, 8, 8)))
        save_origins(nowhere, folder / ORIGINS)

    def make_masks(video: VideoOptions, raw: Path, templates: Path, target: Path, views: int) -> list[str]:
        shutil.copytree(raw, target)
        return []

    for name, fake in (("followed", followed), ("make_videos", make_videos), ("make_masks", make_masks)):
        monkeypatch.setattr(base, name, fake)
    given = AnimateOptions(mesh, frames, tmp_path / "given", formats=("glb",))
    run_vertices = MeshRun(given, print).model.n_vertices
    ran, inputs = tracked(given)
    assert ran and "origins" not in inputs and helped == [None]
    (tmp_path / "weights").mkdir()
    video = VideoOptions("a tube is bending", weights=tmp_path / "weights")
    made = replace(given, frames=None, video=video, out=tmp_path / "made")
    ran, inputs = tracked(made)
    assert ran and "origins" in inputs and isinstance(helped[1], Tracked)
    np.testing.assert_allclose(helped[1].positions[-1], helped[1].positions[0], atol=1e-6)  # nothing is trusted
    assert not tracked(made)[0]
    (made.out / "work" / "videos" / ORIGINS).unlink()
    assert tracked(made)[0] and helped[2] is None
