"""Animate3D as a plugin of threestudio (the real one, or the host embedded in `animate3d.studio`).

The mathematics is in the package `animate3d`; this folder registers it under the names that the configs use.
"""

from animate3d.studio import api as threestudio

if threestudio.parse_version(threestudio.__version__) < threestudio.parse_version("0.2.1"):
    raise ImportError(f"threestudio-animate3d needs threestudio 0.2.1 or newer; this is {threestudio.__version__}.")

from . import data, geometry, guidance, renderer, system  # noqa: F401  # importing registers
