"""The two geometries: what they load, what they are called in checkpoints, what is optimised."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from animate3d.errors import InputError
from animate3d.meshes.placement import Placement
from animate3d.studio import api

from .conftest import GAUSSIANS, Toy

SMALL = {"grid_size": [[4, 5, 6, 3]], "n_grid_dims": 2}


def moving(**values: Any) -> Any:
    return api.find("gaussian-splatting-4d")({**SMALL, **values})


def static(**values: Any) -> Any:
    return api.find("gaussian-splatting-3d-vis")(values)


FLAGS = {
    "identity": {},
    "rx90_rz90_s076": {"rot_x_degree": 90.0, "rot_z_degree": 90.0, "scale_factor": 0.76},
    "rx30_rzm50_s15": {"rot_x_degree": 30.0, "rot_z_degree": -50.0, "scale_factor": 1.5},
}


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("degree", [0, 1])
def test_ply_files_load_as_recorded(plugin: ModuleType, golden: Path, flags: str, degree: int) -> None:
    recorded = load_file(golden / "ply_transform" / "cases.safetensors")
    ply = golden / "ply_transform" / f"gaussians_sh{degree}.ply"
    geometry = static(geometry_convert_from=str(ply), sh_degree=degree, load_ply_cfg=FLAGS[flags])
    prefix = f"load_ply.sh{degree}.{flags}"
    for name in ("xyz", "scaling", "opacity", "features_dc"):
        torch.testing.assert_close(getattr(geometry, f"_{name}"), recorded[f"{prefix}.{name}"], atol=1e-5, rtol=1e-5)
    found, expected = (
        torch.nn.functional.normalize(q, dim=-1) for q in (geometry._rotation, recorded[f"{prefix}.rotation"])
    )
    torch.testing.assert_close((found * expected).sum(-1).abs(), torch.ones(len(found)), atol=1e-5, rtol=1e-5)
    assert geometry._features_rest.shape == recorded[f"{prefix}.features_rest"].shape


def test_a_placement_file_takes_the_place_of_the_flags(plugin: ModuleType, toy: Toy, tmp_path: Path) -> None:
    placement = Placement(Placement.from_flags(90.0, 0.0).rotation, 0.5, np.array([0.1, 0.2, 0.3]))
    placement.save(tmp_path / "placement.json")
    config = {"rot_x_degree": 33.0, "scale_factor": 2.0, "placement": str(tmp_path / "placement.json")}
    geometry = static(geometry_convert_from=str(toy.ply), load_ply_cfg=config)
    torch.testing.assert_close(geometry.get_xyz, placement.apply(toy.gaussians.means))


def test_view_dependent_colour_is_dropped_by_default_and_kept_on_request(plugin: ModuleType, golden: Path) -> None:
    ply = str(golden / "ply_transform" / "gaussians_sh1.ply")
    assert static(geometry_convert_from=ply).max_sh_degree == 0
    geometry = static(geometry_convert_from=ply, sh_degree=1)
    assert geometry.max_sh_degree == 1
    seen = geometry.splats(torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])).colors
    assert seen.shape == (1, 2, 50, 3) and not torch.allclose(seen[0, 0], seen[0, 1])


def test_checkpoint_names(plugin: ModuleType, toy: Toy) -> None:
    names = set(moving(geometry_convert_from=str(toy.ply)).state_dict())
    heads = ("delta_xyz", "delta_rot", "delta_scaling", "global_rot", "global_trans")
    assert names == {
        *("_xyz", "_features_dc", "_features_rest", "_opacity", "_scaling", "_rotation"),
        *(f"grids.0.{plane}" for plane in range(6)),
        *(f"{head}_network.layers.{layer}.weight" for head in heads for layer in (0, 2)),
    }


def test_optimizer_groups_are_the_recorded_ones(plugin: ModuleType, golden: Path, toy: Toy) -> None:
    recorded = json.loads((golden / "kplanes_deform" / "optimizer_groups.json").read_text())
    geometry = moving(geometry_convert_from=str(toy.ply))
    names = {id(parameter): name for name, parameter in geometry.named_parameters()}
    groups = {g["name"]: [names[id(p)] for p in g["params"]] for g in geometry.optimizer_groups()}
    assert groups == recorded["groups"]
    assert not set(recorded["not_optimised"]) & set(names.values())


def test_a_checkpoint_brings_its_own_gaussians(plugin: ModuleType, toy: Toy, golden: Path) -> None:
    source = moving(geometry_convert_from=str(toy.ply))
    for target in (
        moving(geometry_convert_from="not/there.ply"),
        moving(geometry_convert_from=str(golden / "ply_transform" / "gaussians_sh1.ply"), sh_degree=1),
    ):
        target.load_state_dict(source.state_dict())
        assert len(target.get_xyz) == GAUSSIANS and target.max_sh_degree == 0
        torch.testing.assert_close(target._rotation, source._rotation)


def test_whether_the_scale_head_was_trained_is_in_its_weights(plugin: ModuleType, toy: Toy) -> None:
    geometry = moving(geometry_convert_from=str(toy.ply))
    assert not geometry.delta_scale_trained
    with torch.no_grad():
        geometry.delta_scaling_network.layers[-1].weight[0, 0] = 1e-7
    assert geometry.delta_scale_trained


def test_missing_gaussians_are_one_clear_sentence(plugin: ModuleType) -> None:
    with pytest.raises(InputError, match=r"The Gaussian ply not/there.ply does not exist: set .* or resume="):
        moving(geometry_convert_from="not/there.ply").require_gaussians()
    with pytest.raises(InputError, match="There is no Gaussian model"):
        moving().require_gaussians()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"load_ply_cfg": {"rot_y_degree": 3.0}}, "no key `rot_y_degree`"),
        ({"load_ply_cfg": {"scale_factor": 0.0}}, "scale_factor must lie between"),
        ({"n_input_dims": 3}, "n_input_dims is 3"),
        ({"pred_normal": True}, "pred_normal is not supported"),
        ({"grid_size": [[4, 5, 6]]}, "4 positive sizes"),
    ],
)
def test_unusable_settings_are_refused(plugin: ModuleType, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        moving(**values)


def test_objects_turn_and_move_by_themselves(plugin: ModuleType, toy: Toy, tmp_path: Path) -> None:
    ids = (toy.gaussians.means[:, 0] > toy.gaussians.means[:, 0].median()).long().numpy()
    np.save(tmp_path / "ids.npy", ids)
    geometry = moving(geometry_convert_from=str(toy.ply), object_ids_path=str(tmp_path / "ids.npy"))
    plain = moving(geometry_convert_from=str(toy.ply))
    assert set(geometry.state_dict()) == set(plain.state_dict()) | {"_object_ids"}
    for name, weight in geometry.named_parameters():
        torch.nn.init.normal_(weight, std=1.0, generator=torch.Generator().manual_seed(len(name)))
    plain.load_state_dict({name: value for name, value in geometry.state_dict().items() if name != "_object_ids"})
    times = torch.tensor([-1.0, 0.0, 1.0])
    means = geometry.deform(times, use_delta_scale=True)[0]
    for number in range(2):
        own = torch.from_numpy(np.flatnonzero(ids == number))
        parts = (geometry._xyz[own], geometry._rotation[own], geometry._scaling[own])
        alone = geometry._deform(*parts, times, use_delta_scale=True)[0]
        torch.testing.assert_close(means[:, own], alone)
    assert not torch.allclose(means, plain.deform(times, use_delta_scale=True)[0], atol=1e-3)


def test_a_checkpoint_brings_its_objects(plugin: ModuleType, toy: Toy, tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.arange(GAUSSIANS) % 3)
    geometry = moving(geometry_convert_from=str(toy.ply), object_ids_path=str(tmp_path / "ids.npy"))
    other = moving(geometry_convert_from=str(toy.ply))
    other.load_state_dict(geometry.state_dict())
    assert torch.equal(other.object_ids, geometry.object_ids)
    geometry.load_state_dict(moving(geometry_convert_from=str(toy.ply)).state_dict())
    assert geometry.object_ids is None


@pytest.mark.parametrize("wrong", [np.zeros(3, int), np.zeros(GAUSSIANS), np.full(GAUSSIANS, -1)])
def test_object_ids_of_another_model(plugin: ModuleType, toy: Toy, tmp_path: Path, wrong: np.ndarray) -> None:
    np.save(tmp_path / "ids.npy", wrong)
    with pytest.raises(InputError, match="whole numbers from 0"):
        moving(geometry_convert_from=str(toy.ply), object_ids_path=str(tmp_path / "ids.npy"))


def test_rigidity_does_not_reach_across_objects(plugin: ModuleType) -> None:
    rest = torch.rand(20, 3)
    objects = torch.arange(20) % 2
    rigidity = sys.modules["threestudio-animate3d.system.rigidity"].Rigidity(rest, {}, None, objects=objects)
    same = objects[rigidity.neighbours] == objects[:, None]
    assert (rigidity.valid <= same).all() and (~same).any()
    moved = rest + objects[:, None] * torch.tensor([0.0, 0.0, 5.0])
    assert float(rigidity(moved[None])) < 1e-6
