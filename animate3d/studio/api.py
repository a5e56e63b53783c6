"""What a plugin imports: the real threestudio when it has loaded the plugin, else the embedded host.

The real one is taken when ``threestudio`` is imported in this process already; `EMBEDDED` tells which it is.
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
from animate3d.studio.surface import is_embedded, names_from_host
from animate3d.studio.typing import *  # noqa: F403

EMBEDDED: bool = is_embedded()

if TYPE_CHECKING or EMBEDDED:
    # The built-in components register themselves.
    from animate3d.studio import random_cameras as _random_cameras  # noqa: F401
    from animate3d.studio.base import BaseModule as BaseModule
    from animate3d.studio.base import BaseObject as BaseObject
    from animate3d.studio.base import Updateable as Updateable
    from animate3d.studio.config import ExperimentConfig as ExperimentConfig
    from animate3d.studio.config import config_to_primitive as config_to_primitive
    from animate3d.studio.config import dump_config as dump_config
    from animate3d.studio.config import load_config as load_config
    from animate3d.studio.config import parse_structured as parse_structured
    from animate3d.studio.misc import C as C
    from animate3d.studio.misc import barrier as barrier
    from animate3d.studio.misc import cleanup as cleanup
    from animate3d.studio.misc import find_last_path as find_last_path
    from animate3d.studio.misc import finish_with_cleanup as finish_with_cleanup
    from animate3d.studio.misc import get_device as get_device
    from animate3d.studio.misc import get_rank as get_rank
    from animate3d.studio.misc import load_module_weights as load_module_weights
    from animate3d.studio.misc import parse_version as parse_version
    from animate3d.studio.models import BaseBackground as BaseBackground
    from animate3d.studio.models import BaseGeometry as BaseGeometry
    from animate3d.studio.models import BaseMaterial as BaseMaterial
    from animate3d.studio.models import Exporter as Exporter
    from animate3d.studio.models import ExporterOutput as ExporterOutput
    from animate3d.studio.models import Rasterizer as Rasterizer
    from animate3d.studio.models import Renderer as Renderer
    from animate3d.studio.models import VolumeRenderer as VolumeRenderer
    from animate3d.studio.networks import get_encoding as get_encoding
    from animate3d.studio.networks import get_mlp as get_mlp
    from animate3d.studio.optimizers import parse_optimizer as parse_optimizer
    from animate3d.studio.optimizers import parse_scheduler as parse_scheduler
    from animate3d.studio.prompts import PromptProcessor as PromptProcessor
    from animate3d.studio.prompts import PromptProcessorOutput as PromptProcessorOutput
    from animate3d.studio.prompts import hash_prompt as hash_prompt
    from animate3d.studio.registry import __version__ as __version__
    from animate3d.studio.registry import debug as debug
    from animate3d.studio.registry import find as find
    from animate3d.studio.registry import info as info
    from animate3d.studio.registry import register as register
    from animate3d.studio.registry import warn as warn
    from animate3d.studio.saving import SaverMixin as SaverMixin
    from animate3d.studio.systems import BaseLift3DSystem as BaseLift3DSystem
    from animate3d.studio.systems import BaseSystem as BaseSystem
else:
    globals().update(names_from_host())
