from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.creatures import make_creature, move
from animate3d.errors import InputError
from animate3d.mvvdm.model.origins import Origins, paint_from_origins
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.small_model import models, origins
from animate3d.small_model.data.synthesize import Settings, synthesize
from animate3d.small_model.data.views import render_rest_positions, render_views
from animate3d.small_model.origins import Truth, origin_losses, render_clips, train_origins, true_origins


def moving(family: str, motion: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels ``[V, F, 3, H, W]`` 0..1, rest positions and coverage of a creature's clip of 4 frames."""
    creature = make_creature(family, 5)
    placed = creature.mesh.automatic_placement().apply(move(creature, motion, 4))
    pixels = torch.from_numpy(render_views(creature.mesh, placed, views=4, size=64)).movedim(-1, 2).float() / 255
    rest, coverage = render_rest_positions(creature.mesh, placed, views=4, size=64)
    return pixels, torch.from_numpy(rest), torch.from_numpy(coverage)


def truth_of(family: str, motion: str) -> tuple[Tensor, Truth]:
    pixels, rest, coverage = moving(family, motion)
    places, visible = true_origins(rest, coverage, reconstruction_cameras(4, 64))
    return pixels, Truth(places[None], visible[None], coverage[None])


def test_in_frame_0_every_covered_pixel_comes_from_itself() -> None:
    _, truth = truth_of("ball", "spin")
    own, covered = truth.places[0, :, 0, 0], truth.coverage[0, :, 0] > 0.9
    grid = torch.arange(64) + 0.5
    x, y = grid.expand(64, 64), grid[:, None].expand(64, 64)
    distance = (own - torch.stack([x, y])).norm(dim=1)[covered]
    assert distance.median() < 0.3 and truth.visible[0, :, 0, 0][covered].float().mean() > 0.9


@pytest.mark.parametrize(("family", "motion"), [("butterfly", "flap"), ("ball", "spin")])
def test_painting_with_the_true_origins_gives_the_video_back(family: str, motion: str) -> None:
    pixels, truth = truth_of(family, motion)
    shown = torch.cat([truth.visible, ~truth.visible.any(dim=3, keepdim=True)], dim=3)
    sources = torch.where(shown, 0.0, -50.0)
    sources[:, :, :, 0] += 20 * truth.visible[:, :, :, 0]  # the own view, where it can
    first = pixels[:, 0]
    grey = torch.full_like(pixels, 0.5)
    painted = paint_from_origins(grey[None], first[None], Origins(truth.places, sources))[0]
    known = truth.visible[0].any(dim=2)[:, :, None].expand_as(pixels) & (truth.coverage[0] > 0.95)[:, :, None]
    error = (painted - pixels)[known].abs().mean()
    still = (first[:, None] - pixels)[known].abs().mean()
    assert error < 0.05 and error < 0.45 * still


def test_losses_are_least_at_the_truth() -> None:
    _, truth = truth_of("butterfly", "flap")
    shown = torch.cat([truth.visible, ~truth.visible.any(dim=3, keepdim=True)], dim=3)
    shown[:, :, :, 1:-1] &= ~shown[:, :, :, :1]
    right = Origins(truth.places.clone().requires_grad_(), torch.where(shown, 30.0, 0.0).requires_grad_())
    places, sources, distance = origin_losses(right, truth)
    assert places == 0 and sources < 1e-6 and distance == 0
    wrong = Origins((truth.places + 3.0).requires_grad_(), torch.zeros_like(right.sources).requires_grad_())
    places, sources, distance = origin_losses(wrong, truth)
    assert places.item() == pytest.approx(2.5, abs=1e-3)  # 3 pixels in x and y: |3| - 1/2
    assert distance.item() == pytest.approx(3 * 2**0.5, abs=1e-3) and sources > 0.5
    (places + sources).backward()
    assert wrong.places.grad is not None and wrong.sources.grad is not None
    assert not wrong.places.grad[:, :, 0].any()  # frame 0 is given


def test_a_new_head_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    unet = models.build_unet(8, 4).eval()
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)
    grown = models.add_origin_head(unet, 4).eval()
    inputs = (torch.randn(4, 8, 2, 16, 16), 500, torch.randn(4, 5, 96))
    more = {"camera": torch.randn(4, 16), "added_cond_kwargs": {"image_embeds": torch.randn(4, 64)}}
    with torch.no_grad():
        before = unet(*inputs, **more).sample
        after, found = grown(*inputs, **more, return_dict=False, return_origins=True)
    assert torch.equal(before, after) and before.any()
    grid = torch.arange(64) + 0.5
    assert (found.places[:, :, :, 0, 0] - grid).abs().max() < 1


@pytest.fixture()
def group(tmp_path: Path) -> object:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two clips."""
    folder = tmp_path_factory.mktemp("bundled") / "data"
    synthesize(folder, Settings(clips=2, held_out=0, seed=1, families=("ball",)))
    return folder


def test_clips_are_drawn_again_with_their_captions(data: Path) -> None:
    captions = [entry["text_prompt"] for entry in json.loads((data / "clips.json").read_text())]
    assert [clip.text for clip in render_clips(data, 0, 1)] == captions
    assert [clip.text for clip in render_clips(data, 1, 2)] == captions[1:]


@pytest.mark.slow
def test_training_learns_and_goes_on(
    data: Path,
    untrained: Callable[[], MultiViewVideoPipeline],
    tmp_path: Path,
    group: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(origins, "WARMUP", 1)
    handler = signal.getsignal(signal.SIGTERM)
    train_origins(untrained(), 7, data, tmp_path, 3, 0)
    first = checkpoints.read(tmp_path / "origins.ckpt")
    assert first["global_step"] == 3 and first["unet_steps"] == 7
    train_origins(untrained(), 7, data, tmp_path, 8, 0)
    assert signal.getsignal(signal.SIGTERM) is handler
    lines = [json.loads(line) for line in (tmp_path / "origins.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert lines[-1]["sources"] < lines[0]["sources"]
    # The optimiser and the average went on, too: neither began anew after step 3.
    second = checkpoints.read(tmp_path / "origins.ckpt")
    assert {int(entry["step"]) for entry in second["optimizer"]["state"].values()} == {8}
    name = "origin_head.layers.2.weight"
    assert not torch.equal(second["ema"][name], second["state_dict"][name])
    train_origins(untrained(), 7, data, tmp_path, 8, 0)  # nothing is left to do
    assert len((tmp_path / "origins.jsonl").read_text().splitlines()) == 8
    with pytest.raises(InputError, match=r"step 7, not to that after step 9; remove it"):
        train_origins(untrained(), 9, data, tmp_path, 8, 0)


def test_weights_and_their_average_go_on_where_they_were(
    data: Path, untrained: Callable[[], MultiViewVideoPipeline], tmp_path: Path, group: object
) -> None:
    train_origins(untrained(), 7, data, tmp_path, 1, 0)
    content = checkpoints.read(tmp_path / "origins.ckpt")
    for value in content["ema"].values():
        value.fill_(1000.0)
    content["state_dict"]["origin_head.layers.2.bias"][0] = 3.0
    checkpoints.write(tmp_path / "origins.ckpt", content)
    train_origins(untrained(), 7, data, tmp_path, 2, 0)
    found = checkpoints.read(tmp_path / "origins.ckpt")
    assert found["state_dict"]["origin_head.layers.2.bias"][0] == pytest.approx(3.0, abs=0.01)
    assert all(value.mean() > 100 for value in found["ema"].values())


def test_sigterm_ends_a_training_with_a_checkpoint(
    data: Path,
    untrained: Callable[[], MultiViewVideoPipeline],
    tmp_path: Path,
    group: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopping(*arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return origin_losses(*arguments)

    monkeypatch.setattr(origins, "origin_losses", stopping)
    train_origins(untrained(), 7, data, tmp_path, 5, 0)
    assert checkpoints.read(tmp_path / "origins.ckpt")["global_step"] == 1
