"""Still, generated video and its motion as one resumable run; the generator is one that knows the motion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_asset import bend, finned_tube

from animate3d.cli import main
from animate3d.creatures.dragon import unit_times
from animate3d.errors import InputError
from animate3d.evaluation.recovery import recovery
from animate3d.meshes import Mesh, load_mesh, save_obj
from animate3d.rasterize.textured import render_mesh
from animate3d.runs import generated
from animate3d.runs.generated import GeneratedRunOptions, animate_generated
from animate3d.runs.generator import VideoModel
from animate3d.runs.viewpoint import load_viewpoint


class WanPainter:
    """Takes what a Wan pipeline takes; bends the tube as its still's camera sees it."""

    vae_scale_factor_spatial = 8

    def __init__(self, mesh: Mesh, camera: Path) -> None:
        self.mesh, self.camera, self.calls = mesh, camera, 0

    def __call__(
        self, image: Image.Image, prompt: str, height: int, width: int, num_frames: int = 5, **kwargs: Any
    ) -> SimpleNamespace:
        self.calls += 1
        assert image.size == (width, height)
        viewpoint, placement = load_viewpoint(self.camera)
        assert placement is not None
        positions = placement.apply(bend(self.mesh.vertices, unit_times(num_frames)))
        rgba = render_mesh(self.mesh, positions, viewpoint.cameras(), supersample=2)[0].astype(np.float32) / 255
        alpha = rgba[..., 3:]
        return SimpleNamespace(frames=[rgba[..., :3] * alpha + 0.5 * (1 - alpha)])


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[GeneratedRunOptions, WanPainter]:
    save_obj(finned_tube(), tmp_path / "tube")
    mesh = load_mesh(tmp_path / "tube")
    out = tmp_path / "out"
    painter = WanPainter(mesh, out / "work" / "still" / "camera.json")
    monkeypatch.setattr(generated, "load_generator", lambda *arguments: painter)
    model = VideoModel("some/wan", "a tube bends", settings={"height": 128, "width": 192})
    return GeneratedRunOptions(
        tmp_path / "tube", None, out, generator=model, still_view="90,10", formats=("glb",)
    ), painter


@pytest.mark.slow
def test_a_sentence_moves_the_mesh_by_way_of_a_generated_video(
    asked: tuple[GeneratedRunOptions, WanPainter],
) -> None:
    options, painter = asked
    lines: list[str] = []
    result = animate_generated(options, lines.append)
    truth = bend(painter.mesh.vertices, unit_times(5))
    assert recovery(result.trajectory, truth).relative_error < 0.3
    assert result.trajectory.fps == 16, "the frame rate of the family"
    record = json.loads(result.record.read_text())
    assert record["prompt"] == "a tube bends" and record["video_model"] == "some/wan"
    assert (options.out / "generated.mp4").is_file() and (options.out / "work" / "still" / "still.png").is_file()
    assert any("camera given" in line for line in lines), "the still's camera is used, none is searched for"

    lines.clear()
    animate_generated(options, lines.append)
    assert painter.calls == 1 and not any(line.startswith("✓") for line in lines), "the same again makes nothing"
    again = replace(options, generator=replace(options.generator, seed=1))
    animate_generated(again, lines.append)
    assert painter.calls == 2, "another seed is another video"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--video-setting", "a=1"], "give that too"),
        (["--video-model", "a/b", "--video", "clip.mp4"], "--video-model makes the video"),
        (["--video-model", "a/b", "--prompt", "x", "--video-setting", "a"], "key=value"),
        (["--video-model", "no-such-folder", "--prompt", "x"], "nor a name on the hub"),
    ],
)
def test_flags_that_do_not_fit_are_one_sentence(flags: list[str], message: str, tmp_path: Path) -> None:
    save_obj(finned_tube(), tmp_path / "tube")
    with pytest.raises(InputError, match=message):
        main(["animate", str(tmp_path / "tube"), "--out", str(tmp_path / "out"), *flags])
