"""Folders in and out: views, templates, carried masks, and what is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.errors import InputError
from animate3d.masks import BackgroundSegmenter, count_views, segment_folder

RED, GREY = (200, 40, 40), (128, 128, 128)


def square(left: int, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[10:22, left : left + 12] = True
    return mask


def picture(mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], RED, GREY).astype(np.uint8)


def write_frames(folder: Path, views: int, frames: int) -> Path:
    folder.mkdir()
    for v in range(views):
        for f in range(frames):
            Image.fromarray(picture(square(4 + 2 * v + 2 * f))).save(folder / f"{v * frames + f}.png")
    return folder


def write_templates(folder: Path, views: list[int], size: int = 32) -> Path:
    folder.mkdir()
    for index, v in enumerate(views):
        mask = square(4 + 2 * v)
        rgba = np.dstack([picture(mask), 255 * mask.astype(np.uint8)])
        Image.fromarray(rgba).resize((size, size), Image.Resampling.NEAREST).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(("views", "frames", "template_size"), [(4, 3, 32), (2, 5, 64), (3, 2, 16), (1, 4, 32)])
def test_any_views_frames_and_template_sizes(tmp_path: Path, views: int, frames: int, template_size: int) -> None:
    folder = write_frames(tmp_path / "frames", views, frames)
    templates = write_templates(tmp_path / "templates", list(range(views)), template_size)
    seen: list[tuple[int, int]] = []
    report = segment_folder(
        folder, tmp_path / "out", templates, BackgroundSegmenter(), progress=lambda *done: seen.append(done)
    )
    assert (report.views, report.frames, report.backend) == (views, frames, "background")
    assert not report.replaced and not report.warnings()
    assert seen[-1] == (views * frames, views * frames) and len(seen) == views * frames
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{i}.png" for i in range(views * frames)}
    for v in range(views):
        for f in range(frames):
            image = np.asarray(Image.open(tmp_path / "out" / f"{v * frames + f}.png"))
            wanted = square(4 + 2 * v + 2 * f)
            np.testing.assert_array_equal(image[..., :3], picture(wanted))
            if template_size >= 32 or f:
                np.testing.assert_array_equal(image[..., 3] > 127, wanted)


def test_the_fifth_static_render_repeats_the_first_and_is_no_view(tmp_path: Path) -> None:
    templates = write_templates(tmp_path / "templates", [0, 1, 2, 3, 0])
    assert count_views(templates, 64) == 4
    assert count_views(templates, 80) == 4


def test_an_object_that_looks_the_same_from_all_sides(tmp_path: Path) -> None:
    assert count_views(write_templates(tmp_path / "four", [0] * 4), 48) == 4
    assert count_views(write_templates(tmp_path / "five", [0] * 5), 64) == 4


def test_numbers_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 2, 5)
    templates = write_templates(tmp_path / "templates", [0, 1, 2])
    with pytest.raises(InputError, match="10 frames do not divide evenly among the 3 views"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    with pytest.raises(InputError, match=r"lacks the template 3\.png, 4\.png; 5 views need"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter(), views=5)
    with pytest.raises(InputError, match="among 4 views"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter(), views=4)
    with pytest.raises(InputError, match="templates of 3 views, but 1 views were asked for"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter(), views=1)
    (folder / "3.png").unlink()
    with pytest.raises(InputError, match=r"has no 3\.png, but 9\.png"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    assert not (tmp_path / "out").exists()


def test_templates_without_an_object_are_refused(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 1, 2)
    templates = write_templates(tmp_path / "templates", [0])
    Image.fromarray(picture(square(4))).save(templates / "0.png")
    with pytest.raises(InputError, match="no alpha channel"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    Image.fromarray(np.zeros((32, 32, 4), np.uint8)).save(templates / "0.png")
    with pytest.raises(InputError, match="is empty"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    Image.fromarray(np.full((32, 64, 4), 255, np.uint8)).save(templates / "0.png")
    with pytest.raises(InputError, match="proportions differ"):
        segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no template masks"):
        segment_folder(folder, tmp_path / "out", empty, BackgroundSegmenter())


def test_an_empty_mask_gets_the_last_good_one_and_is_reported(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 1, 4)
    Image.fromarray(np.full((32, 32, 3), GREY, np.uint8)).save(folder / "2.png")
    templates = write_templates(tmp_path / "templates", [0])
    report = segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    assert report.carried == [(0, 2)]
    assert "view 0 frame 2 (2.png)" in report.warnings()[0]
    masks = [np.asarray(Image.open(tmp_path / "out" / f"{f}.png"))[..., 3] > 127 for f in range(4)]
    np.testing.assert_array_equal(masks[2], masks[1])
    np.testing.assert_array_equal(masks[3], square(10))


def test_templates_of_other_views_are_reported(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 2, 2)
    templates = write_templates(tmp_path / "templates", [8, 1])
    report = segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    assert report.doubtful == [0]
    assert "check that the templates belong" in report.warnings()[-1]


def test_an_earlier_result_is_replaced_as_a_whole_and_kept_when_something_fails(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 1, 4)
    templates = write_templates(tmp_path / "templates", [0])
    segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    class Broken:
        name = "broken"
        parallel = False

        def segment(self, frames: np.ndarray, template: np.ndarray) -> Iterator[np.ndarray]:
            yield template
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        segment_folder(folder, tmp_path / "out", templates, Broken())
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    (folder / "3.png").unlink()
    report = segment_folder(folder, tmp_path / "out", templates, BackgroundSegmenter())
    assert report.replaced
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_nothing_else_is_ever_replaced(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "frames", 1, 2)
    templates = write_templates(tmp_path / "templates", [0])
    for target in (folder, templates, tmp_path):
        with pytest.raises(InputError, match="would replace the input"):
            segment_folder(folder, target, templates, BackgroundSegmenter())
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"holds thesis\.tex"):
        segment_folder(folder, other, templates, BackgroundSegmenter())
    assert (other / "thesis.tex").exists()


def test_rgba_frames_are_put_on_grey(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for f in range(2):
        mask = square(4 + 2 * f)
        rgba = np.dstack([np.where(mask[..., None], RED, 0), 255 * mask]).astype(np.uint8)
        Image.fromarray(rgba).save(folder / f"{f}.png")
    segment_folder(folder, tmp_path / "out", write_templates(tmp_path / "templates", [0]), BackgroundSegmenter())
    image = np.asarray(Image.open(tmp_path / "out" / "1.png"))
    np.testing.assert_array_equal(image[..., 3] > 127, square(6))
    assert tuple(image[0, 0, :3]) == GREY
