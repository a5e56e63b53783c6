"""The edge file of mesh animation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from animate3d.errors import InputError
from animate3d.gaussians import edge_lengths, edge_table, load_edges, save_edges
from animate3d.meshes import Mesh, load_mesh

SQUARE = Mesh.from_faces(np.array([[0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 4, 0], [9, 9, 9.0]]), [[0, 1, 2, 3]])


@pytest.mark.parametrize("name", ["mesh_textured", "mesh_vcolor"])
def test_reference_files(golden, tmp_path, name):
    folder = golden / "ply_transform"
    if name == "mesh_textured":
        mesh, expected = load_mesh(folder / name), json.loads((folder / name / "expected_connected.json").read_text())
    else:
        tensors = load_file(folder / "cases.safetensors")
        mesh = Mesh.from_faces(tensors["mesh_vcolor.verts"], tensors["mesh_vcolor.faces"])
        expected = json.loads((folder / "mesh_vcolor_expected_connected.json").read_text())
    save_edges(mesh, tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_text())
    assert written.keys() == expected.keys()
    for vertex, neighbours in expected.items():
        assert written[vertex] == pytest.approx(neighbours, abs=1e-6)


def test_lengths_are_symmetric_and_read_again(tmp_path):
    assert edge_lengths(SQUARE) == {0: {1: 3, 3: 4}, 1: {0: 3, 2: 4}, 2: {1: 4, 3: 3}, 3: {0: 4, 2: 3}}
    save_edges(SQUARE, tmp_path / "a.json")
    assert load_edges(tmp_path / "a.json", 5) == {**edge_lengths(SQUARE), 4: {}}


def test_table_groups_neighbours_by_vertex_in_ascending_order():
    starts, neighbours, lengths = edge_table(SQUARE)
    np.testing.assert_array_equal(starts, [0, 2, 4, 6, 8, 8])
    np.testing.assert_array_equal(neighbours, [1, 3, 0, 2, 1, 3, 0, 2])
    np.testing.assert_array_equal(lengths, [3, 4, 3, 4, 4, 3, 4, 3])


@pytest.mark.parametrize("text", ["[1]", '{"a": {}}', '{"0": 3}', '{"0": {"1": null}}', '{"0": {"1":'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        load_edges(tmp_path / "a.json", 3)


def test_a_file_of_another_mesh_is_refused(tmp_path):
    save_edges(SQUARE, tmp_path / "a.json")
    with pytest.raises(InputError, match="3 vertices: it belongs to another mesh"):
        load_edges(tmp_path / "a.json", 3)
