"""What is done about each extension that a glTF file names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from animate3d.errors import InputError

DRACO = "KHR_draco_mesh_compression"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
BASIS = "KHR_texture_basisu"

SUPPORTED = {
    DRACO,
    *MESHOPT,
    "EXT_texture_webp",
    "KHR_materials_emissive_strength",
    "KHR_materials_pbrSpecularGlossiness",
    "KHR_materials_unlit",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
}
"""Read and followed."""

HARMLESS = {
    "EXT_lights_ies",
    "EXT_lights_image_based",
    "KHR_animation_pointer",
    "KHR_lights_punctual",
    "KHR_materials_anisotropy",
    "KHR_materials_clearcoat",
    "KHR_materials_diffuse_transmission",
    "KHR_materials_dispersion",
    "KHR_materials_ior",
    "KHR_materials_iridescence",
    "KHR_materials_sheen",
    "KHR_materials_specular",
    "KHR_materials_transmission",
    "KHR_materials_variants",
    "KHR_materials_volume",
    "KHR_xmp",
    "KHR_xmp_json_ld",
    "MSFT_lod",
}
"""They change neither the shape nor the base colour. Those of materials are copied from GLB to GLB."""

_NAMED = {
    # Files stay readable without these: what is lost is said where it is lost, or here.
    BASIS: None,
    "EXT_texture_avif": None,
    "MSFT_texture_dds": None,
    "EXT_mesh_gpu_instancing": "of the instances of each mesh only one is read",
    "KHR_node_visibility": "hidden nodes are read as visible ones",
    "MSFT_packing_normalRoughnessMetallic": "its packed textures are left out",
    "MSFT_packing_occlusionRoughnessMetallic": "its packed textures are left out",
}
_TEXTURE_FORMATS = {BASIS, "EXT_texture_avif", "MSFT_texture_dds"}


def check_extensions(path: Path, used: Sequence[object], required: Sequence[object]) -> None:
    """Refuse a file that cannot be read without an extension, and warn of what is left out.

    Args:
        path: for the messages.
        used, required: ``extensionsUsed`` and ``extensionsRequired`` of the document.

    Raises:
        InputError: a required extension is not supported; the message names it.
    """
    for name in dict.fromkeys(str(item) for item in required):
        if name not in SUPPORTED | HARMLESS | _TEXTURE_FORMATS:
            raise InputError(
                f"{path} cannot be read without the glTF extension {name}, which is not supported; "
                "export the file again without it."
            )
    for name in dict.fromkeys(str(item) for item in used):
        if name in SUPPORTED | HARMLESS | _TEXTURE_FORMATS:
            continue
        loss = _NAMED.get(name) or "what it adds is left out"
        warnings.warn(f"{path}: the glTF extension {name} is not supported; {loss}.", stacklevel=2)
