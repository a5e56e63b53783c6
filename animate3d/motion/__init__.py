"""How a static model moves: deformation field, rigidity, frame schedule, trajectories and losses."""

from animate3d.motion.arap import (
    arap_energy,
    best_rotations,
    connected_table,
    draw_sample,
    knn_graph,
    neighbour_table,
    random_edge_neighbours,
)
from animate3d.motion.deformation import Deformation, DeformationField
from animate3d.motion.kplanes import KPlanes
from animate3d.motion.losses import LOSSES, StepTensors, tv_loss
from animate3d.motion.schedule import FrameSchedule
from animate3d.motion.trajectory import Trajectory, load_placed_folder, save_placed_folder, weld

__all__ = [
    "LOSSES",
    "Deformation",
    "DeformationField",
    "FrameSchedule",
    "KPlanes",
    "StepTensors",
    "Trajectory",
    "arap_energy",
    "best_rotations",
    "connected_table",
    "draw_sample",
    "knn_graph",
    "load_placed_folder",
    "neighbour_table",
    "random_edge_neighbours",
    "save_placed_folder",
    "tv_loss",
    "weld",
]
