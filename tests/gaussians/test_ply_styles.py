"""Plys as the programs write them that make Gaussian models, and telling them from ply meshes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement
from small_asset import finned_tube

from animate3d.gaussians import Gaussians, is_gaussian_ply, load_ply, load_ply_rows, save_ply

MEANS, NORMALS, DC = ["x", "y", "z"], ["nx", "ny", "nz"], ["f_dc_0", "f_dc_1", "f_dc_2"]
SCALES, QUATS = ["scale_0", "scale_1", "scale_2"], ["rot_0", "rot_1", "rot_2", "rot_3"]


def rest(degree: int) -> list[str]:
    return [f"f_rest_{k}" for k in range(3 * (degree + 1) ** 2 - 3)]


@dataclass(frozen=True)
class Style:
    """How a program lays out its files."""

    names: list[str]
    dtype: str = "f4"
    order: str = "<"
    text: bool = False
    comments: list[str] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    beside: bool = False
    """Further elements follow the vertices."""


STYLES = {
    "inria": Style([*MEANS, *NORMALS, *DC, *rest(3), "opacity", *SCALES, *QUATS]),
    "inria degree 2": Style([*MEANS, *NORMALS, *DC, *rest(2), "opacity", *SCALES, *QUATS]),
    "gsplat degree 1": Style([*MEANS, *DC, *rest(1), "opacity", *SCALES, *QUATS]),
    "lgm": Style([*MEANS, *DC, "opacity", *SCALES, *QUATS]),
    "grm": Style([*MEANS, *NORMALS, *DC, "opacity", *SCALES, *QUATS]),
    "trellis": Style([*MEANS, *NORMALS, *DC, "opacity", *SCALES, *QUATS], comments=["generated"]),
    "doubles": Style([*MEANS, *DC, "opacity", *SCALES, *QUATS], dtype="f8"),
    "big endian": Style([*MEANS, *NORMALS, *DC, *rest(3), "opacity", *SCALES, *QUATS], order=">"),
    "text": Style([*MEANS, *DC, *rest(1), "opacity", *SCALES, *QUATS], text=True, comments=["a comment", ""]),
    "another order": Style([*QUATS, *rest(2)[::-1], *SCALES, "opacity", *DC[::-1], *MEANS]),
    "extra properties": Style(
        [*MEANS, *DC, "opacity", *SCALES, *QUATS], extra={"red": "u1", "confidence": "f4", "id": "i4"}
    ),
    "further elements": Style([*MEANS, *NORMALS, *DC, *rest(1), "opacity", *SCALES, *QUATS], beside=True),
}


def written(path: Path, style: Style, n: int = 50) -> dict[str, np.ndarray]:
    """Write a file in a style; returns its columns."""
    generator = np.random.default_rng(len(style.names))
    columns = {name: generator.normal(size=n).astype(style.dtype) for name in style.names}
    for name in NORMALS:
        if name in columns:
            columns[name][:] = 0
    columns |= {name: generator.integers(0, 100, n).astype(kind) for name, kind in style.extra.items()}
    rows = np.empty(n, dtype=[(name, values.dtype.str) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    elements = [PlyElement.describe(rows, "vertex")]
    if style.beside:
        camera = np.array([(0.5, 1)], dtype=[("focal", "f4"), ("number", "i4")])
        elements.append(PlyElement.describe(camera, "camera"))
    order = "=" if style.text else style.order
    PlyData(elements, text=style.text, byte_order=order, comments=style.comments).write(str(path))
    return columns


@pytest.mark.parametrize("name", STYLES)
def test_every_style_is_read_and_known_as_gaussians(tmp_path: Path, name: str) -> None:
    style, path = STYLES[name], tmp_path / "model.ply"
    columns = written(path, style)
    assert is_gaussian_ply(path)
    model = load_ply(path)
    count = sum(column.startswith("f_rest_") for column in style.names)
    assert (3 * (model.sh_degree + 1) ** 2 - 3, len(model)) == (count, 50)
    per_channel = count // 3
    expected = {"means": MEANS, "opacity_logits": ["opacity"], "log_scales": SCALES, "quats": QUATS}
    for attribute, names in expected.items():
        wanted = np.stack([columns[column] for column in names], axis=1).astype(np.float32)
        np.testing.assert_allclose(getattr(model, attribute).numpy().reshape(50, -1), wanted, rtol=1e-5, atol=1e-6)
    for channel in range(3):
        np.testing.assert_allclose(model.sh[:, 0, channel], columns[f"f_dc_{channel}"], rtol=1e-5, atol=1e-6)
        for k in range(per_channel):  # all of red first, then green, then blue
            wanted = columns[f"f_rest_{channel * per_channel + k}"]
            np.testing.assert_allclose(model.sh[:, 1 + k, channel], wanted, rtol=1e-5, atol=1e-6)


def test_what_is_left_of_a_file_with_broken_rows_keeps_its_order(tmp_path: Path) -> None:
    path = tmp_path / "model.ply"
    columns = written(path, STYLES["inria"], n=9)
    data = PlyData.read(str(path))
    data["vertex"]["x"][2], data["vertex"]["opacity"][5], data["vertex"]["f_rest_7"][8] = np.nan, np.inf, -np.inf
    for name in QUATS:
        data["vertex"][name][0] = 0
    data.write(str(tmp_path / "broken.ply"))  # plys are mapped, not read: not over the same file
    with pytest.warns(UserWarning, match="4 of 9 Gaussians"):
        model, kept = load_ply_rows(tmp_path / "broken.ply")
    assert np.flatnonzero(kept).tolist() == [1, 3, 4, 6, 7]
    np.testing.assert_array_equal(model.means[:, 1], columns["y"][kept])


def test_ply_meshes_points_and_other_files_are_no_gaussians(tmp_path: Path) -> None:
    mesh = finned_tube()
    corners = np.array([(c,) for c in mesh.triangles()[0].tolist()], dtype=[("vertex_indices", "i4", (3,))])
    points = np.array([tuple(v) for v in mesh.vertices], dtype=[(name, "f4") for name in MEANS])
    vertices = PlyElement.describe(points, "vertex")
    PlyData([vertices, PlyElement.describe(corners, "face")]).write(str(tmp_path / "mesh.ply"))
    PlyData([vertices]).write(str(tmp_path / "points.ply"))
    written(tmp_path / "model.ply", STYLES["lgm"])
    (tmp_path / "model.ply").rename(tmp_path / "model.obj")
    (tmp_path / "noise.ply").write_bytes(bytes(range(256)) * 400)
    (tmp_path / "empty.ply").touch()
    for name in ("mesh.ply", "points.ply", "model.obj", "noise.ply", "empty.ply", "none.ply", "."):
        assert not is_gaussian_ply(tmp_path / name), name


@pytest.mark.slow
def test_half_a_million_gaussians_of_degree_3_are_read_within_seconds(tmp_path: Path) -> None:
    n = 500_000
    parts = [torch.randn(shape) for shape in ((n, 3), (n, 16, 3), (n,), (n, 3), (n, 4))]
    save_ply(Gaussians(*parts), tmp_path / "big.ply")
    start = time.perf_counter()
    model = load_ply(tmp_path / "big.ply")
    assert len(model) == n and time.perf_counter() - start < 10  # 1.3 s on an idle core
