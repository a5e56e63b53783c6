"""Animate3D: animate any 3D model from a sentence."""

__version__ = "0.1.0"
