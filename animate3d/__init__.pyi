"""What type checkers and editors see of `animate3d`: the names that `__init__.py` loads when they are first used."""

from animate3d.api import animate as animate
from animate3d.api import export_animation as export_animation
from animate3d.api import render as render
from animate3d.api import track as track
from animate3d.bundled_model import bundled_model_folder as bundled_model_folder
from animate3d.gaussians import Gaussians as Gaussians
from animate3d.gaussians import load_gaussians as load_gaussians
from animate3d.meshes import Mesh as Mesh
from animate3d.meshes import Placement as Placement
from animate3d.meshes import load_mesh as load_mesh
from animate3d.motion.trajectory import Trajectory as Trajectory
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline as MultiViewVideoPipeline

__all__: list[str]
__version__: str
