"""What comes back when a mesh is exported without motion and read again; prints the table of docs/export.md.

``python tests/export/round_trip.py --write`` puts the table into the page.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade
from scipy.spatial import cKDTree

from animate3d.export import export
from animate3d.meshes import Material, Mesh, Part, load_mesh
from animate3d.meshes.materials import srgb_to_linear

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
START, END = "<!-- round trip: made by tests/export/round_trip.py -->", "<!-- end of round trip -->"
FORMATS = {"glb": "GLB", "usdc": "USD", "fbx": "FBX", "obj": "OBJ"}


def texture(seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, channels), dtype=np.uint8)


def everything(*, colors: bool = False, far: bool = False) -> Mesh:
    """Three parts in a hierarchy, seven materials with all that a material can have, UVs far outside of 0..1."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0), indexing="ij"), axis=-1).reshape(-1, 2)
    numbers = np.arange(20).reshape(5, 4)
    quads = np.stack([numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]], axis=-1).reshape(-1, 4)
    sheets = [np.concatenate([grid, rng.random((20, 1))], axis=1) + [0, 0, 2 * k] for k in range(3)]
    corners = np.concatenate([quads.reshape(-1) + 20 * k for k in range(3)])
    normals = rng.normal(size=(len(corners), 3)) * 0.2 + [0, 0, 1]
    alpha = texture(5, 4)
    alpha[..., 3] = np.where(alpha[..., 3] > 127, 255, 0)
    materials = [
        Material("Painted skin", (1, 1, 1, 1), 1.0, 1.0, {"diffuse": texture(1), "metallic": texture(2, 1),
                 "roughness": texture(3, 1), "normal": texture(4), "occlusion": texture(8, 1)}, normal_scale=0.25,
                 occlusion_strength=0.5, wraps={"diffuse": ("clamp", "clamp")}),
        Material("Plain", (0.2, 0.4, 0.6, 1.0), 0.25, 0.75, double_sided=False),
        Material("Leaf", (1, 1, 1, 1), 0.0, 0.5, {"diffuse": alpha}, alpha_mode="mask", alpha_cutoff=0.25),
        Material("Glass", (0.9, 0.8, 0.7, 0.5), 0.0, 0.5, alpha_mode="blend"),
        Material("Lamp", emissive=(0.0, 1.0, 0.25), emissive_strength=4.0),
        Material("Screen", textures={"emissive": texture(6)}, emissive=(1.0, 1.0, 1.0)),
        Material("Flat", (0.1, 0.2, 0.3, 1.0), unlit=True),
    ]  # fmt: skip
    mesh = Mesh(
        vertices=np.concatenate(sheets),
        corners=corners,
        face_starts=np.arange(37) * 4,
        corner_uvs=(rng.random((len(corners), 2)) * 6 - 3).astype(np.float32).round(3),
        corner_normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        face_materials=np.arange(36) % 7,
        materials=materials,
        vertex_colors=rng.random((60, 3)).astype(np.float32) if colors else None,
        up_axis="y",
        source=None,
        parts=[Part("body"), Part("left eye", 0), Part("right eye", 0)],
        face_parts=np.repeat([0, 1, 2], 12),
        origin=np.array([448262.0, 120.0, 5411932.0]) if far else np.zeros(3),
    )
    if colors:
        mesh.materials = [Material(f"m{index}") for index in range(7)]
    return mesh


def read_again(mesh: Mesh, suffix: str, folder: Path) -> Mesh:
    """Export a mesh at rest and read the file, in the mesh's own axes."""
    path = export(mesh, mesh.vertices[None], folder / f"a.{suffix}")
    if suffix.startswith("usd"):
        return read_usd(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = load_mesh(path / "frame0000.obj" if suffix == "obj" else path)
    if found.up_axis == "z" and mesh.up_axis == "y":  # Blender's importer
        turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        found.vertices, found.origin = found.vertices @ turn.T, turn @ found.origin
        if found.corner_normals is not None:
            found.corner_normals = found.corner_normals @ turn.T
    return found


def read_usd(path: Path) -> Mesh:
    """A stage as a mesh, as far as this package's own stages go."""
    stage = Usd.Stage.Open(str(path))
    prims = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    names = [prim for prim in stage.Traverse() if prim.IsA(UsdShade.Material)]
    parts: list[Part] = []
    numbers: dict[str, int] = {}

    def part(prim: Usd.Prim) -> int | None:
        if prim.GetName() == "Root":
            return None
        above = prim.GetParent()
        if above.GetName() != "Root" and above.GetName() == prim.GetName():
            return part(above)  # the faces of a part that others hang below
        key = str(prim.GetPath())
        if key not in numbers:
            parent = part(above)
            numbers[key] = len(parts)
            parts.append(Part(prim.GetDisplayName() or prim.GetName(), parent))
        return numbers[key]

    vertices, corners, sides, uvs, normals, slots, colors, owners = [], [], [], [], [], [], [], []
    count = 0
    double: dict[int, bool] = {}
    for prim in prims:
        shape, primvars = UsdGeom.Mesh(prim), UsdGeom.PrimvarsAPI(prim)
        points = np.array(shape.GetPointsAttr().Get(), dtype=np.float64)
        vertices.append(points)
        corners.append(np.array(shape.GetFaceVertexIndicesAttr().Get()) + count)
        sides.append(np.array(shape.GetFaceVertexCountsAttr().Get()))
        st = primvars.GetPrimvar("st")
        uvs.append(np.array(st.ComputeFlattened()) if st else np.full((len(corners[-1]), 2), np.nan))
        normals.append(np.array(primvars.GetPrimvar("normals").ComputeFlattened()))
        colors.append(primvars.GetPrimvar("displayColor").Get())
        owners.append(np.full(len(sides[-1]), part(prim)))
        slot = np.zeros(len(sides[-1]), dtype=np.int64)
        binding = UsdShade.MaterialBindingAPI(prim)
        for subset in binding.GetMaterialBindSubsets():
            bound, _ = UsdShade.MaterialBindingAPI(subset).ComputeBoundMaterial()
            slot[np.array(subset.GetIndicesAttr().Get())] = names.index(bound.GetPrim())
        if not binding.GetMaterialBindSubsets():
            slot[:] = names.index(binding.ComputeBoundMaterial()[0].GetPrim())
        double |= {int(index): shape.GetDoubleSidedAttr().Get() for index in np.unique(slot)}
        slots.append(slot)
        count += len(points)
    origin = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(prims[0]).ExtractTranslation())
    mesh = Mesh(
        np.concatenate(vertices), np.concatenate(corners), np.append(0, np.cumsum(np.concatenate(sides))),
        np.concatenate(uvs), np.concatenate(normals), np.concatenate(slots),
        [_usd_material(prim, path) for prim in names], None, "y", path, parts, np.concatenate(owners), origin,
    )  # fmt: skip
    if all(color is not None for color in colors):
        linear = np.concatenate([np.array(color) for color in colors])
        levels = np.linspace(0, 1, 100_001)
        mesh.vertex_colors = np.interp(linear, srgb_to_linear(levels), levels)
    return mesh


def _usd_material(prim: Usd.Prim, path: Path) -> Material:
    surface = UsdShade.Shader(prim.GetChild("Surface"))
    levels = np.linspace(0, 1, 100_001)

    def value(name: str, default: object) -> object:
        found = surface.GetInput(name)
        got = found.Get() if found else None
        return default if got is None else got

    red, green, blue = np.interp(value("diffuseColor", (0, 0, 0)), srgb_to_linear(levels), levels)
    material = Material(prim.GetDisplayName() or prim.GetName(), (red, green, blue, value("opacity", 1.0)))
    material.metallic, material.roughness = value("metallic", 0), value("roughness", 0.5)
    glow = np.array(value("emissiveColor", (0, 0, 0)))
    material.emissive_strength = max(1.0, float(glow.max()))
    material.emissive = tuple(glow / material.emissive_strength)
    material.alpha_mode = "opaque" if not surface.GetInput("opacity") else "blend"
    if surface.GetInput("opacityThreshold"):
        material.alpha_mode, material.alpha_cutoff = "mask", value("opacityThreshold", 0.5)
    for child in prim.GetChildren():
        role = child.GetName().removeprefix("Texture_")
        if not child.GetName().startswith("Texture_"):
            continue
        shader = UsdShade.Shader(child)
        pixels = np.asarray(Image.open(path.parent / shader.GetInput("file").Get().path))
        material.textures[role] = pixels[..., None] if pixels.ndim == 2 else pixels
        wraps = tuple(shader.GetInput(key).Get() for key in ("wrapS", "wrapT"))
        if wraps != ("repeat", "repeat"):
            material.wraps[role] = wraps
        scale = shader.GetInput("scale").Get() if shader.GetInput("scale") else (1, 1, 1, 1)
        if role == "normal":
            material.normal_scale = scale[0] / 2
        if role == "occlusion":
            material.occlusion_strength = scale[0]
    return material


def _alike(left: np.ndarray, right: np.ndarray, tolerance: float) -> bool:
    """Whether every row of each set is in the other."""
    far = [cKDTree(one).query(other)[0].max() for one, other in ((left, right), (right, left))]
    return max(far) < tolerance


def _at_corners(one: Mesh, values: np.ndarray) -> np.ndarray:
    """Rows of place and value at corners ``[K, 3 + C]``."""
    return np.concatenate([one.vertices[one.corners], np.asarray(values, dtype=np.float64)], axis=1)


def _same_corners(again: Mesh, mesh: Mesh, what: str, tolerance: float) -> bool:
    ours = getattr(again, what)
    return ours is not None and _alike(_at_corners(again, ours), _at_corners(mesh, getattr(mesh, what)), tolerance)


def _by_name(mesh: Mesh) -> dict[str, Material]:
    return {material.name: material for material in mesh.materials}


def _material(name: str, test: Callable[[Material, Material], bool]) -> Callable[[Mesh, Mesh], bool]:
    def check(again: Mesh, mesh: Mesh) -> bool:
        found = _by_name(again).get(name)
        return found is not None and test(found, _by_name(mesh)[name])

    return check


def _near(left: object, right: object, tolerance: float = 2e-3) -> bool:
    return bool(np.allclose(np.asarray(left, dtype=float), np.asarray(right, dtype=float), atol=tolerance))


def _maps(*kinds: str) -> Callable[[Material, Material], bool]:
    return lambda a, b: all(kind in a.textures and np.array_equal(a.textures[kind], b.textures[kind]) for kind in kinds)


def _parts_of(mesh: Mesh) -> list[str]:
    return [] if mesh.face_parts is None else sorted(mesh.parts[k].name for k in np.unique(mesh.face_parts))


def _parents(mesh: Mesh) -> dict[str, str | None]:
    return {p.name: None if p.parent is None else mesh.parts[p.parent].name for p in mesh.parts}


def _same_colors(again: Mesh, mesh: Mesh) -> bool:
    if again.vertex_colors is None:
        return False
    rows = (np.concatenate([one.vertices, one.vertex_colors], axis=1) for one in (again, mesh))
    return _alike(*rows, 6e-3)


def _same_assignment(again: Mesh, mesh: Mesh) -> bool:
    """Whether corners are of the same materials, by name."""
    names = sorted(_by_name(again))
    if names != sorted(_by_name(mesh)):
        return False

    def rows(one: Mesh) -> np.ndarray:
        number = np.array([names.index(material.name) for material in one.materials])[one.face_materials]
        return _at_corners(one, np.repeat(number, np.diff(one.face_starts))[:, None])

    return _alike(rows(again), rows(mesh), 1e-4)


_Check = Callable[[Mesh, Mesh], bool]
PLAIN: dict[str, _Check] = {
    "positions": lambda a, m: _alike(a.vertices, m.vertices, 1e-5),
    "vertex count and order": lambda a, m: a.vertices.shape == m.vertices.shape and _near(a.vertices, m.vertices, 1e-5),
    "quads and n-gons": lambda a, m: a.n_faces == m.n_faces and bool((np.diff(a.face_starts) == 4).all()),
    "UVs, outside of 0..1 too": lambda a, m: _same_corners(a, m, "corner_uvs", 1e-4),
    "normals": lambda a, m: _same_corners(a, m, "corner_normals", 0.02),
    "part names": lambda a, m: _parts_of(a) == _parts_of(m),
    "part hierarchy": lambda a, m: _parents(a) == _parents(m),
    "material names": lambda a, m: _by_name(a).keys() == _by_name(m).keys(),
    "faces of every material": _same_assignment,
    "base colour": _material("Plain", lambda a, b: _near(a.base_color, b.base_color)),
    "metallic, roughness": _material("Plain", lambda a, b: _near([a.metallic, a.roughness], [0.25, 0.75])),
    "diffuse, normal map": _material("Painted skin", _maps("diffuse", "normal")),
    "metallic, roughness map": _material("Painted skin", _maps("metallic", "roughness")),
    "normal scale": _material("Painted skin", lambda a, b: _near(a.normal_scale, b.normal_scale)),
    "occlusion map, strength": _material(
        "Painted skin", lambda a, b: _maps("occlusion")(a, b) and _near(a.occlusion_strength, 0.5)
    ),
    "clamped textures": _material("Painted skin", lambda a, b: a.wraps.get("diffuse") == ("clamp", "clamp")),
    "opacity": _material("Glass", lambda a, b: _near(a.base_color[3], 0.5) and a.alpha_mode == "blend"),
    "opacity of a texture": _material("Leaf", lambda a, b: _maps("diffuse")(a, b) and a.alpha_mode != "opaque"),
    "alpha cutoff": _material("Leaf", lambda a, b: a.alpha_mode == "mask" and _near(a.alpha_cutoff, 0.25)),
    "emission": _material("Lamp", lambda a, b: _near(np.array(a.emissive) * a.emissive_strength, [0, 4, 1], 5e-3)),
    "emission map": _material("Screen", lambda a, b: _maps("emissive")(a, b) and _near(a.emissive, 1)),
    "culled back faces": _material("Plain", lambda a, b: a.double_sided is False),
    "unlit": _material("Flat", lambda a, b: a.unlit),
}
COLORED: dict[str, _Check] = {"vertex colours": lambda a, m: _same_colors(a, m)}
FAR: dict[str, _Check] = {
    "place far from the origin": lambda a, m: _near(
        (a.vertices + a.origin).min(axis=0), (m.vertices + m.origin).min(axis=0), 1e-3
    ),
}


def table() -> str:
    """The table as Markdown."""
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            for name, (mesh, checks) in {
                "plain": (everything(), PLAIN),
                "colored": (everything(colors=True), COLORED),
                "far": (everything(far=True), FAR),
            }.items():
                target = Path(folder) / suffix / name
                again = read_again(mesh, suffix, target)
                for row, check in checks.items():
                    rows.setdefault(row, []).append("kept" if check(again, mesh) else "–")
    lines = [f"| | {' | '.join(FORMATS.values())} |", "|---" * (1 + len(FORMATS)) + "|"]
    lines += [f"| {row} | {' | '.join(cells)} |" for row, cells in rows.items()]
    return "\n".join(lines)


def documented(page: str) -> str:
    """The table between the markers of a page, which has it once.

    Raises:
        ValueError: a marker is missing or there twice, or the table stands outside of the markers too.
    """
    if page.count(START) != 1 or page.count(END) != 1 or page.index(START) > page.index(END):
        raise ValueError(f"the page needs one {START} and below it one {END}")
    found = page.split(START)[1].split(END)[0].strip("\n")
    header = f"| {' | '.join(FORMATS.values())} |"
    if page.count(header) != found.count(header):
        raise ValueError("the page has the table outside of the markers too")
    return found


def replaced(page: str, made: str) -> str:
    """The page with another table between its markers; the rest stays as it is."""
    above, rest = page.split(START)
    return f"{above}{START}\n{made}\n{END}{rest.split(END)[1]}"


def main() -> None:
    made = table()
    if "--write" in sys.argv[1:]:
        page = PAGE.read_text()
        documented(page)
        PAGE.write_text(replaced(page, made))
    print(made)


if __name__ == "__main__":
    main()
