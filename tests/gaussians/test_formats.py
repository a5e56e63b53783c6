"""Files of Gaussians besides the plain ply: what was written is read, broken files end in one sentence."""

from __future__ import annotations

import gzip
import struct
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement
from splat_files import some, write_compressed_ply, write_splat, write_spz

from animate3d.errors import InputError
from animate3d.gaussians import Gaussians, holds_gaussians, load_gaussian_rows, load_gaussians, save_ply, sh
from animate3d.meshes import load_mesh

pytest.importorskip("zstandard")


def write_rgb_ply(model: Gaussians, path: Path, kind: str = "u1", largest: float = 255) -> Path:
    save_ply(model, path)
    rows = PlyData.read(str(path), mmap=False)["vertex"].data
    names = [name for name in rows.dtype.names if not name.startswith("f_")]
    colored = np.zeros(
        len(rows), [(name, "f4") for name in names] + [(name, kind) for name in ("red", "green", "blue")]
    )
    for name in names:
        colored[name] = rows[name]
    values = model.colors.numpy() * largest
    for k, name in enumerate(("red", "green", "blue")):
        colored[name] = values[:, k] if kind == "f4" else np.round(values[:, k])
    PlyData([PlyElement.describe(colored, "vertex")]).write(str(path))
    return path


WRITERS: dict[str, tuple[Callable[[Gaussians, Path], Path], str]] = {
    "plain ply": (lambda model, path: save_ply(model, path) or path, ".ply"),
    "rgb ply": (write_rgb_ply, ".ply"),
    "compressed ply": (write_compressed_ply, ".ply"),
    "splat": (write_splat, ".splat"),
    "spz 2": (lambda model, path: write_spz(model, path, 2), ".spz"),
    "spz 3": (lambda model, path: write_spz(model, path, 3), ".spz"),
    "spz 4": (lambda model, path: write_spz(model, path, 4), ".spz"),
}
FLAT = ("rgb ply", "splat")  # formats of degree 0


def assert_alike(
    read: Gaussians, model: Gaussians, *, band: float = 0.02, scale: float = 0.04, turn: float = 0.999
) -> None:
    """Equal within the steps of the quantised formats."""
    torch.testing.assert_close(read.means, model.means, atol=2e-3, rtol=0)
    torch.testing.assert_close(read.opacities, model.opacities, atol=3e-3, rtol=0)
    torch.testing.assert_close(sh.to_rgb(read.sh[:, 0]), sh.to_rgb(model.sh[:, 0]), atol=5e-3, rtol=0)
    torch.testing.assert_close(read.log_scales, model.log_scales, atol=scale, rtol=0)
    assert read.sh.shape == model.sh.shape
    torch.testing.assert_close(read.sh[:, 1:], model.sh[:, 1:], atol=0.02, rtol=0)
    quats = torch.nn.functional.normalize(read.quats, dim=-1)
    assert float((quats * model.quats).sum(dim=-1).abs().min()) > turn


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_every_format_is_known_and_read(tmp_path: Path, name: str, degree: int) -> None:
    write, suffix = WRITERS[name]
    model = some(600, 0 if name in FLAT else degree)
    if name in FLAT:  # colours in bytes
        model = Gaussians(model.means, model.sh.clamp(-1.7, 1.7), model.opacity_logits, model.log_scales, model.quats)
    path = write(model, tmp_path / f"model{suffix}")
    assert holds_gaussians(path)
    read, kept = load_gaussian_rows(path)
    assert kept.all() and len(kept) == 600
    # 8 bits for -4..4 in the compressed ply
    assert_alike(
        read, model, band=0.02, scale=0.04 if name.startswith("spz") else 0.01, turn=0.99 if name == "spz 2" else 0.999
    )


def test_a_compressed_ply_without_ranges_of_colours_is_read(tmp_path: Path) -> None:
    model = some(300)
    assert_alike(load_gaussians(write_compressed_ply(model, tmp_path / "a.ply", with_colors=False)), model)


@pytest.mark.parametrize(("kind", "largest"), [("u1", 255), ("u2", 65535), ("f4", 1), ("f4", 255)])
def test_colours_of_every_type_are_read(tmp_path: Path, kind: str, largest: float) -> None:
    model = some(50)
    assert_alike(load_gaussians(write_rgb_ply(model, tmp_path / "a.ply", kind, largest)), model)


def test_the_colour_of_a_byte_is_the_one_of_the_formula(tmp_path: Path) -> None:
    path = write_rgb_ply(some(1), tmp_path / "a.ply")
    rows = PlyData.read(str(path), mmap=False)
    rows["vertex"]["red"][0] = 200
    rows.write(str(path))
    assert float(load_gaussians(path).sh[0, 0, 0]) == pytest.approx((200 / 255 - 0.5) / 0.28209479177387814)


def test_positions_of_spz_are_signed_and_follow_the_bits_after_the_point(tmp_path: Path) -> None:
    means = torch.tensor([[-1.5, 2.25, -0.125]])
    model = Gaussians(means, torch.zeros(1, 1, 3), torch.zeros(1), torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]))
    for fraction in (3, 12, 20):
        read = load_gaussians(write_spz(model, tmp_path / "a.spz", 3, fraction))
        assert read.means.tolist() == means.tolist()


def test_files_that_cannot_be_used_say_what_to_do(tmp_path: Path) -> None:
    for suffix in ("ksplat", "sog"):
        (tmp_path / f"a.{suffix}").write_bytes(b"x" * 5000)
        assert holds_gaussians(tmp_path / f"a.{suffix}")
        with pytest.raises(InputError, match=rf"{suffix} files are not read; open it in SuperSplat"):
            load_gaussians(tmp_path / f"a.{suffix}")
    save_ply(some(5), tmp_path / "a.ply")
    rows = PlyData.read(str(tmp_path / "a.ply"), mmap=False)["vertex"].data

    def keep(path: Path, wanted: Callable[[str], bool]) -> Path:
        names = [name for name in rows.dtype.names if wanted(name)]
        kept = np.zeros(len(rows), [(name, "f4") for name in names])
        for name in names:
            kept[name] = rows[name]
        PlyData([PlyElement.describe(kept, "vertex")]).write(str(path))
        return path

    flat = keep(tmp_path / "flat.ply", lambda name: name != "scale_2")
    assert holds_gaussians(flat)
    with pytest.raises(InputError, match=r"flat\.ply holds 2D Gaussians .* export the mesh"):
        load_gaussians(flat)
    points = keep(tmp_path / "points.ply", lambda name: name in ("x", "y", "z"))
    for function in (holds_gaussians, load_gaussians):
        with pytest.raises(InputError, match=r"points\.ply is a point cloud.*reconstruct a mesh"):
            function(points)
    assert not holds_gaussians(tmp_path / "none.glb")


def test_gaussians_and_meshes_that_are_taken_for_each_other_say_so(tmp_path: Path) -> None:
    corners = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], dtype=[(axis, "f4") for axis in "xyz"])
    faces = np.array([([0, 1, 2],)], dtype=[("vertex_indices", "i4", (3,))])
    PlyData([PlyElement.describe(corners, "vertex"), PlyElement.describe(faces, "face")]).write(str(tmp_path / "m.ply"))
    with pytest.raises(InputError, match=r"m\.ply is a mesh, .*load_mesh.*`animate3d animate .*m\.ply`"):
        load_gaussians(tmp_path / "m.ply")
    (tmp_path / "m.obj").write_text("v 0 0 0\n")
    with pytest.raises(InputError, match=r"m\.obj is not a file of Gaussians \(\.ply, \.splat, \.spz\)\."):
        load_gaussians(tmp_path / "m.obj")
    save_ply(some(5), tmp_path / "g.ply")
    for path in (tmp_path / "g.ply", write_spz(some(5), tmp_path / "g.spz", 3, 12)):
        with pytest.raises(InputError, match=rf"holds Gaussians, not a mesh; .*`animate3d animate .*{path.name}`"):
            load_mesh(path)


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_spz(some(3), tmp_path / "a.spz", 4)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=r"version 4 needs the package `zstandard`.*animate3d\[splats\]"):
        load_gaussians(path)


def test_promises_that_the_file_cannot_keep_allocate_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(
        b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\n"
        + b"".join(b"property float %s\n" % name for name in (b"x", b"opacity", b"scale_0", b"rot_0"))
        + b"end_header\n"
    )
    header = struct.pack("<IIIBBBB", 0x5053474E, 3, 9_000_000, 3, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + bytes(100)))
    (tmp_path / "b.spz").write_bytes(gzip.compress(header[:8] + struct.pack("<I", 4_000_000_000) + header[12:]))
    for name in ("a.ply", "a.spz", "b.spz"):
        with pytest.raises(InputError, match=r"truncated|1 to 10000000 can be read"):
            load_gaussians(tmp_path / name)


def mutate_and_load(path: Path, content: bytearray, data: st.DataObject) -> None:
    """Change bytes of a valid file, cut it, and expect Gaussians or one sentence, soon."""
    packed = path.suffix == ".spz" and content[:2] == b"\x1f\x8b"
    inner = bytearray(gzip.decompress(content)) if packed and data.draw(st.booleans()) else content
    # The headers are where the damage is interesting: half of the changes go there.
    for _ in range(data.draw(st.integers(0, 4))):
        within = len(inner) - 1 if data.draw(st.booleans()) else min(len(inner) - 1, 600)
        at = data.draw(st.integers(0, within))
        inner[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not inner:
            inner += b"0"
    inner = inner[: data.draw(st.integers(1, len(inner)))] if data.draw(st.booleans()) else inner
    path.write_bytes(gzip.compress(bytes(inner)) if inner is not content and packed else bytes(inner))
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            read = load_gaussians(path)
        except InputError as error:
            assert path.name in str(error) and "\n" not in str(error).strip()
        else:
            assert len(read) and all(torch.isfinite(part).all() for part in vars(read).values())
    assert time.process_time() - start < 5


def fuzzed(name: str, folder: Path, examples: int) -> None:
    write, suffix = WRITERS[name]
    path = folder / f"a{suffix}"
    content = write(some(5, 0 if name in FLAT else 1), path).read_bytes()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        mutate_and_load(path, bytearray(content), data)

    check()


@pytest.mark.parametrize("name", WRITERS)
def test_changed_bytes_are_gaussians_or_one_sentence(tmp_path: Path, name: str) -> None:
    fuzzed(name, tmp_path, 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_thousand_changed_files_are_gaussians_or_one_sentence(tmp_path: Path, name: str) -> None:
    fuzzed(name, tmp_path, 1000)
