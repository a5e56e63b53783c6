"""Renderers that draw Gaussians."""

from animate3d.studio import api as threestudio

from . import dynamic  # noqa: F401

if threestudio.EMBEDDED:  # under the real host this name belongs to threestudio-3dgs
    from . import static  # noqa: F401
