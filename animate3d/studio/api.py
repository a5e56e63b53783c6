"""What a plugin imports: the real threestudio when it has loaded the plugin, else the embedded host.

The real one is chosen when ``threestudio`` is imported in this process already; `EMBEDDED` tells which it is.
Functions without host state (rays, matrices, losses, scheduled scalars) are always ours: they run on any device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from animate3d.studio.loss import tv_loss as tv_loss
from animate3d.studio.ops import chunk_batch as chunk_batch
from animate3d.studio.ops import dot as dot
from animate3d.studio.ops import get_activation as get_activation
from animate3d.studio.ops import get_cam_info_gaussian as get_cam_info_gaussian
from animate3d.studio.ops import get_full_projection_matrix as get_full_projection_matrix
from animate3d.studio.ops import get_mvp_matrix as get_mvp_matrix
from animate3d.studio.ops import get_projection_matrix as get_projection_matrix
from animate3d.studio.ops import get_ray_directions as get_ray_directions
from animate3d.studio.ops import get_rays as get_rays
from animate3d.studio.ops import perpendicular_component as perpendicular_component
from animate3d.studio.surface import host_names, is_embedded
from animate3d.studio.typing import *  # noqa: F403

EMBEDDED: bool = is_embedded()

if EMBEDDED:
    from animate3d.studio import random_cameras as _random_cameras  # noqa: F401  # the built-in ones register themselves
if TYPE_CHECKING:
    from animate3d.studio.base import *  # noqa: F403
    from animate3d.studio.config import *  # noqa: F403
    from animate3d.studio.misc import *  # noqa: F403
    from animate3d.studio.models import *  # noqa: F403
    from animate3d.studio.networks import *  # noqa: F403
    from animate3d.studio.optimizers import *  # noqa: F403
    from animate3d.studio.prompts import *  # noqa: F403
    from animate3d.studio.registry import *  # noqa: F403
    from animate3d.studio.saving import *  # noqa: F403
    from animate3d.studio.systems import *  # noqa: F403

globals().update(host_names(EMBEDDED))
