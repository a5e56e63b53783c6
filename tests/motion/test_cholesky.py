"""Factors of matrices with the same places, against numpy's solver."""

from __future__ import annotations

import numpy as np
import pytest

from animate3d.motion.cholesky import conjugate_gradients, factorise, find_pattern, solve


def graph(n: int, seed: int) -> np.ndarray:
    """Random pairs, each once; some unknowns have none."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, n - 2, (2 * n, 2))
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return rng.permutation(np.unique(pairs, axis=0))


@pytest.mark.parametrize(("n", "seed"), [(4, 0), (30, 1), (120, 2)])
def test_every_matrix_of_a_pattern_is_solved(n: int, seed: int) -> None:
    pairs = graph(n, seed)
    pattern = find_pattern(pairs, n)
    rng = np.random.default_rng(seed)
    for _ in range(2):
        values = -rng.uniform(0.1, 1.0, len(pairs))
        diagonal = np.bincount(pairs.ravel(), np.repeat(-values, 2), n) + rng.uniform(0.1, 1.0, n)
        matrix = np.diag(diagonal)
        matrix[pairs[:, 0], pairs[:, 1]] = matrix[pairs[:, 1], pairs[:, 0]] = values
        right = rng.normal(size=(n, 3))
        found, work = np.empty_like(right), np.empty_like(right)
        solve(right, *pattern.solved_by, *factorise(pattern, diagonal, values), work, found)
        np.testing.assert_allclose(found, np.linalg.solve(matrix, right), atol=1e-10)


def test_conjugate_gradients_come_closer_with_every_step() -> None:
    n, rng = 40, np.random.default_rng(3)
    pairs = graph(n, 3)
    weights = rng.uniform(0.1, 1.0, len(pairs))
    stiff = np.bincount(pairs.ravel(), np.repeat(weights, 2), n) + 0.1
    own, shared = stiff[:, None, None] * np.eye(3), -weights[:, None, None] * np.eye(3)
    normal = rng.normal(size=(n, 3))
    own += normal[:, :, None] * normal[:, None, :]  # not in the preconditioner
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    starts = np.searchsorted(ends[order, 0], np.arange(n + 1))
    links = np.tile(np.arange(len(pairs)), 2)[order]
    whole = np.zeros((n, 3, n, 3))
    whole[np.arange(n), :, np.arange(n)] = own
    whole[ends[:, 0], :, ends[:, 1]] = shared[np.tile(np.arange(len(pairs)), 2)]
    right = rng.normal(size=(n, 3))
    truth = np.linalg.solve(whole.reshape(3 * n, 3 * n), right.ravel()).reshape(n, 3)
    pattern = find_pattern(pairs, n)
    factor = factorise(pattern, stiff, -weights)
    errors = []
    for steps in (0, 4, 40):
        found = np.zeros((n, 3))
        system = (own, shared, starts, np.ascontiguousarray(ends[order, 1]), links)
        conjugate_gradients(found, right, *system, *pattern.solved_by, *factor, steps, 0.0)
        errors.append(np.abs(found - truth).max())
    assert errors[1] < 0.3 * errors[0] and errors[2] < 1e-8
