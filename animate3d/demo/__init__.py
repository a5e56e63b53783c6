"""The demo: a procedural textured creature, its known motions, their videos, and how well they are recovered."""

from animate3d.demo.creature import make_creature, write_creature
from animate3d.demo.footage import demo_asset, motion_named, write_demo_frames, write_frames
from animate3d.demo.metrics import Recovery, held_out_psnr, recovery
from animate3d.demo.motions import MOTIONS, Motion, frame_times, mean_displacement

__all__ = [
    "MOTIONS",
    "Motion",
    "Recovery",
    "demo_asset",
    "frame_times",
    "held_out_psnr",
    "make_creature",
    "mean_displacement",
    "motion_named",
    "recovery",
    "write_creature",
    "write_demo_frames",
    "write_frames",
]
