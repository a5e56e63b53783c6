"""Random bodies from simple solids: parts with joints, soft weights and procedural colours, from a seed."""

from animate3d.creatures.figures.draw import KINDS, draw_figure
from animate3d.creatures.figures.figure import Figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.creatures.figures.part import Part
from animate3d.creatures.figures.sampling import surface_points

__all__ = ["KINDS", "Figure", "Part", "draw_figure", "figure_mesh", "surface_points"]
