"""`SaverMixin`: images, videos, arrays and meshes into the ``save`` folder of a run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import imageio.v2 as imageio
import numpy as np
import torch

from animate3d.errors import InputError
from animate3d.files import atomic_file
from animate3d.frames import save_gif, save_mp4

COLORMAPS = {"jet": cv2.COLORMAP_JET, "magma": cv2.COLORMAP_MAGMA, "viridis": cv2.COLORMAP_VIRIDIS}


def to_numpy(data: Any) -> Any:
    """Tensors, also inside lists and dicts, as arrays."""
    if isinstance(data, torch.Tensor):
        return data.detach().cpu().numpy()
    if isinstance(data, list):
        return [to_numpy(d) for d in data]
    if isinstance(data, dict):
        return {k: to_numpy(v) for k, v in data.items()}
    return data


def to_uint8(image: Any, data_range: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """Clip to ``data_range`` and truncate to 0..255, as upstream does (0.5 -> 127)."""
    image = to_numpy(image)
    low, high = data_range
    scaled = (np.nan_to_num(image.clip(low, high)) - low) / (high - low)
    return (scaled * 255.0).astype(np.uint8)


class SaverMixin:
    """Writers of the results of a run; every file name is relative to the save folder."""

    _save_dir: str | None = None

    def set_save_dir(self, save_dir: str) -> None:
        """Folder below which everything goes."""
        self._save_dir = save_dir

    def get_save_dir(self) -> str:
        """The folder. Raises ValueError before it is set."""
        if self._save_dir is None:
            raise ValueError("Save dir is not set")
        return self._save_dir

    def get_save_path(self, filename: str) -> str:
        """Full path; its folder is made."""
        path = os.path.join(self.get_save_dir(), filename)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def get_rgb_image_(
        self, img: Any, data_format: str = "HWC", data_range: tuple[float, float] = (0, 1)
    ) -> np.ndarray:
        """``[H, W, 3 k]`` uint8; more than three channels become tiles side by side, padded with zeros."""
        image = to_uint8(_hwc(img, data_format), data_range)
        tiles = [image[..., c : c + 3] for c in range(0, image.shape[-1], 3)]
        return np.concatenate([np.pad(t, ((0, 0), (0, 0), (0, 3 - t.shape[-1]))) for t in tiles], axis=1)

    def get_grayscale_image_(
        self, img: Any, data_range: tuple[float, float] | None = (0, 1), cmap: str | None = "jet"
    ) -> np.ndarray:
        """``[H, W]`` in a colour map; ``data_range=None`` takes the image's own range."""
        image = np.nan_to_num(to_numpy(img))
        if data_range is None:
            data_range = (float(image.min()), float(image.max()) + 1e-12)
        gray = to_uint8(image, data_range)
        if cmap is None:
            return np.repeat(gray[..., None], 3, axis=2)
        if cmap not in COLORMAPS:
            raise ValueError(f"Unknown colour map '{cmap}': use one of {', '.join(COLORMAPS)} or None.")
        return cv2.cvtColor(cv2.applyColorMap(gray, COLORMAPS[cmap]), cv2.COLOR_BGR2RGB)

    def get_image_grid_(self, imgs: list[Any], align: Any = "max") -> np.ndarray:
        """Rows of ``{"type": rgb|grayscale, "img": ..., "kwargs": {...}}`` as one picture."""
        rows = imgs if imgs and isinstance(imgs[0], list) else [imgs]
        make: dict[str, Any] = {"rgb": self.get_rgb_image_, "grayscale": self.get_grayscale_image_}
        images = [[make[item["type"]](item["img"], **item.get("kwargs", {})) for item in row] for row in rows]
        heights, widths = [i.shape[0] for row in images for i in row], [i.shape[1] for row in images for i in row]
        if isinstance(align, int):
            h = w = align
        elif isinstance(align, tuple):
            h, w = align
        elif align in ("max", "min"):
            h, w = (max(heights), max(widths)) if align == "max" else (min(heights), min(widths))
        else:
            raise ValueError(f"Unknown align '{align}': use 'min', 'max', a size or (height, width).")
        tiles = [
            [i if i.shape[:2] == (h, w) else cv2.resize(i, (w, h), interpolation=cv2.INTER_LINEAR) for i in row]
            for row in images
        ]
        return np.concatenate([np.concatenate(row, axis=1) for row in tiles], axis=0)

    def save_image(self, filename: str, img: Any) -> str:
        """Write a uint8 ``[H, W, C]`` image."""
        path = self.get_save_path(filename)
        with atomic_file(path) as temporary:
            imageio.imwrite(temporary, to_numpy(img))
        return path

    def save_rgb_image(
        self, filename: str, img: Any, name: str | None = None, step: int | None = None, **kw: Any
    ) -> str:
        """See `get_rgb_image_`."""
        return self.save_image(filename, self.get_rgb_image_(img, **kw))

    def save_grayscale_image(
        self, filename: str, img: Any, name: str | None = None, step: int | None = None, **kw: Any
    ) -> str:
        """See `get_grayscale_image_`."""
        return self.save_image(filename, self.get_grayscale_image_(img, **kw))

    def save_image_grid(
        self,
        filename: str,
        imgs: list[Any],
        align: Any = "max",
        name: str | None = None,
        step: int | None = None,
        texts: list[str] | None = None,
    ) -> str:
        """See `get_image_grid_`; ``texts`` are written over the picture, a line each."""
        image = self.get_image_grid_(imgs, align=align)
        for line, text in enumerate(texts or []):
            image = np.ascontiguousarray(image)
            cv2.putText(image, text, (4, 16 * (line + 1)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 2)
            cv2.putText(image, text, (4, 16 * (line + 1)), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
        return self.save_image(filename, image)

    def save_data(self, filename: str, data: Any) -> str:
        """A dict of arrays as ``.npz``, anything else as ``.npy``."""
        data = to_numpy(data)
        suffix = ".npz" if isinstance(data, dict) else ".npy"
        path = self.get_save_path(filename if filename.endswith(suffix) else filename + suffix)
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            if isinstance(data, dict):
                np.savez(file, **data)
            else:
                np.save(file, data)
        return path

    def save_json(self, filename: str, payload: Any) -> str:
        """JSON with four spaces."""
        path = self.get_save_path(filename)
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(payload, indent=4))
        return path

    def save_img_sequence(
        self,
        filename: str,
        img_dir: str,
        matcher: str,
        save_format: str = "mp4",
        fps: int = 30,
        name: str | None = None,
        step: int | None = None,
    ) -> str:
        """A video of the images in ``img_dir`` (below the save folder) whose name matches, by their number.

        Raises:
            InputError: no image matches.
        """
        if save_format not in ("mp4", "gif"):
            raise ValueError(f"Unknown video format '{save_format}': use 'mp4' or 'gif'.")
        if not filename.endswith(f".{save_format}"):
            filename += f".{save_format}"
        pattern, folder = re.compile(matcher), Path(self.get_save_dir()) / img_dir
        names = [p.name for p in folder.iterdir() if pattern.search(p.name)] if folder.is_dir() else []
        names.sort(key=lambda n: int(re.search(pattern, n).group(1)))  # type: ignore[union-attr]
        if not names:
            raise InputError(f"No image in {folder} matches {matcher}, so {filename} cannot be made.")
        frames = np.stack([np.asarray(imageio.imread(folder / n))[..., :3] for n in names])
        path = self.get_save_path(filename)
        (save_gif if save_format == "gif" else save_mp4)(path, frames, fps)
        return path

    def save_mesh(self, filename: str, v_pos: Any, t_pos_idx: Any, v_tex: Any = None, t_tex_idx: Any = None) -> str:
        """An OBJ of vertices ``[N, 3]``, triangles ``[T, 3]`` and texture coordinates ``[M, 2]``, ``[T, 3]``."""
        v_pos, t_pos_idx = to_numpy(v_pos), to_numpy(t_pos_idx) + 1
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in v_pos]
        if v_tex is None:
            lines += [f"f {a} {b} {c}" for a, b, c in t_pos_idx]
        else:
            lines += [f"vt {u:.9g} {1 - v:.9g}" for u, v in to_numpy(v_tex)]
            pairs = zip(t_pos_idx, to_numpy(t_tex_idx) + 1, strict=True)
            lines += ["f " + " ".join(f"{p}/{t}" for p, t in zip(ps, ts, strict=True)) for ps, ts in pairs]
        path = self.get_save_path(filename)
        with atomic_file(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n")
        return path


def _hwc(img: Any, data_format: str) -> np.ndarray:
    if data_format not in ("HWC", "CHW"):
        raise ValueError(f"Unknown data format '{data_format}': use 'HWC' or 'CHW'.")
    image = to_numpy(img)
    return image.transpose(1, 2, 0) if data_format == "CHW" else image
