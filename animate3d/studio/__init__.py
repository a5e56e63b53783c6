"""Embedded host with threestudio's extension API: registry, configs, base classes, launch.

Plugins import everything from `animate3d.studio.api`, which stands for the real threestudio when that is the
host that loaded them. This package itself imports nothing heavy and registers nothing until it is used.
"""

from animate3d.studio.registry import __version__ as __version__
from animate3d.studio.registry import debug as debug
from animate3d.studio.registry import find as find
from animate3d.studio.registry import info as info
from animate3d.studio.registry import register as register
from animate3d.studio.registry import warn as warn
