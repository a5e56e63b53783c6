"""Foreground masks of generated frames: from the known background, or with SAM 2."""

from animate3d.masks.backends import BACKENDS, check_backend, choose_segmenter
from animate3d.masks.background import BackgroundSegmenter
from animate3d.masks.folder import count_views, segment_folder
from animate3d.masks.sam2 import Sam2Segmenter, find_weights

__all__ = [
    "BACKENDS",
    "BackgroundSegmenter",
    "Sam2Segmenter",
    "check_backend",
    "choose_segmenter",
    "count_views",
    "find_weights",
    "segment_folder",
]
