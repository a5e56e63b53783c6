"""A procedural textured dragon, its known motions and their videos."""

from animate3d.creatures.dragon.creature import make_dragon, write_dragon
from animate3d.creatures.dragon.footage import demo_asset, motion_named, write_demo_frames, write_frames
from animate3d.creatures.dragon.motions import MOTIONS, unit_times

__all__ = [
    "MOTIONS",
    "demo_asset",
    "make_dragon",
    "motion_named",
    "unit_times",
    "write_demo_frames",
    "write_dragon",
    "write_frames",
]
