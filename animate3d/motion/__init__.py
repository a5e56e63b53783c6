"""How a static model moves: deformation field, rigidity, frame schedule, trajectories and losses."""

from animate3d.motion.arap import arap_energy, knn_graph, neighbour_table, random_edge_neighbours
from animate3d.motion.deformation import Deformation, DeformationField
from animate3d.motion.kplanes import KPlanes
from animate3d.motion.schedule import FrameSchedule

__all__ = [
    "Deformation",
    "DeformationField",
    "FrameSchedule",
    "KPlanes",
    "arap_energy",
    "knn_graph",
    "neighbour_table",
    "random_edge_neighbours",
]
