"""The as-rigid-as-possible term of the system: the neighbour graph it keeps and what it draws every step."""

from typing import Any

import torch
from torch import Tensor

from animate3d.gaussians import load_edges
from animate3d.motion.arap import arap_energy, connected_table, draw_sample, knn_graph, random_edge_neighbours
from animate3d.motion.captured import Captured

DEFAULTS = {"arap_K": 3, "arap_radius": 0.01, "arap_sample_num": 512}


class Rigidity:
    """ARAP energy against the static model.

    Args:
        rest: ``[N, 3]`` static positions.
        settings: ``arap_K``, ``arap_radius``, ``arap_sample_num``.
        edges_path: edge file of a mesh; then K neighbours are drawn from each vertex's edges in every call.
            Without it the K nearest neighbours are taken once.
        captured: it is called once in every training step (`animate3d.motion.captured`).
        objects: ``[N]`` the object of every vertex; edges between objects do not count. None for a single object.
    """

    def __init__(
        self,
        rest: Tensor,
        settings: Any,
        edges_path: str | None,
        captured: bool = False,
        objects: Tensor | None = None,
    ) -> None:
        values = {key: settings.get(key, default) for key, default in DEFAULTS.items()}
        self.rest = rest
        self.k = int(values["arap_K"])
        self.samples = int(values["arap_sample_num"])
        self.from_mesh = bool(edges_path)
        if edges_path:
            neighbours, valid = connected_table(load_edges(edges_path, len(rest)), len(rest))
        else:
            neighbours, valid = knn_graph(rest, self.k, float(values["arap_radius"]))
        self.neighbours, self.valid = neighbours.to(rest.device), valid.to(rest.device)
        if objects is not None:
            self.valid = self.valid & (objects[self.neighbours] == objects[:, None])
        self._energy = Captured(_energy) if captured else _energy

    def __call__(self, means: Tensor) -> Tensor:
        """Energy of the moved positions ``[F, N, 3]`` (without the frame at rest)."""
        neighbours, valid = self.neighbours, self.valid
        if self.from_mesh:
            neighbours, valid = random_edge_neighbours(neighbours, valid, self.k)
        sample = draw_sample(len(self.rest), self.samples, device=self.rest.device)
        return self._energy(means, self.rest, neighbours, valid, sample)


def _energy(means: Tensor, rest: Tensor, neighbours: Tensor, valid: Tensor, sample: Tensor | None) -> Tensor:
    return arap_energy(torch.cat([rest[None], means]), neighbours, valid, sample)
