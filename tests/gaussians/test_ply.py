"""3DGS ply files: every variant is read, what is written is read again, broken ones end in one sentence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from animate3d.errors import InputError
from animate3d.gaussians import Gaussians, load_ply, save_ply

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
NAMES += [f"rot_{k}" for k in range(4)]


def some(n: int, degree: int, seed: int = 0) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    shapes = [(n, 3), (n, (degree + 1) ** 2, 3), (n,), (n, 3), (n, 4)]
    return Gaussians(*(torch.randn(shape, generator=g) for shape in shapes))


def write(path: Path, table: np.ndarray, names: list[str], *, text: bool = False, order: str = "<") -> Path:
    rows = np.array([tuple(row) for row in table], dtype=[(name, "f4") for name in names])
    PlyData([PlyElement.describe(rows, "vertex")], text=text, byte_order="=" if text else order).write(str(path))
    return path


def equal(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in vars(a))


@QUICK
@given(n=st.integers(1, 20), degree=st.integers(0, 3), seed=st.integers(0, 999))
def test_what_is_written_is_read_again(tmp_path, n, degree, seed):
    gaussians = some(n, degree, seed)
    save_ply(gaussians, tmp_path / "a.ply")
    assert equal(load_ply(tmp_path / "a.ply"), gaussians)


def test_layout_is_that_of_gaussian_splatting(tmp_path):
    gaussians = some(3, 1)
    save_ply(gaussians, tmp_path / "a.ply")
    vertex = PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    rest = [f"f_rest_{k}" for k in range(9)]
    assert [p.name for p in vertex.properties] == [*NAMES[:3], "nx", "ny", "nz", *NAMES[3:6], *rest, *NAMES[6:]]
    assert {p.val_dtype for p in vertex.properties} == {"f4"}
    # channel-major: the three coefficients of red come first
    np.testing.assert_array_equal(vertex["f_rest_1"], gaussians.sh[:, 2, 0])
    np.testing.assert_array_equal(vertex["f_rest_3"], gaussians.sh[:, 1, 1])


@pytest.mark.parametrize(("text", "order"), [(True, "<"), (False, "<"), (False, ">")])
def test_byte_orders_ascii_missing_normals_and_column_order(tmp_path, text, order):
    table = np.random.default_rng(0).normal(size=(5, 14)).astype(np.float32)
    expected = load_ply(write(tmp_path / "a.ply", table, NAMES))
    shuffled = write(tmp_path / "b.ply", table[:, ::-1], NAMES[::-1], text=text, order=order)
    read = load_ply(shuffled)
    for name in vars(expected):
        torch.testing.assert_close(getattr(read, name), getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_finite_are_dropped_with_a_warning(tmp_path):
    table = np.ones((4, 14), dtype=np.float32)
    table[1, 0], table[2, 6] = np.nan, np.inf
    with pytest.warns(UserWarning, match="2 of 4 Gaussians"):
        assert len(load_ply(write(tmp_path / "a.ply", table, NAMES))) == 2
    table[:] = np.nan
    with pytest.raises(InputError, match="finite"):
        load_ply(write(tmp_path / "a.ply", table, NAMES))


def test_log_of_zero_scale_keeps_the_gaussian(golden):
    with pytest.warns(UserWarning, match="log 0"):
        gaussians = load_ply(golden / "ply_transform" / "mesh_textured" / "expected.ply")
    assert len(gaussians) == 64
    assert torch.isfinite(gaussians.log_scales).all()


def test_a_model_too_far_away_for_single_precision_is_refused_with_its_place(tmp_path):
    table = np.random.default_rng(0).normal(size=(200, 14))
    table[:, 7:10] = -4
    table[:, 0] += 1000
    table[0, 1] = 1e9  # a stray
    assert len(load_ply(write(tmp_path / "near.ply", table, NAMES))) == 200
    table[:, 0] += 5e6
    rows = np.array([tuple(row) for row in table], dtype=[(name, "f8") for name in NAMES])
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(tmp_path / "far.ply"))
    with pytest.raises(InputError, match=r"far\.ply.*\(5\.001e\+06 .*too far.*subtract that place"):
        load_ply(tmp_path / "far.ply")


def test_missing_properties_are_all_named(tmp_path):
    table = np.ones((2, 11), dtype=np.float32)
    names = [name for name in NAMES if name not in ("opacity", "rot_2", "f_dc_1")]
    with pytest.raises(InputError, match=r"f_dc_1, opacity, rot_2"):
        load_ply(write(tmp_path / "a.ply", table, names))


def test_an_odd_number_of_bands_is_refused(tmp_path):
    names = [*NAMES, "f_rest_0", "f_rest_1"]
    with pytest.raises(InputError, match="2 properties f_rest"):
        load_ply(write(tmp_path / "a.ply", np.ones((2, 16)), names))


def test_missing_truncated_and_empty_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_ply(tmp_path / "none.ply")
    save_ply(some(5, 0), tmp_path / "a.ply")
    (tmp_path / "a.ply").write_bytes((tmp_path / "a.ply").read_bytes()[:-10])
    with pytest.raises(InputError, match="truncated"):
        load_ply(tmp_path / "a.ply")
    with pytest.raises(InputError, match="no Gaussians"):
        load_ply(write(tmp_path / "b.ply", np.ones((0, 14)), NAMES))
    (tmp_path / "c.ply").write_text("ply\nformat ascii 1.0\nelement face 0\nend_header\n")
    with pytest.raises(InputError, match="no element `vertex`"):
        load_ply(tmp_path / "c.ply")


@settings(QUICK, max_examples=150)
@given(degree=st.integers(0, 1), data=st.data())
def test_corruption_is_valid_gaussians_or_one_sentence(tmp_path, degree, data):
    path = tmp_path / "a.ply"
    save_ply(some(4, degree), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content) + 1))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            gaussians = load_ply(path)
        except InputError as error:
            assert "a.ply" in str(error) and "\n" not in str(error).strip()
        else:
            assert len(gaussians) and all(torch.isfinite(part).all() for part in vars(gaussians).values())
