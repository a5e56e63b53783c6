"""The small model that comes with the package: its weights, and what it knows.

`animate3d.small_model` makes it.
"""

from animate3d.bundled_model.folder import bundled_model_folder

__all__ = ["bundled_model_folder"]
