"""ARAP: the reference method's numbers, and what the energy means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from animate3d.motion import arap, rigid_kernels
from animate3d.motion.arap import (
    arap_energy,
    best_rotations,
    connected_table,
    draw_sample,
    knn_graph,
    neighbour_table,
    random_edge_neighbours,
)
from animate3d.rotations import quaternion_to_matrix
from benchmarks import plain_motion


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


def test_only_a_vertex_that_did_not_move_at_all_keeps_the_identity(recorded, settings) -> None:
    """Frame 1 of the recorded case repeats frame 0, frame 2 mirrors it in z.

    The original takes any unchanged coordinate for an unmoved vertex, and so scores the mirror image with the
    identity; the best rotation fits it better.
    """
    nodes = recorded["degenerate.nodes"]
    neighbours, valid = knn_graph(nodes[0], settings["degenerate"]["K"], 1e9)
    sample = recorded["degenerate.sample_idx"]
    assert arap_energy(nodes[:2], neighbours, valid, sample) == 0
    energy = arap_energy(nodes, neighbours, valid, sample)
    assert 0 < energy < recorded["degenerate.error"]


def turned(points: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """A rigid motion of the points, frame 0 at rest, and its rotations."""
    rotations = quaternion_to_matrix(torch.randn(frames, 4, dtype=points.dtype))
    rotations[0] = torch.eye(3)
    shift = torch.randn(frames, 1, 3, dtype=points.dtype)
    shift[0] = 0
    return points @ rotations.mT + shift, rotations


@pytest.mark.parametrize("compiled", [True, False])
def test_a_rigid_motion_costs_nothing(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arap, "_compiled", lambda positions, weights: compiled)
    points = torch.randn(40, 3, dtype=torch.float64)
    positions, _ = turned(points, 5)
    neighbours, valid = knn_graph(points, 6, 0.8)
    assert arap_energy(positions, neighbours, valid) < 1e-20


def test_known_rotations_are_recovered() -> None:
    rest = torch.randn(5, 7, 3, dtype=torch.float64)
    rotations = quaternion_to_matrix(torch.randn(5, 4, dtype=torch.float64))
    torch.testing.assert_close(best_rotations(rest, rest @ rotations.mT, torch.rand(5, 7).double() + 0.1), rotations)


DEGENERATE = {
    "generic": torch.randn(3, 3, generator=torch.Generator().manual_seed(1)),
    "reflection": torch.diag(torch.tensor([1.0, 2.0, -3.0])),
    "plane": torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 0.0], [0.0, 0.0, 0.0]]),
    "line": torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.0, -2.0])),
    "equal": torch.eye(3),
    "half turn": torch.diag(torch.tensor([-1.0, -1.0, 1.0])),
    "tiny": 1e-9 * torch.randn(3, 3, generator=torch.Generator().manual_seed(2)),
    "zero": torch.zeros(3, 3),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_the_compiled_rotation_is_a_best_proper_rotation(name: str) -> None:
    covariance = DEGENERATE[name].double().numpy()
    rotation = np.empty((3, 3))
    rigid_kernels.best_rotation(covariance.copy(), np.empty((3, 3)), rotation)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    u, s, vh = np.linalg.svd(covariance)
    best = s[0] + s[1] + s[2] * np.sign(np.linalg.det(u) * np.linalg.det(vh))
    assert np.trace(rotation @ covariance) == pytest.approx(best, abs=1e-12 * s[0])
    quick = np.empty((3, 3))
    told = rigid_kernels.quick_rotation(*covariance.ravel(), quick)
    assert told == (name not in ("line", "zero"))
    if told:
        np.testing.assert_allclose(quick, rotation, atol=1e-8)


@pytest.mark.parametrize("sampled", [False, True])
def test_compiled_loops_equal_autograd_and_the_plain_loop(sampled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    positions = torch.randn(4, 30, 3, dtype=torch.float64, requires_grad=True)
    neighbours, valid = knn_graph(positions[0], 6, 1.0)
    sample = torch.randint(30, (50,)) if sampled else None
    everything = torch.arange(30) if sample is None else sample
    results = []
    for compiled in (True, False):
        monkeypatch.setattr(arap, "_compiled", lambda p, w, compiled=compiled: compiled)
        energy = arap_energy(positions, neighbours, valid, sample)
        results.append((energy, torch.autograd.grad(energy, positions)[0]))
    energy = plain_motion.arap(positions, neighbours, valid, everything)
    results.append((energy, torch.autograd.grad(energy, positions)[0]))
    for value, gradient in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_the_gradient_is_that_of_the_energy_although_none_flows_through_the_rotations() -> None:
    """At the best rotation the energy does not change with it to first order."""
    rest = torch.randn(8, 3, dtype=torch.float64)
    neighbours, valid = knn_graph(rest, 5, 2.0)
    weights = valid * torch.rand(8, 5, dtype=torch.float64)
    positions = (rest + 0.3 * torch.randn(3, 8, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: arap_energy(p, neighbours, weights), (positions,))


def test_a_weight_of_two_counts_an_edge_twice() -> None:
    positions = torch.randn(3, 12, 3, dtype=torch.float64)
    neighbours, _ = knn_graph(positions[0], 4, 9.0)
    doubled = torch.cat([neighbours, neighbours[:, :1]], dim=1)
    weights = torch.ones(12, 4, dtype=torch.float64)
    weights[:, 0] = 2
    torch.testing.assert_close(
        arap_energy(positions, neighbours, weights),
        arap_energy(positions, doubled, torch.ones(12, 5, dtype=torch.bool)),
    )


def test_isolated_vertices_and_a_single_frame_cost_nothing() -> None:
    positions = torch.randn(3, 5, 3, requires_grad=True)
    table, valid = neighbour_table(torch.tensor([[0, 1], [1, 2]]), 5)
    assert valid.sum(dim=1).tolist() == [1, 2, 1, 0, 0]
    energy = arap_energy(positions, table, valid, torch.tensor([3, 4, 3]))
    energy.backward()
    assert energy == 0
    assert not positions.grad.any()
    assert arap_energy(positions[:1], table, valid) == 0
    nothing, none_valid = neighbour_table(torch.empty(0, 2, dtype=torch.long), 5)
    assert arap_energy(positions, *random_edge_neighbours(nothing, none_valid, 3)) == 0


def test_all_mesh_edges_are_in_the_table() -> None:
    edges = torch.tensor([[0, 1], [0, 2], [2, 3]])
    table, valid = neighbour_table(edges, 4)
    assert [set(table[i][valid[i]].tolist()) for i in range(4)] == [{1, 2}, {0}, {0, 3}, {2}]


def test_random_neighbours_are_distinct_valid_and_repeatable() -> None:
    points = torch.randn(50, 3)
    neighbours, valid = knn_graph(points, 8, 0.5)
    draws = [
        random_edge_neighbours(neighbours, valid, 5, generator=torch.Generator().manual_seed(seed))
        for seed in (3, 3, 4)
    ]
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[2][0])
    for i, (drawn, kept) in enumerate(zip(*draws[0], strict=True)):
        chosen = drawn[kept].tolist()
        assert len(chosen) == len(set(chosen)) == min(5, int(valid[i].sum()))
        assert set(chosen) <= set(neighbours[i][valid[i]].tolist())


def test_samples_are_drawn_only_when_there_are_more_vertices_than_asked_for() -> None:
    device = torch.device("cpu")
    assert draw_sample(512, 512, device=device) is None
    drawn = draw_sample(513, 512, device=device, generator=torch.Generator().manual_seed(0))
    assert drawn is not None
    assert len(drawn) == 512
    assert int(drawn.max()) < 513


def test_coincident_and_few_points_have_neighbours_other_than_themselves() -> None:
    points = torch.zeros(6, 3)
    points[3:] += 1
    neighbours, valid = knn_graph(points, 3, 1e-3)
    assert not (neighbours == torch.arange(6)[:, None]).any()
    assert valid.all()
    neighbours, _ = knn_graph(points[:2], 5, 1.0)
    assert neighbours.tolist() == [[1], [0]]


def test_the_radius_drops_all_but_three_neighbours() -> None:
    points = torch.arange(10.0)[:, None] * torch.tensor([1.0, 0, 0])
    _, valid = knn_graph(points, 6, 0.5)
    assert valid.sum(dim=1).tolist() == [3] * 10
