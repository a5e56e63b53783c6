"""Node positions that meet rays, as rigidly as possible (Sorkine and Alexa 2007): a sparse least-squares problem."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg, splu

from animate3d.motion.template import Array, Ids, Template

_HOLD = 1e-3  # pull towards the start, against the stiffness: what nothing observes stays
_CG_STEPS = 12  # enough with the preconditioner; the turns of rotations and positions do the rest
_CG_TOLERANCE = 1e-5


class Rays(NamedTuple):
    """Points of the surface and the rays of sight on which they were found."""

    triangles: NDArray[np.int32]  # [P]
    barycentrics: Array  # [P, 3]
    origins: Array  # [P, 3]
    directions: Array  # [P, 3] unit
    weights: Array  # [P]


class RigidFit:
    """The solver of one template; everything that depends on the rest shape alone is prepared once."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._n = template.n_nodes
        i, j = template.links.T
        self._edges = template.rest[i] - template.rest[j]
        rows = np.repeat(np.arange(len(i)), 2)
        signs = np.tile([1.0, -1.0], len(i))
        self._incidence = sparse.csr_matrix((signs, (rows, template.links.ravel())), shape=(len(i), self._n))
        self._ends = abs(self._incidence).T.tocsr()
        # Every node has the same say, however many links it has.
        degree = np.bincount(template.links.ravel(), minlength=self._n)
        self._link_weights = 1.0 / degree[i] + 1.0 / degree[j]
        self._laplacian = (self._incidence.T @ sparse.diags(self._link_weights) @ self._incidence).tocsc()

    def solve(self, start: Array, rays: Rays, stiffness: float, turns: int) -> Array:
        """Positions close to ``start``.

        Args:
            start: ``[M, 3]``
            rays: what was seen.
            stiffness: weight of the rigidity of all links together against all rays together.
            turns: alternations of rotations and positions.

        Returns:
            ``[M, 3]``
        """
        n = self._n
        scale = stiffness * max(float(rays.weights.sum()), 1.0) / n
        hold = _HOLD * scale
        data, right, mass = self._ray_equations(rays)
        system = (data + sparse.kron(scale * self._laplacian, np.eye(3)) + hold * sparse.identity(3 * n)).tocsr()
        # A ray holds two of three directions: the preconditioner counts it with a half along every axis.
        factor = splu((scale * self._laplacian + sparse.diags(0.5 * mass + hold)).tocsc())
        preconditioner = LinearOperator(
            (3 * n, 3 * n), matvec=lambda r: factor.solve(r.reshape(n, 3)).ravel(), dtype=np.float64
        )
        positions = start
        for _ in range(turns):
            turned = self._turned_edges(self.rotations(positions))
            full = right + hold * start + scale * (self._incidence.T @ (self._link_weights[:, None] * turned))
            solution, _ = cg(
                system, full.ravel(), x0=positions.ravel(), M=preconditioner, maxiter=_CG_STEPS, rtol=_CG_TOLERANCE
            )
            positions = solution.reshape(n, 3)
        return positions

    def rotations(self, positions: Array) -> Array:
        """The rotation that best explains each node's links: ``[M, 3]`` -> ``[M, 3, 3]``."""
        now = self._incidence @ positions
        outer = self._link_weights[:, None, None] * now[:, :, None] * self._edges[:, None, :]
        covariance = (self._ends @ outer.reshape(-1, 9)).reshape(-1, 3, 3)
        u, _, vt = np.linalg.svd(covariance)
        u[:, :, 2] *= np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)[:, None]
        return u @ vt

    def _turned_edges(self, rotations: Array) -> Array:
        """Rest links turned by the mean rotation of their two ends. ``[E, 3]``"""
        i, j = self._template.links.T
        return 0.5 * np.einsum("eij,ej->ei", rotations[i] + rotations[j], self._edges)

    def _ray_equations(self, rays: Rays) -> tuple[sparse.csr_matrix, Array, Array]:
        """Normal equations of the distances from points to rays.

        Returns:
            matrix ``[3M, 3M]``, right-hand side ``[M, 3]`` and the rays' weight at each node ``[M]``.
        """
        corners: Ids = self._template.triangles[rays.triangles]
        b = rays.barycentrics
        across = np.eye(3) - rays.directions[:, :, None] * rays.directions[:, None, :]
        across *= rays.weights[:, None, None]
        # The block of nodes j and k of the triangle that was hit is b_j b_k (I - d dT).
        blocks = np.einsum("pj,pk,pxy->pjkxy", b, b, across)
        rows = (3 * corners[:, :, None] + np.arange(3))[:, :, None, :, None]
        columns = (3 * corners[:, :, None] + np.arange(3))[:, None, :, None, :]
        places = [np.broadcast_to(index, blocks.shape).ravel() for index in (rows, columns)]
        matrix = sparse.csr_matrix((blocks.ravel(), places), shape=(3 * self._n, 3 * self._n))
        pulled = np.einsum("pxy,py->px", across, rays.origins)
        right = [np.bincount(corners.ravel(), (b * pulled[:, axis, None]).ravel(), self._n) for axis in range(3)]
        mass = np.bincount(corners.ravel(), (b * rays.weights[:, None]).ravel(), self._n).astype(np.float64)
        return matrix, np.stack(right, axis=1), mass
