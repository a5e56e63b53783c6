"""Meshes: a container that keeps the file's vertices, readers, writers, topology and placement."""

from animate3d.meshes.appearance import vertex_colors
from animate3d.meshes.load import load_mesh
from animate3d.meshes.materials import Material, sample_texture
from animate3d.meshes.mesh import Mesh, Part
from animate3d.meshes.obj import load_obj
from animate3d.meshes.obj_writer import save_obj
from animate3d.meshes.placement import Placement, Turn, given_placement

__all__ = [
    "Material",
    "Mesh",
    "Part",
    "Placement",
    "Turn",
    "given_placement",
    "load_mesh",
    "load_obj",
    "sample_texture",
    "save_obj",
    "vertex_colors",
]
