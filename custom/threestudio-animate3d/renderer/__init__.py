"""Renderers that draw Gaussians."""

from . import dynamic, static  # noqa: F401
