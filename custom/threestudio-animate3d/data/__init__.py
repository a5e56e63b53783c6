"""Data modules."""

from . import multi_image  # noqa: F401
