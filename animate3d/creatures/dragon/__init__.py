"""A procedural textured dragon, its known motions and their videos."""

from animate3d.creatures.dragon.creature import make_creature, write_creature
from animate3d.creatures.dragon.footage import demo_asset, motion_named, write_demo_frames, write_frames
from animate3d.creatures.dragon.motions import MOTIONS, Motion, mean_displacement, unit_times

__all__ = [
    "MOTIONS",
    "Motion",
    "demo_asset",
    "make_creature",
    "mean_displacement",
    "motion_named",
    "unit_times",
    "write_creature",
    "write_demo_frames",
    "write_frames",
]
