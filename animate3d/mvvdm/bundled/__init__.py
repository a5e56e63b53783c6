"""The small model that comes with the package: how it is built, trained and exported.

It is made of the package's own classes in a small size, and trained on the procedural creatures of
`animate3d.synthetic`. ``python -m animate3d.mvvdm.bundled.train`` makes it from nothing.
"""

from animate3d.mvvdm.bundled.folder import bundled_model_folder

__all__ = ["bundled_model_folder"]
