"""Guidance."""

from . import animatemv  # noqa: F401
