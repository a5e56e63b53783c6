"""Checkpoint files: whole, named as documented, kept or removed as asked, loaded without running code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from animate3d.errors import InputError
from animate3d.mvvdm.training import checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_latest_points_to_the_newest(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / checkpoints.checkpoint_name("epoch", number)
        checkpoints.write(path, {"epoch": number})
        checkpoints.point_latest(path)
    assert names(tmp_path) == ["checkpoint-epoch-1.ckpt", "checkpoint-epoch-2.ckpt", "latest.ckpt"]
    assert checkpoints.find_latest(tmp_path) == tmp_path / "checkpoint-epoch-2.ckpt"
    assert torch.load(tmp_path / "latest.ckpt", weights_only=True) == {"epoch": 2}


def test_only_the_newest_stay(tmp_path: Path) -> None:
    for unit, number in [("step", 3), ("epoch", 1), ("step", 7), ("epoch", 2), ("epoch", 10)]:
        path = tmp_path / checkpoints.checkpoint_name(unit, number)
        checkpoints.write(path, {})
        checkpoints.write(tmp_path / checkpoints.checkpoint_name(unit, number, "ema"), {})
        checkpoints.point_latest(path)
    (tmp_path / "checkpoint-of-mine.ckpt").touch()
    checkpoints.prune(tmp_path, 2)
    assert names(tmp_path) == [
        "checkpoint-epoch-10-ema.ckpt",
        "checkpoint-epoch-10.ckpt",
        "checkpoint-epoch-2-ema.ckpt",
        "checkpoint-epoch-2.ckpt",
        "checkpoint-of-mine.ckpt",
        "checkpoint-step-7-ema.ckpt",
        "checkpoint-step-7.ckpt",
        "latest.ckpt",
    ]
    checkpoints.prune(tmp_path, -1)
    assert len(names(tmp_path)) == 8


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-epoch-1.ckpt"
    checkpoints.write(path, {"epoch": 1})
    with pytest.raises((AttributeError, TypeError)):
        checkpoints.write(path, {"epoch": lambda: 0})
    assert names(tmp_path) == [path.name]
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_a_file_that_cannot_be_continued_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-epoch-1.ckpt"
    for content in (b"cut off", b"abc", b"\x80"):
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=rf"{path.name} is damaged.* continue from an earlier one with `resume_from"
        ):
            checkpoints.read(path)
    torch.save({"state_dict": {"down_blocks.0.motion_modules.0.norm.weight": torch.ones(1)}}, path)
    with pytest.raises(InputError, match=r"lacks epoch, global_step, optimizer, lr_scheduler.*unet_checkpoint_path"):
        checkpoints.read(path)
    (tmp_path / "latest.ckpt").symlink_to("gone.ckpt")
    with pytest.raises(InputError, match=r"points to gone\.ckpt, which is gone"):
        checkpoints.find_latest(tmp_path)
