"""Gaussian models: static, and moved by a deformation field."""

from . import dynamic, static  # noqa: F401
