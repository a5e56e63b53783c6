"""Materials as UsdPreviewSurface."""

from __future__ import annotations

from typing import Any

import numpy as np
from pxr import Gf, Sdf, UsdShade

from animate3d.export.textures import linear_color
from animate3d.export.transparency import alpha_mode
from animate3d.meshes.materials import Material
from animate3d.meshes.mesh import Mesh

_SURFACE_INPUTS = {
    # role: (input of the preview surface, output of the texture, its type, colour space)
    "diffuse": ("diffuseColor", "rgb", Sdf.ValueTypeNames.Color3f, "sRGB"),
    "metallic": ("metallic", "r", Sdf.ValueTypeNames.Float, "raw"),
    "roughness": ("roughness", "r", Sdf.ValueTypeNames.Float, "raw"),
    "normal": ("normal", "rgb", Sdf.ValueTypeNames.Normal3f, "raw"),
    "occlusion": ("occlusion", "r", Sdf.ValueTypeNames.Float, "raw"),
    "emissive": ("emissiveColor", "rgb", Sdf.ValueTypeNames.Color3f, "sRGB"),
}


def write_material(
    stage: Any, path: Any, mesh: Mesh, index: int, texture_folder: str, files: dict[str, str], *, painted: bool
) -> UsdShade.Material:
    """Define a material at a path.

    Args:
        files: its textures in ``texture_folder``, by role.
        painted: it takes its colour from the vertices where it has no texture.
    """
    source = mesh.materials[index]
    types = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, path)
    surface = _shader(stage, path.AppendChild("Surface"), "UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    surface.CreateInput("diffuseColor", types.Color3f).Set(Gf.Vec3f(*linear_color(source.base_color)[:3]))
    surface.CreateInput("metallic", types.Float).Set(float(source.metallic))
    surface.CreateInput("roughness", types.Float).Set(float(source.roughness))
    glow = np.array(source.emissive) * source.emissive_strength
    if glow.any():
        surface.CreateInput("emissiveColor", types.Color3f).Set(Gf.Vec3f(*glow.tolist()))
    mode, cutoff = alpha_mode(mesh, index)
    if mode != "opaque":
        surface.CreateInput("opacity", types.Float).Set(float(source.base_color[3]))
    if mode == "mask":
        surface.CreateInput("opacityThreshold", types.Float).Set(float(cutoff))
    shown = {role: name for role, name in files.items() if role != "emissive" or glow.any()}
    reader = _reader(stage, path, "st", "UsdPrimvarReader_float2", types.Float2) if shown else None
    for role, name in shown.items():
        target, output, kind, color_space = _SURFACE_INPUTS[role]
        texture = _shader(stage, path.AppendChild(f"Texture_{role}"), "UsdUVTexture")
        texture.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"./{texture_folder}/{name}"))
        texture.CreateInput("sourceColorSpace", types.Token).Set(color_space)
        texture.CreateInput("st", types.Float2).ConnectToSource(reader)
        for key, wrap in zip(("wrapS", "wrapT"), source.wraps.get(role, ("repeat", "repeat")), strict=True):
            texture.CreateInput(key, types.Token).Set(wrap)
        _scale(texture, source, role, glow)
        (surface.GetInput(target) or surface.CreateInput(target, kind)).ConnectToSource(
            texture.CreateOutput(output, kind)
        )
        if role == "diffuse" and mode != "opaque" and source.textures["diffuse"].shape[-1] == 4:
            surface.GetInput("opacity").ConnectToSource(texture.CreateOutput("a", types.Float))
    if painted and "diffuse" not in files:
        color = _reader(stage, path, "displayColor", "UsdPrimvarReader_float3", types.Float3)
        surface.GetInput("diffuseColor").ConnectToSource(color)
    return material


def _scale(texture: Any, source: Material, role: str, glow: np.ndarray) -> None:
    """What a texture's values are multiplied with and what is added."""
    scale, bias = [1.0] * 4, [0.0] * 4
    if role == "normal":  # from 0..1 to -1..1
        strength = float(source.normal_scale)
        scale, bias = [2 * strength, 2 * strength, 2.0, 1.0], [-strength, -strength, -1.0, 0.0]
    elif role == "emissive":
        scale = [*glow.tolist(), 1.0]
    elif role == "occlusion":
        scale, bias = [source.occlusion_strength] * 4, [1 - source.occlusion_strength] * 4
    elif role == "diffuse" and source.textures["diffuse"].shape[-1] == 4:
        scale[3] = float(source.base_color[3])
    if scale != [1.0] * 4:
        texture.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*scale))
    if bias != [0.0] * 4:
        texture.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*bias))


def _shader(stage: Any, path: Any, identifier: str) -> Any:
    shader = UsdShade.Shader.Define(stage, path)
    shader.CreateIdAttr(identifier)
    return shader


def _reader(stage: Any, material: Any, primvar: str, identifier: str, kind: Any) -> Any:
    """A shader's output that reads a primvar."""
    reader = _shader(stage, material.AppendChild(f"Reader_{primvar}"), identifier)
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set(primvar)
    return reader.CreateOutput("result", kind)
