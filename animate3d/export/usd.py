"""USD with time-sampled points: the mesh's own polygons and vertices, no Blender needed.

``.usd``, ``.usda`` and ``.usdc`` have their textures in ``<stem>_textures/`` beside them; ``.usdz`` holds everything.
There are 24 time codes per second and frame k is at 24 k / fps, so that a scene of 24 frames per second plays it at the
right speed. One unit is a metre, ``upAxis`` is the mesh's own, every part of the mesh is a prim.
With a skeleton its joints have time samples in place of the points (UsdSkel).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdShade, UsdSkel, Vt

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.export.painting import corner_paint, painted_materials
from animate3d.export.shading import moving_normals
from animate3d.export.skeleton.rig import Rig
from animate3d.export.staging import staged
from animate3d.export.textures import TextureFiles, texture_files
from animate3d.export.usd_materials import write_material
from animate3d.export.usd_skel import bind_skin, write_extents, write_skeleton
from animate3d.files import portable_name
from animate3d.meshes.materials import srgb_to_linear
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.pieces import Piece, pieces

TIME_CODES_PER_SECOND = 24.0


def write_usd(clip: Clip, path: Path, rig: Rig | None = None) -> None:
    """Write ``.usd``, ``.usda``, ``.usdc`` or ``.usdz``.

    Args:
        rig: moves the mesh in place of points per frame.

    Raises:
        InputError: the USD library could not write the file.
    """
    packed = path.suffix.lower() == ".usdz"
    if packed:
        clip = replace(clip, mesh=_with_plain_normal_maps(clip.mesh))
    textures = texture_files(clip.mesh)
    name = portable_name(path.stem, "model")
    with staged(path) as target:
        # What goes into a package is written under hidden names, which stay behind.
        folder = target.with_name(".textures" if packed else f"{name}_textures")
        layer = target.with_name(".layer.usdc") if packed else target
        if textures.files:
            folder.mkdir()
        for file, content in textures.files.items():
            (folder / file).write_bytes(content)
        try:
            _Writer(clip, layer, "textures" if packed else folder.name, textures, rig).write()
            if packed:
                _pack(target, {f"{name}.usdc": layer} | {f"textures/{n}": folder / n for n in textures.files})
        except Tf.ErrorException as error:
            raise InputError(f"{path} could not be written by the USD library: {_first_line(error)}") from error


def _with_plain_normal_maps(mesh: Mesh) -> Mesh:
    """The scale of normal maps put into their texels: packages allow one way to read a normal map only."""
    materials = []
    for material in mesh.materials:
        image = material.textures.get("normal")
        if image is None or image.shape[-1] < 3 or material.normal_scale == 1:
            materials.append(material)
            continue
        normals = (image[..., :3] / 127.5 - 1) * [material.normal_scale, material.normal_scale, 1.0]
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        texels = ((normals + 1) * 127.5 + 0.5).astype(np.uint8)
        materials.append(replace(material, textures={**material.textures, "normal": texels}, normal_scale=1.0))
    return replace(mesh, materials=materials)


def _pack(package: Path, files: dict[str, Path]) -> None:
    writers = Sdf if hasattr(Sdf, "ZipFileWriter") else Usd  # it moved between releases
    writer = writers.ZipFileWriter.CreateNew(str(package))
    for name, file in files.items():
        writer.AddFile(str(file), name)
    writer.Save()


class _Writer:
    """One stage: ``/<name>`` with the prims of the parts and the scope ``Materials``."""

    def __init__(
        self, clip: Clip, path: Path, texture_folder: str, textures: TextureFiles, rig: Rig | None = None
    ) -> None:
        self.clip, self.mesh = clip, clip.mesh
        self.texture_folder, self.textures = texture_folder, textures
        self.stage = Usd.Stage.CreateNew(str(path))
        self.times = clip.key_times * TIME_CODES_PER_SECOND
        self.rig = rig
        self.groups, self.normals = moving_normals(clip.mesh, clip.positions[:1] if rig else clip.positions)
        self.painted = painted_materials(clip.mesh)
        self.taken: set[Any] = set()

    def write(self) -> None:
        """Fill and save it."""
        stage, mesh, clip = self.stage, self.mesh, self.clip
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z if mesh.up_axis == "z" else UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(TIME_CODES_PER_SECOND)
        stage.SetFramesPerSecond(TIME_CODES_PER_SECOND)
        stage.SetStartTimeCode(0)
        # A player goes from the end to the start within one time code: a loop ends one before its closing key.
        stage.SetEndTimeCode(float(self.times[-1]) - clip.closes)
        root = (UsdSkel.Root if self.rig else UsdGeom.Xform).Define(stage, "/Root")
        stage.SetDefaultPrim(root.GetPrim())
        if mesh.origin.any():
            root.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*mesh.origin.tolist()))
        self.taken |= {root.GetPath().AppendChild(name) for name in ("Materials", "Skeleton")}
        prims = self._part_prims(root.GetPath())
        materials = self._materials(root.GetPath())
        skeleton = self._skeleton(root)
        for piece in pieces(mesh):
            prim = self._mesh_prim(piece, prims, root.GetPath())
            if self.rig is None:
                self._write_points(piece, prim)
            else:
                self._write_rest(piece, prim)
                bind_skin(prim, self.rig, piece.vertices, skeleton)
            self._write_surface(piece, prim)
            self._bind(piece, prim, materials)
        stage.GetRootLayer().Save()

    def _path(self, parent: Any, name: str, default: str) -> Any:
        """A new path below a parent that reads like a name."""
        clean = identifier(name, default)
        path, count = parent.AppendChild(clean), 1
        while path in self.taken:
            path, count = parent.AppendChild(f"{clean}_{count}"), count + 1
        self.taken.add(path)
        return path

    def _part_prims(self, root: Any) -> dict[int, Any]:
        """Prims of the parts that others hang below; parts without others are Mesh prims of their own."""
        parents = {part.parent for part in self.mesh.parts if part.parent is not None}
        found: dict[int, Any] = {}

        def make(number: int) -> Any:
            if number not in found:
                part = self.mesh.parts[number]
                above = root if part.parent is None else make(part.parent)
                found[number] = self._path(above, part.name, f"part_{number}")
                self._name(UsdGeom.Xform.Define(self.stage, found[number]).GetPrim(), part.name)
            return found[number]

        for number in sorted(parents):
            make(number)
        return found

    def _mesh_prim(self, piece: Piece, prims: dict[int, Any], root: Any) -> UsdGeom.Mesh:
        parent = root
        if piece.part is not None:
            above = self.mesh.parts[piece.part].parent
            parent = prims[piece.part] if piece.part in prims else root if above is None else prims[above]
        prim = UsdGeom.Mesh.Define(self.stage, self._path(parent, piece.name, f"part_{piece.part}"))
        self._name(prim.GetPrim(), piece.name)
        return prim

    def _name(self, prim: Any, name: str) -> None:
        """Keep a name that could not be the prim's."""
        if name and prim.GetName() != name:
            prim.SetDisplayName(name)

    def _materials(self, root: Any) -> list[UsdShade.Material]:
        scope = UsdGeom.Scope.Define(self.stage, root.AppendChild("Materials")).GetPath()
        found = []
        for index, files in enumerate(self.textures.names):
            name = self.mesh.materials[index].name
            path = self._path(scope, name, f"material_{index}")
            painted = bool(self.painted[index])
            found.append(
                write_material(self.stage, path, self.mesh, index, self.texture_folder, files, painted=painted)
            )
            self._name(found[-1].GetPrim(), name)
        return found

    def _skeleton(self, root: Any) -> Any:
        if self.rig is None:
            return None
        write_extents(root, self.rig.posed(self.clip.positions[0]), self.times)
        names: list[str] = []
        for number, name in enumerate(self.rig.names):
            clean = identifier(name, f"bone_{number}")
            names.append(clean if clean not in names else f"{clean}_{number}")
        return write_skeleton(self.stage, root.GetPath(), self.rig, self.times, names, closes=self.clip.closes)

    def _write_rest(self, piece: Piece, prim: UsdGeom.Mesh) -> None:
        """Points and normals that a skeleton moves: the plain attribute, which those who skin know."""
        positions = self.clip.positions[0][piece.vertices].astype(np.float32)
        prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(positions))
        normals = self.normals[0][self.groups[piece.corners]].astype(np.float32)
        prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals))
        prim.SetNormalsInterpolation(UsdGeom.Tokens.faceVarying)
        assert self.rig is not None
        write_extents(prim, self.rig.posed(self.clip.positions[0])[:, piece.vertices], self.times)

    def _write_points(self, piece: Piece, prim: UsdGeom.Mesh) -> None:
        """Points, extents and normals at every time; the default, frame 0, is for readers that ignore time."""
        points, extent = prim.CreatePointsAttr(), prim.CreateExtentAttr()
        used, numbers = np.unique(self.groups[piece.corners], return_inverse=True)
        normals = UsdGeom.PrimvarsAPI(prim).CreatePrimvar(
            "normals", Sdf.ValueTypeNames.Normal3fArray, UsdGeom.Tokens.faceVarying
        )
        normals.SetIndices(Vt.IntArray.FromNumpy(numbers.reshape(-1).astype(np.int32)))
        for key, time in enumerate((None, *self.times.tolist())):
            code = Usd.TimeCode.Default() if time is None else Usd.TimeCode(time)
            frame = max(key - 1, 0) % self.clip.n_frames
            positions = self.clip.positions[frame][piece.vertices].astype(np.float32)
            points.Set(Vt.Vec3fArray.FromNumpy(positions), code)
            extent.Set(Vt.Vec3fArray.FromNumpy(np.stack([positions.min(axis=0), positions.max(axis=0)])), code)
            normals.Set(Vt.Vec3fArray.FromNumpy(self.normals[frame][used].astype(np.float32)), code)

    def _write_surface(self, piece: Piece, prim: UsdGeom.Mesh) -> None:
        mesh = piece.mesh
        prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.diff(mesh.face_starts).astype(np.int32)))
        prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.corners.astype(np.int32)))
        prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        used = [mesh.materials[index] for index in np.unique(mesh.face_materials)]
        # Generated meshes have faces turned inwards; culling them would make holes.
        prim.CreateDoubleSidedAttr(any(material.double_sided is not False for material in used))
        if mesh.corner_uvs is not None and np.isfinite(mesh.corner_uvs).any():
            primvars = UsdGeom.PrimvarsAPI(prim)
            st = primvars.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying)
            st.Set(Vt.Vec2fArray.FromNumpy(np.nan_to_num(mesh.corner_uvs).astype(np.float32)))
        if mesh.vertex_colors is not None and np.isfinite(mesh.vertex_colors).all():
            self._write_colors(prim, mesh.vertex_colors, UsdGeom.Tokens.vertex)
        elif self.painted[mesh.face_materials].any():
            self._write_colors(prim, corner_paint(mesh), UsdGeom.Tokens.faceVarying)

    @staticmethod
    def _write_colors(prim: UsdGeom.Mesh, colors: np.ndarray, interpolation: str) -> None:
        linear = srgb_to_linear(colors).astype(np.float32)
        prim.CreateDisplayColorPrimvar(interpolation).Set(Vt.Vec3fArray.FromNumpy(linear))

    def _bind(self, piece: Piece, prim: UsdGeom.Mesh, materials: list[UsdShade.Material]) -> None:
        used = np.unique(piece.mesh.face_materials)
        binding = UsdShade.MaterialBindingAPI.Apply(prim.GetPrim())
        if len(used) == 1:
            binding.Bind(materials[used[0]])
            return
        binding.SetMaterialBindSubsetsFamilyType(UsdGeom.Tokens.partition)
        for index in used.tolist():
            faces = np.flatnonzero(piece.mesh.face_materials == index).astype(np.int32)
            name = materials[index].GetPrim().GetName()
            subset = binding.CreateMaterialBindSubset(name, Vt.IntArray.FromNumpy(faces), UsdGeom.Tokens.face)
            UsdShade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(materials[index])


def identifier(name: str, default: str) -> str:
    """A prim name that every release of the library takes and that reads like ``name``."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9_]+", "_", letters)
    if not re.search(r"[A-Za-z0-9]", clean):
        return default
    return f"_{clean}" if clean[0].isdigit() else clean


def _first_line(error: Exception) -> str:
    lines = [re.sub(r"^\s*Error in '.*?'.*?: ", "", line).strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), "unknown error")
