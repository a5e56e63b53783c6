"""Differentiable rasterisation of Gaussians: `render`, with a reference, a CPU and a CUDA backend."""

from __future__ import annotations

from animate3d.rasterize.dispatch import render
from animate3d.rasterize.splats import Rendering, Splats

__all__ = ["Rendering", "Splats", "render"]
