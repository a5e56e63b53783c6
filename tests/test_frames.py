"""Folders of frames are lossless and strict; previews can be opened."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from PIL import Image

from animate3d.errors import InputError
from animate3d.frames import (
    FrameFolder,
    composite,
    contact_sheet,
    count_frames,
    load_frames,
    load_images,
    save_frames,
    save_gif,
    save_image,
    save_mp4,
    side_by_side,
)


def some(views: int = 2, frames: int = 3, size: tuple[int, int] = (6, 5), channels: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (views, frames, *size, channels), dtype=np.uint8)


@pytest.mark.parametrize(("views", "frames"), [(1, 1), (2, 3), (5, 2), (3, 12)])
def test_any_number_of_views_and_frames_comes_back_exactly(tmp_path, views, frames):
    images = some(views, frames)
    save_frames(tmp_path / "frames", images)
    read = load_frames(tmp_path / "frames", views, frames)
    assert read.dtype == torch.float32
    np.testing.assert_array_equal((read * 255).round().byte().numpy(), images)


def test_frame_varies_fastest(tmp_path):
    images = some(2, 3)
    save_frames(tmp_path / "frames", images)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "frames" / "4.png")), images[1, 1])


def test_saving_again_leaves_no_frames_of_the_earlier_run(tmp_path):
    save_frames(tmp_path / "frames", some(2, 3))
    save_frames(tmp_path / "frames", some(1, 2), fps=8)
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["0.png", "1.png", "preview.mp4"]
    load_frames(tmp_path / "frames", 1, 2)


def test_wrong_numbers_of_images(tmp_path):
    save_frames(tmp_path / "frames", some(2, 3))
    with pytest.raises(InputError, match=r"holds 6 numbered.*4 views of 16 frames need 64"):
        load_frames(tmp_path / "frames", 4, 16)
    (tmp_path / "frames" / "6.png").write_bytes((tmp_path / "frames" / "3.png").read_bytes())
    with pytest.raises(InputError, match=r"holds 7 numbered PNG images; 2 views need a multiple of 2"):
        count_frames(tmp_path / "frames", 2)
    (tmp_path / "frames" / "6.png").unlink()
    (tmp_path / "frames" / "4.png").rename(tmp_path / "4.png")
    with pytest.raises(InputError, match=r"holds 5 numbered PNG images; 4\.png is missing; 2 views"):
        count_frames(tmp_path / "frames", 2)
    (tmp_path / "4.png").rename(tmp_path / "frames" / "4.png")
    (tmp_path / "frames" / "5.png").rename(tmp_path / "frames" / "9.png")
    with pytest.raises(InputError, match=r"has no 5\.png"):
        load_frames(tmp_path / "frames", 2, 3)
    with pytest.raises(InputError, match="none"):
        load_frames(tmp_path / "none", 2, 3)


def test_other_files_in_the_folder_do_not_count(tmp_path):
    save_frames(tmp_path / "frames", some(1, 1))
    for name in ("preview.png", "mask_0.png", "notes.txt"):
        (tmp_path / "frames" / name).touch()
    read = load_frames(tmp_path / "frames", 1, 1)
    np.testing.assert_array_equal((read * 255).round().byte().numpy(), some(1, 1))


def test_different_sizes_missing_alpha_and_truncated_images(tmp_path):
    folder = tmp_path / "frames"
    save_frames(folder, some(1, 2))
    save_image(folder / "1.png", np.zeros((7, 5, 4), dtype=np.uint8))
    with pytest.raises(InputError, match=r"0\.png is 5x6.*1\.png is 5x7"):
        load_frames(folder, 1, 2)
    save_image(folder / "1.png", np.zeros((6, 5, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"1\.png has no alpha"):
        load_frames(folder, 1, 2)
    assert (load_frames(folder, 1, 2, alpha=False)[0, 1, ..., 3] == 1).all()
    save_image(folder / "1.png", some(1, 1, (60, 50))[0, 0])
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"1\.png cannot be read"):
        load_frames(folder, 1, 2)


def test_images_of_any_mode_are_read_as_rgba(tmp_path):
    for index, mode in enumerate(["L", "LA", "P", "RGB", "RGBA", "1"]):
        Image.new(mode, (3, 2)).save(tmp_path / f"{index}.png")
    assert load_images([tmp_path / f"{index}.png" for index in range(6)]).shape == (6, 2, 3, 4)


def test_arrangements():
    frames = some(2, 3, channels=3)
    np.testing.assert_array_equal(side_by_side(frames)[1, :, 5:], frames[1, 1])
    np.testing.assert_array_equal(contact_sheet(frames)[6:, 10:], frames[1, 2])


def test_composite_is_straight_alpha():
    rgba = torch.tensor([[1.0, 0.0, 0.5, 0.25]])
    torch.testing.assert_close(composite(rgba, 0.5), torch.tensor([[0.625, 0.375, 0.5]]))
    torch.testing.assert_close(composite(rgba, torch.tensor([0.0, 1, 0])), torch.tensor([[0.25, 0.75, 0.125]]))


def test_previews_of_odd_sizes_can_be_opened(tmp_path):
    frames = np.full((5, 33, 47, 3), 200, dtype=np.uint8)
    save_mp4(tmp_path / "a.mp4", frames, 8)
    save_gif(tmp_path / "a.gif", frames + np.arange(5, dtype=np.uint8)[:, None, None, None], 8)
    video = np.stack(imageio.mimread(tmp_path / "a.mp4"))
    assert video.shape == (5, 34, 48, 3)
    assert np.abs(video.astype(int) - 200).max() < 5
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (47, 33), 120)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path):
    save_frames(tmp_path / "frames", some(1, 1))
    with pytest.raises(ValueError, match="uint8"):
        save_frames(tmp_path / "frames", some(1, 1).astype(np.float32))
    load_frames(tmp_path / "frames", 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_a_folder_gives_its_frames_one_at_a_time(tmp_path):
    images = some(2, 3)
    save_frames(tmp_path / "frames", images)
    frames = FrameFolder(tmp_path / "frames", 2)
    assert frames.shape == (2, 3, 6, 5, 4) and len(frames) == 2
    whole = load_frames(tmp_path / "frames", 2, 3)
    assert all(torch.equal(frames[v, f], whole[v, f]) for v in range(2) for f in range(3))
    with pytest.raises(IndexError):
        frames[0, 3]
    with pytest.raises(InputError, match="6 numbered PNG"):
        FrameFolder(tmp_path / "frames", 4)
