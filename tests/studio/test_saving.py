from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from animate3d.errors import InputError
from animate3d.studio.saving import SaverMixin


@pytest.fixture
def saver(tmp_path: Path) -> SaverMixin:
    saver = SaverMixin()
    saver.set_save_dir(str(tmp_path))
    return saver


def test_saving_needs_a_folder() -> None:
    with pytest.raises(ValueError, match="Save dir is not set"):
        SaverMixin().get_save_path("x.png")


def test_grid_truncates_splits_channels_and_resizes(saver: SaverMixin, tmp_path: Path) -> None:
    path = saver.save_image_grid(
        "a/grid.png",
        [
            [{"type": "rgb", "img": torch.full((4, 4, 3), 0.5), "kwargs": {"data_format": "HWC"}}],
            [{"type": "grayscale", "img": torch.zeros(2, 2), "kwargs": {"cmap": None, "data_range": (0, 1)}}],
        ],
        name="x",
        step=1,
    )
    image = imageio.imread(path)
    assert image.shape == (8, 4, 3)
    assert (image[:4] == 127).all() and (image[4:] == 0).all()
    assert saver.get_rgb_image_(torch.ones(4, 2, 2), data_format="CHW").shape == (2, 4, 3)


def test_sequence_is_ordered_by_number(saver: SaverMixin, tmp_path: Path) -> None:
    for i in (10, 9, 2):
        saver.save_rgb_image(f"it1-val/{i}.png", torch.full((16, 16, 3), i / 10))
    path = saver.save_img_sequence("it1-val", "it1-val", r"(\d+)\.png", save_format="gif", fps=8)
    frames = imageio.mimread(path)
    assert [round(float(np.asarray(f)[..., 0].mean()) / 25.5) for f in frames] == [2, 9, 10]
    assert Path(saver.save_img_sequence("v", "it1-val", r"(\d+)\.png", fps=8)).name == "v.mp4"
    with pytest.raises(InputError, match="No image"):
        saver.save_img_sequence("w", "nowhere", r"(\d+)\.png")


def test_data_and_mesh(saver: SaverMixin, tmp_path: Path) -> None:
    assert np.load(saver.save_data("a", torch.ones(2))).tolist() == [1, 1]
    assert np.load(saver.save_data("b", {"x": torch.ones(2)}))["x"].tolist() == [1, 1]
    path = Path(saver.save_mesh("m.obj", torch.zeros(3, 3), torch.tensor([[0, 1, 2]])))
    assert path.read_text().splitlines()[-1] == "f 1 2 3"
    assert Path(saver.save_json("j.json", {"a": 1})).read_text() == '{\n    "a": 1\n}'
