"""Masks for a folder of frames: which views there are, what belongs to which, what is written."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.errors import InputError
from animate3d.files import atomic_directory, existing_folder
from animate3d.frames import GREY, composite, load_images, save_image

Image = NDArray[np.float32]

_LEAST_SHARE = 0.005  # of the template's area: a smaller silhouette counts as empty
_LEAST_OVERLAP = 0.5  # of template and frame 0's own silhouette, below which they hardly belong together


class Segmenter(Protocol):
    """Finds the object of one view in all frames."""

    @property
    def name(self) -> str:
        """The name of the segmenter, as given to ``--backend``."""

    @property
    def parallel(self) -> bool:
        """Whether several views may be segmented at the same time, in threads."""

    def segment(self, frames: Iterable[NDArray[np.uint8]], template: Image) -> Iterator[Image]:
        """Follow the object through the frames of one view.

        Args:
            frames: ``[H, W, 3]`` each.
            template: ``[H, W]`` alpha 0..1 of frame 0.

        Yields:
            alpha ``[H, W]`` 0..1 of every frame; frame 0 gets the template. It is all 0 when the object is lost.
        """


@dataclass
class MaskReport:
    """The result of `segment_folder`.

    Attributes:
        folder: where the RGBA images are.
        views, frames: V and F.
        backend: name of the segmenter.
        replaced: a result was there before.
        carried: (view, frame) of the images that got the last good mask because the object was lost.
        doubtful: views whose template hardly covers what frame 0 shows.
    """

    folder: Path
    views: int
    frames: int
    backend: str
    replaced: bool
    carried: list[tuple[int, int]] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """One sentence for each thing that the user should look at."""
        sentences = []
        if self.carried:
            shown = ", ".join(f"view {v} frame {f} ({v * self.frames + f}.png)" for v, f in self.carried[:5])
            more = f" and {len(self.carried) - 5} more" if len(self.carried) > 5 else ""
            sentences.append(f"The object was not found in {shown}{more}: these got the last good mask of their view.")
        if self.doubtful:
            names = ", ".join(f"{v}.png" for v in self.doubtful)
            sentences.append(
                f"The template masks {names} hardly cover what the first frame of their view shows: check that the "
                f"templates belong to these frames and that there are {self.views} views (--views)."
            )
        return sentences


def segment_folder(
    folder: str | os.PathLike[str],
    save_path: str | os.PathLike[str],
    template_folder: str | os.PathLike[str],
    segmenter: Segmenter,
    *,
    views: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MaskReport:
    """Write the frames of a folder with alpha channels; the result appears as a whole.

    Args:
        folder: frames ``{v*F+f}.png``, RGB (or RGBA, which is put on grey first).
        save_path: gets RGBA images of the same names; the colours stay those of the frames.
        template_folder: ``{v}.png``, RGBA, whose alpha is the mask of frame 0; of any size.
        segmenter: see `choose_segmenter`.
        views: V; by default `count_views`.
        progress: called with the number of finished images and of all.

    Raises:
        InputError: missing or unreadable images, numbers that do not fit, a template without alpha or with an empty
            one, or a ``save_path`` in which something else would be lost.
    """
    folder, template_folder = existing_folder(folder, "folder of frames"), existing_folder(template_folder, "folder")
    save_path = Path(save_path)
    replaced = _check_target(save_path, (folder, template_folder))
    paths = _numbered(folder, "frames")
    views = count_views(template_folder, len(paths)) if views is None else views
    if views < 1 or len(paths) % views:
        raise InputError(f"The {len(paths)} frames in {folder} do not divide evenly among {views} views.")
    frames = len(paths) // views
    templates = _templates(template_folder, views)
    loaded = [_load_template(path) for path in templates]

    report = MaskReport(save_path, views, frames, segmenter.name, replaced)
    done, one_at_a_time = itertools.count(1), threading.Lock()
    with atomic_directory(save_path) as temporary:

        def of_view(v: int) -> None:
            images = _load_view(paths[v * frames : (v + 1) * frames])
            template = _fit(loaded[v], images.shape[1], images.shape[2], templates[v])
            for f, rgba in enumerate(_segment_view(v, images, template, segmenter, report)):
                save_image(temporary / f"{v * frames + f}.png", rgba)
                with one_at_a_time:
                    progress(next(done), views * frames)

        with ThreadPoolExecutor(torch.get_num_threads() if segmenter.parallel else 1) as pool:
            list(pool.map(of_view, range(views)))  # list() waits, and raises what a view raised
    report.carried.sort()
    report.doubtful.sort()
    return report


def _segment_view(
    v: int, images: NDArray[np.uint8], template: Image, segmenter: Segmenter, report: MaskReport
) -> Iterator[NDArray[np.uint8]]:
    """The frames ``[F, H, W, 3]`` of a view with their alpha, one after the other; the report gets what went wrong."""
    last = template
    for f, alpha in enumerate(segmenter.segment(images, template)):
        if (alpha > 0.5).sum() < max(1, _LEAST_SHARE * (template > 0.5).sum()):
            report.carried.append((v, f))
            alpha = last
        last = alpha
        yield np.dstack([images[f], (alpha * 255 + 0.5).astype(np.uint8)])
    if not _covers(images[0], template):
        report.doubtful.append(v)


def _templates(template_folder: Path, views: int) -> list[Path]:
    """The template of every view.

    Raises:
        InputError: one is missing, or there are those of more views.
    """
    templates = [template_folder / f"{v}.png" for v in range(views)]
    missing = [path.name for path in templates if not path.is_file()]
    if missing:
        raise InputError(
            f"{template_folder} lacks the template {', '.join(missing)}; {views} views need 0.png to {views - 1}.png."
        )
    count = len(_numbered(template_folder, "template masks"))
    repeats = count == views + 1 and _same(template_folder / "0.png", template_folder / f"{views}.png")
    if count > views and not repeats:  # the static render writes one more, which repeats the first
        raise InputError(
            f"{template_folder} holds the templates of {count} views, but {views} views were asked for; frames would "
            "be taken for those of other views."
        )
    return templates


def count_views(template_folder: str | os.PathLike[str], images: int) -> int:
    """Number of views that a folder of templates ``{v}.png`` stands for, given the number of frames of all views.

    The static render writes a fifth image that repeats the first: such a last image does not count.

    Raises:
        InputError: the frames do not divide evenly.
    """
    template_folder = existing_folder(template_folder, "folder of templates")
    paths = _numbered(template_folder, "template masks")
    candidates = [len(paths)]
    if len(paths) > 1 and _same(paths[0], paths[-1]):
        # When all views look the same, the last one need not be a repetition.
        round_object = all(_same(paths[0], path) for path in paths[1:])
        candidates.insert(1 if round_object else 0, len(paths) - 1)
    for views in candidates:
        if images % views == 0:
            return views
    raise InputError(
        f"{images} frames do not divide evenly among the {candidates[0]} views in {template_folder}; "
        "give the right folders, or the number of views (--views)."
    )


def _numbered(folder: Path, what: str) -> list[Path]:
    """The images ``0.png`` to ``n-1.png`` of a folder in order."""
    found = {int(p.stem): p for p in folder.glob("*.png") if p.stem.isascii() and p.stem.isdecimal()}
    if not found:
        raise InputError(f"{folder} holds no {what}: numbered images 0.png, 1.png, … are needed.")
    for index in range(len(found)):
        if index not in found:
            raise InputError(f"{folder} has no {index}.png, but {max(found)}.png; {what} are numbered without gaps.")
    return [found[index] for index in range(len(found))]


def _check_target(save_path: Path, inputs: tuple[Path, ...]) -> bool:
    """Whether there is a result to replace; refuses when replacing the folder would lose anything else."""
    if save_path.exists() and not save_path.is_dir():
        raise InputError(f"{save_path} is a file; a folder for the results is needed.")
    resolved = save_path.resolve()
    for folder in inputs:
        if resolved == folder.resolve() or resolved in folder.resolve().parents:
            raise InputError(f"The results would replace the input {folder}; choose another --save_path.")
    if not save_path.is_dir():
        return False
    content = [path for path in save_path.iterdir() if not path.name.startswith(".")]
    for path in content:
        if not (path.suffix == ".png" and path.stem.isdecimal()):
            raise InputError(
                f"{save_path} holds {path.name}, which this step did not write and would replace; "
                "choose another --save_path or move it away."
            )
    return bool(content)


def _load_template(path: Path) -> Image:
    """Read the alpha ``[H, W]``, 0..1, of a template."""
    alpha = load_images([path], alpha=True)[0, ..., 3].numpy()
    if not (alpha > 0.5).any():
        raise InputError(f"The alpha channel of the template {path} is empty: it shows no object.")
    return alpha


def _load_view(paths: list[Path]) -> NDArray[np.uint8]:
    """Read the frames of a view on grey. ``[F, H, W, 3]``"""
    return (composite(load_images(paths), GREY) * 255 + 0.5).byte().numpy()


def _fit(template: Image, height: int, width: int, path: Path) -> Image:
    """Resize a template to the frames."""
    if template.shape == (height, width):
        return template
    if abs(template.shape[1] * height - template.shape[0] * width) > max(template.shape[0] * 2, height * 2):
        raise InputError(
            f"The template {path} is {template.shape[1]}x{template.shape[0]} and the frames are {width}x{height}: "
            "their proportions differ."
        )
    shrinks = template.shape[0] > height
    resized = cv2.resize(template, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32).clip(0, 1)


def _same(first: Path, second: Path) -> bool:
    """Whether two images show the same, up to rounding."""
    try:
        pair = load_images([first, second])
    except InputError:
        return False  # of different size; what cannot be read is reported when its mask is needed
    return float((pair[0] - pair[1]).abs().mean()) < 0.5 / 255


def _covers(frame: NDArray[np.uint8], template: Image) -> bool:
    """Whether the template covers most of what differs from the background in frame 0."""
    image = frame.astype(np.float32)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    differs = np.abs(image - np.median(border, axis=0)).max(-1) > 25
    mask = template > 0.5
    # Greys of the object hide from this test, so only what stands out has to lie within the template, not conversely.
    seen = differs.sum()
    return bool(seen == 0 or (differs & mask).sum() >= _LEAST_OVERLAP * seen)
