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


def direct(pairs: np.ndarray, own: np.ndarray, shared: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution ``[n, 3]`` of the system of blocks, by numpy."""
    n, (i, j) = len(own), pairs.T
    whole = np.zeros((n, 3, n, 3))
    whole[np.arange(n), :, np.arange(n)] = own
    whole[i, :, j] = whole[j, :, i] = shared
    return np.linalg.solve(whole.reshape(3 * n, 3 * n), right.ravel()).reshape(n, 3)


@pytest.mark.parametrize(("n", "seed"), [(4, 0), (30, 1), (120, 2)])
def test_every_matrix_of_a_pattern_is_solved(n: int, seed: int) -> None:
    pairs = graph(n, seed)
    pattern = find_pattern(pairs, n)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes = np.tile(turn, (n, 1, 1))
    for _ in range(2):
        values = -rng.uniform(0.1, 1.0, (len(pairs), 3))  # along each axis
        diagonal = np.stack([np.bincount(pairs.ravel(), np.repeat(-v, 2), n) for v in values.T], axis=1)
        diagonal += rng.uniform(0.1, 1.0, (n, 3))
        own, shared = (np.einsum("xi,nx,xj->nij", turn, part, turn) for part in (diagonal, values))
        right = rng.normal(size=(n, 3))
        found, work = np.empty_like(right), np.empty_like(right)
        solve(right, *pattern.solved_by, *factorise(pattern, pairs, own, shared, axes), work, found)
        np.testing.assert_allclose(found, direct(pairs, own, shared, right), atol=1e-10)


@pytest.mark.parametrize("exact", [False, True])
def test_conjugate_gradients_come_closer_with_every_step(exact: bool) -> None:
    n, rng = 40, np.random.default_rng(3)
    pairs = graph(n, 3)
    weights = rng.uniform(0.1, 1.0, len(pairs))
    stiff = np.bincount(pairs.ravel(), np.repeat(weights, 2), n) + 0.1
    own, shared = stiff[:, None, None] * np.eye(3), -weights[:, None, None] * np.eye(3)
    normal = rng.normal(size=3) if exact else rng.normal(size=(n, 3))
    own += normal[..., :, None] * normal[..., None, :]  # joins coordinates, unless the first axis lies along it
    axes = np.tile(np.linalg.qr(np.column_stack([normal, np.eye(3)[:, :2]]))[0].T if exact else np.eye(3), (n, 1, 1))
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    starts = np.searchsorted(ends[order, 0], np.arange(n + 1))
    links = np.tile(np.arange(len(pairs)), 2)[order]
    right = rng.normal(size=(n, 3))
    truth = direct(pairs, own, shared, right)
    pattern = find_pattern(pairs, n)
    factor = factorise(pattern, pairs, own, shared, axes)
    errors = []
    for steps in (0, 1, 4, 40):
        found = np.zeros((n, 3))
        system = (own, shared, starts, np.ascontiguousarray(ends[order, 1]), links)
        conjugate_gradients(found, right, *system, *pattern.solved_by, *factor, steps, 0.0 if steps < 40 else 1e-12)
        errors.append(np.abs(found - truth).max())
    assert errors[2] < 0.3 * errors[0] and errors[3] < 1e-8
    assert (errors[1] < 1e-10) == exact
