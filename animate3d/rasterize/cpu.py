"""Rasterisation on the CPU."""

from __future__ import annotations

from animate3d.rasterize.reference import rasterize

__all__ = ["rasterize"]
