"""Reading, exporting without motion and reading again; what each format keeps is what docs/export.md says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from round_trip import END, PAGE, START, documented, everything, read_again, replaced, table

from animate3d.meshes import Material, Mesh, Part

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_page_says_what_every_format_keeps():
    pytest.importorskip("bpy")
    assert table() == documented(PAGE.read_text()), "python tests/export/round_trip.py --write"


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    """Triangles in parts with names, materials with numbers, UVs anywhere."""
    count = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.integers(-5, 5))
    place = draw(st.sampled_from([0.0, 1.0, 1e6])) * np.ones(3)
    corners = np.arange(3 * count)
    names = draw(st.lists(st.text("abc Ä皮🐉.:#[]", min_size=1, max_size=9).map(str.strip), min_size=1, max_size=3))
    names = [name or "x" for name in names]
    parts = [Part(f"{index}{name}") for index, name in enumerate(names)]
    materials = [Material(f"{index} m", (*rng.random(3).round(3), 1.0), *rng.random(2).round(3)) for index in range(2)]
    vertices = rng.random((3 * count, 3)) * scale
    return Mesh(
        vertices=vertices,
        corners=corners,
        face_starts=np.arange(count + 1) * 3,
        corner_uvs=(rng.random((3 * count, 2)) * 8 - 4).astype(np.float32) if draw(st.booleans()) else None,
        corner_normals=None,
        face_materials=rng.integers(0, 2, count),
        materials=materials,
        vertex_colors=None,
        up_axis="y",
        source=None,
        parts=parts,
        face_parts=np.sort(rng.integers(0, len(parts), count)),
        origin=place * scale if place.max() > 1 else np.zeros(3),
    )


def same(again: Mesh, mesh: Mesh) -> None:
    """Triangle by triangle: places, texture coordinates, materials and parts."""

    def facts(one: Mesh) -> tuple[np.ndarray, list[tuple[str, str]]]:
        places = one.vertices[one.corners].reshape(-1, 9) / mesh.diagonal()
        places = places + np.tile(one.origin / mesh.diagonal() - mesh.origin / mesh.diagonal(), 3)
        columns = [places]
        if mesh.corner_uvs is not None:
            columns.append(one.corner_uvs.reshape(-1, 6))
        names = [
            (one.materials[material].name, one.parts[part].name)
            for material, part in zip(one.face_materials, one.face_parts, strict=True)
        ]
        return np.concatenate(columns, axis=1), names

    ours, theirs = facts(again), facts(mesh)
    left, right = (np.lexsort(rows[0][:, ::-1].round(4).T) for rows in (ours, theirs))
    np.testing.assert_allclose(ours[0][left], theirs[0][right], atol=2e-4)
    assert [ours[1][k] for k in left] == [theirs[1][k] for k in right]
    for material in mesh.materials:
        found = next((one for one in again.materials if one.name == material.name), None)
        if found is not None:
            np.testing.assert_allclose(found.base_color, material.base_color, atol=2e-3)
            np.testing.assert_allclose(found.metallic, material.metallic, atol=2e-3)


@pytest.mark.parametrize("suffix", ["glb", "usdc", "obj"])
@QUICK
@given(mesh=meshes())
def test_any_mesh_comes_back(tmp_path, suffix, mesh):
    same(read_again(mesh, suffix, tmp_path), mesh)


@pytest.mark.slow
@settings(QUICK, max_examples=15)
@given(mesh=meshes())
def test_any_mesh_comes_back_from_fbx(tmp_path, mesh):
    pytest.importorskip("bpy")
    mesh.origin = np.zeros(3)
    same(read_again(mesh, "fbx", tmp_path), mesh)


def test_the_mesh_of_the_table_has_all_there_is():
    mesh = everything()
    kinds = {kind for material in mesh.materials for kind in material.textures}
    assert kinds == {"diffuse", "metallic", "roughness", "normal", "emissive", "occlusion"}
    assert np.abs(mesh.corner_uvs).max() > 2


def test_only_what_stands_between_the_markers_is_replaced():
    page = f"above\n{START}\nold\n{END}\nold below\n"
    assert replaced(page, "new") == f"above\n{START}\nnew\n{END}\nold below\n"


def test_a_second_copy_of_the_table_is_seen():
    page = PAGE.read_text()
    once = documented(page)
    with pytest.raises(ValueError, match="outside of the markers"):
        documented(page.replace("## Formats", f"## Formats\n\n{once}"))
    with pytest.raises(ValueError, match="one"):
        documented(page + START)
