"""3D Gaussians: container, files, spherical harmonics, and Gaussians of a mesh."""

from animate3d.gaussians import sh
from animate3d.gaussians.edges import edge_lengths, edge_table, load_edges, save_edges
from animate3d.gaussians.from_mesh import from_mesh
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.load import holds_gaussians, load_gaussian_rows, load_gaussians
from animate3d.gaussians.merge import merged
from animate3d.gaussians.ply import is_gaussian_ply, load_ply, load_ply_rows, save_ply

__all__ = [
    "Gaussians",
    "edge_lengths",
    "edge_table",
    "from_mesh",
    "holds_gaussians",
    "is_gaussian_ply",
    "load_edges",
    "load_gaussian_rows",
    "load_gaussians",
    "load_ply",
    "load_ply_rows",
    "merged",
    "save_edges",
    "save_ply",
    "sh",
]
