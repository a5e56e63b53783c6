"""ARAP: the reference method's numbers, and what the energy means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from animate3d.motion.arap import arap_energy, connected_table, knn_graph, random_edge_neighbours


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "arap" / "cases.safetensors")


@pytest.fixture(scope="module")
def settings(golden: Path) -> dict:
    return json.loads((golden / "arap" / "cases.json").read_text())


def edge_lists(neighbours: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    ii, _ = valid.nonzero().T
    return ii, neighbours[valid]


def check_energy(recorded: dict[str, Tensor], case: str, neighbours: Tensor, valid: Tensor) -> None:
    nodes = recorded[f"{case}.nodes"].clone().requires_grad_()
    energy = arap_energy(nodes, neighbours, valid, recorded[f"{case}.sample_idx"])
    energy.backward()
    torch.testing.assert_close(energy, recorded[f"{case}.error"], rtol=1e-4, atol=1e-6)
    expected = recorded[f"{case}.grad_nodes"]
    assert (nodes.grad - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("case", ["k3", "k6_r", "k10_all", "detflip"])
def test_nearest_neighbour_energy_matches_the_reference(recorded, settings, case) -> None:
    neighbours, valid = knn_graph(recorded[f"{case}.nodes"][0], settings[case]["K"], settings[case].get("radius", 1e9))
    ii, jj = edge_lists(neighbours, valid)
    assert torch.equal(ii, recorded[f"{case}.ii"])
    assert torch.equal(jj, recorded[f"{case}.jj"])
    check_energy(recorded, case, neighbours, valid)


@pytest.mark.parametrize("case", ["mesh_k3", "mesh_k8"])
def test_random_mesh_edges_match_the_reference(recorded, settings, golden, case) -> None:
    connected = json.loads((golden / "arap" / "connected_vertices.json").read_text())
    table, valid = connected_table(connected, settings[case]["n"])
    neighbours, kept = random_edge_neighbours(table, valid, settings[case]["K"], draws=recorded[f"{case}.rand"])
    ii, jj = edge_lists(neighbours, kept)
    assert torch.equal(ii, recorded[f"{case}.ii"])
    assert torch.equal(jj, recorded[f"{case}.jj"])
    check_energy(recorded, case, neighbours, kept)
