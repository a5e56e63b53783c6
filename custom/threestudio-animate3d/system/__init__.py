"""The system."""

from . import animate3d  # noqa: F401
