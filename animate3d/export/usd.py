"""USD with time-sampled points: the mesh's own polygons and vertices, no Blender needed.

``.usd``, ``.usda`` and ``.usdc`` have their textures in ``<stem>_textures/`` beside them; ``.usdz`` holds everything.
Frame k is time code k, ``timeCodesPerSecond`` is the frame rate, one unit is a metre, ``upAxis`` is the mesh's own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdShade, Vt

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.export.shading import moving_normals
from animate3d.export.staging import staged
from animate3d.export.textures import TextureFiles, has_transparency, linear_color, srgb_to_linear, texture_files
from animate3d.meshes.mesh import Mesh

_SURFACE_INPUTS = {
    # role: (input of the preview surface, output of the texture, its type, colour space)
    "diffuse": ("diffuseColor", "rgb", Sdf.ValueTypeNames.Color3f, "sRGB"),
    "metallic": ("metallic", "r", Sdf.ValueTypeNames.Float, "raw"),
    "roughness": ("roughness", "r", Sdf.ValueTypeNames.Float, "raw"),
    "normal": ("normal", "rgb", Sdf.ValueTypeNames.Normal3f, "raw"),
    "emissive": ("emissiveColor", "rgb", Sdf.ValueTypeNames.Color3f, "sRGB"),
}


def write_usd(clip: Clip, path: Path) -> None:
    """Write ``.usd``, ``.usda``, ``.usdc`` or ``.usdz``.

    Raises:
        InputError: the USD library could not write the file.
    """
    no_uvs = clip.mesh.corner_uvs is None
    textures = TextureFiles([{} for _ in clip.mesh.materials], {}) if no_uvs else texture_files(clip.mesh)
    packed = path.suffix.lower() == ".usdz"
    with staged(path) as target:
        # What goes into a package is written under hidden names, which stay behind.
        folder = target.with_name(".textures" if packed else f"{path.stem}_textures")
        layer = target.with_name(f".{path.stem}.usdc") if packed else target
        if textures.files:
            folder.mkdir()
        for name, content in textures.files.items():
            (folder / name).write_bytes(content)
        try:
            _write_stage(clip, layer, "textures" if packed else folder.name, textures)
            if packed:
                _pack(target, {f"{path.stem}.usdc": layer} | {f"textures/{n}": folder / n for n in textures.files})
        except Tf.ErrorException as error:
            raise InputError(f"{path} could not be written by the USD library: {_first_line(error)}") from error


def _pack(package: Path, files: dict[str, Path]) -> None:
    writers = Sdf if hasattr(Sdf, "ZipFileWriter") else Usd  # it moved between releases
    writer = writers.ZipFileWriter.CreateNew(str(package))
    for name, file in files.items():
        writer.AddFile(str(file), name)
    writer.Save()


def _write_stage(clip: Clip, path: Path, texture_folder: str, textures: TextureFiles) -> None:
    mesh = clip.mesh
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z if mesh.up_axis == "z" else UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(clip.fps)
    stage.SetFramesPerSecond(clip.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(clip.n_frames - 1)
    root = UsdGeom.Xform.Define(stage, "/Root")
    stage.SetDefaultPrim(root.GetPrim())
    prim = UsdGeom.Mesh.Define(stage, f"/Root/{Tf.MakeValidIdentifier(mesh.name)}")

    prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.diff(mesh.face_starts).astype(np.int32)))
    prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.corners.astype(np.int32)))
    prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    prim.CreateDoubleSidedAttr(True)
    _write_points(clip, prim)
    primvars = UsdGeom.PrimvarsAPI(prim)
    if mesh.corner_uvs is not None:
        st = primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying)
        st.Set(Vt.Vec2fArray.FromNumpy(np.nan_to_num(mesh.corner_uvs).astype(np.float32)))
    if mesh.vertex_colors is not None:
        colors = srgb_to_linear(mesh.vertex_colors).astype(np.float32)
        prim.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(Vt.Vec3fArray.FromNumpy(colors))
    _write_materials(stage, prim, mesh, texture_folder, textures)
    stage.GetRootLayer().Save()


def _write_points(clip: Clip, prim: Any) -> None:
    points, extent = prim.CreatePointsAttr(), prim.CreateExtentAttr()
    normals = None
    if clip.mesh.corner_normals is not None:
        groups, moving = moving_normals(clip.mesh, clip.positions)
        normals = prim.CreateNormalsAttr()
        prim.SetNormalsInterpolation(UsdGeom.Tokens.faceVarying)
    # The default value, frame 0, is for readers that ignore time.
    for time in (Usd.TimeCode.Default(), *range(clip.n_frames)):
        frame = 0 if isinstance(time, Usd.TimeCode) else time
        positions = clip.positions[frame].astype(np.float32)
        points.Set(Vt.Vec3fArray.FromNumpy(positions), time)
        extent.Set(Vt.Vec3fArray.FromNumpy(np.stack([positions.min(axis=0), positions.max(axis=0)])), time)
        if normals is not None:
            normals.Set(Vt.Vec3fArray.FromNumpy(moving[frame][groups].astype(np.float32)), time)


def _write_materials(stage: Any, prim: Any, mesh: Mesh, texture_folder: str, textures: TextureFiles) -> None:
    scope = UsdGeom.Scope.Define(stage, "/Root/Materials").GetPath()
    used: set[str] = set()
    shared = len(mesh.materials) == 1
    if not shared:
        UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).SetMaterialBindSubsetsFamilyType(UsdGeom.Tokens.partition)
    for index, files in enumerate(textures.names):
        name = Tf.MakeValidIdentifier(mesh.materials[index].name or "material")
        name = f"{name}_{index}" if name in used else name
        used.add(name)
        material = _write_material(stage, scope.AppendChild(name), mesh, index, texture_folder, files)
        bound = prim
        if not shared:
            faces = np.flatnonzero(mesh.face_materials == index).astype(np.int32)
            indices = Vt.IntArray.FromNumpy(faces)
            binding = UsdShade.MaterialBindingAPI(prim.GetPrim())
            bound = binding.CreateMaterialBindSubset(name, indices, UsdGeom.Tokens.face)
        UsdShade.MaterialBindingAPI.Apply(bound.GetPrim()).Bind(material)


def _write_material(
    stage: Any, path: Any, mesh: Mesh, index: int, texture_folder: str, files: dict[str, str]
) -> UsdShade.Material:
    source = mesh.materials[index]
    types = Sdf.ValueTypeNames
    material = UsdShade.Material.Define(stage, path)
    surface = _shader(stage, path.AppendChild("Surface"), "UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    inputs = {
        "diffuseColor": surface.CreateInput("diffuseColor", types.Color3f),
        "metallic": surface.CreateInput("metallic", types.Float),
        "roughness": surface.CreateInput("roughness", types.Float),
    }
    inputs["diffuseColor"].Set(Gf.Vec3f(*linear_color(source.base_color)[:3]))
    inputs["metallic"].Set(float(source.metallic))
    inputs["roughness"].Set(float(source.roughness))
    opacity = float(source.base_color[3])
    if opacity < 1:
        surface.CreateInput("opacity", types.Float).Set(opacity)
    if files:
        reader = _reader(stage, path, "st", "UsdPrimvarReader_float2", types.Float2)
    for role, name in files.items():
        target, output, kind, color_space = _SURFACE_INPUTS[role]
        texture = _shader(stage, path.AppendChild(f"Texture_{role}"), "UsdUVTexture")
        texture.CreateInput("file", types.Asset).Set(Sdf.AssetPath(f"./{texture_folder}/{name}"))
        texture.CreateInput("sourceColorSpace", types.Token).Set(color_space)
        texture.CreateInput("st", types.Float2).ConnectToSource(reader)
        for wrap in ("wrapS", "wrapT"):
            texture.CreateInput(wrap, types.Token).Set("repeat")
        if role == "normal":  # from 0..1 to -1..1
            texture.CreateInput("scale", types.Float4).Set(Gf.Vec4f(2, 2, 2, 1))
            texture.CreateInput("bias", types.Float4).Set(Gf.Vec4f(-1, -1, -1, 0))
        texture_output = texture.CreateOutput(output, kind)
        (inputs.get(target) or surface.CreateInput(target, kind)).ConnectToSource(texture_output)
        if role == "diffuse" and has_transparency(source.textures["diffuse"]):
            alpha = texture.CreateOutput("a", types.Float)
            surface.CreateInput("opacity", types.Float).ConnectToSource(alpha)
    if mesh.vertex_colors is not None and "diffuse" not in files:
        color = _reader(stage, path, "displayColor", "UsdPrimvarReader_float3", types.Float3)
        inputs["diffuseColor"].ConnectToSource(color)
    return material


def _shader(stage: Any, path: Any, identifier: str) -> Any:
    shader = UsdShade.Shader.Define(stage, path)
    shader.CreateIdAttr(identifier)
    return shader


def _reader(stage: Any, material: Any, primvar: str, identifier: str, kind: Any) -> Any:
    """A shader's output that reads a primvar."""
    reader = _shader(stage, material.AppendChild(f"Reader_{primvar}"), identifier)
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set(primvar)
    return reader.CreateOutput("result", kind)


def _first_line(error: Exception) -> str:
    lines = [re.sub(r"^\s*Error in '.*?'.*?: ", "", line).strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), "unknown error")
