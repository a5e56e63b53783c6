"""Data sets are read by the training, repeat byte for byte, and can be continued."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from animate3d.creatures import make_creature, move
from animate3d.creatures.captions import FAMILY_MOTIONS
from animate3d.errors import InputError
from animate3d.files import read_json, sha256
from animate3d.meshes import load_mesh
from animate3d.mvvdm.data import build_dataset
from animate3d.mvvdm.data.check import check
from animate3d.small_model.data.command import main
from animate3d.small_model.data.plan import plan
from animate3d.small_model.data.synthesize import Settings, synthesize
from animate3d.small_model.data.views import render_views

SETTINGS = Settings(clips=5, held_out=2, seed=3, families=("snake", "ball"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synthesize(folder, SETTINGS)
    return folder


@pytest.mark.slow
def test_training_reads_it_and_the_videos_are_nearly_lossless(made: Path):
    dataset = build_dataset(
        made / "clips.json", sample_size=64, sample_n_frames=8, num_views=4, frame_stride=1, seed=0, batch_size=1
    )
    samples = list(dataset)
    assert len(samples) == 5
    creatures = {creature.uid: creature for creature in plan(5, 3, SETTINGS.families)}
    for sample in samples:
        uid, name = sample["key"].split("/")
        clip = next(clip for clip in creatures[uid].clips if clip.name == name)
        creature = make_creature(creatures[uid].family, creatures[uid].seed)
        positions = move(creature, clip.motion, 8, clip.amplitude, clip.speed)
        images = render_views(creature.mesh, creature.mesh.automatic_placement().apply(positions), views=4, size=64)
        pixels = (sample["pixel_values"].permute(0, 1, 3, 4, 2).numpy() + 1) * 127.5
        error = pixels - images[sample["views"].numpy()]
        assert 10 * np.log10(255**2 / (error**2).mean()) > 40
        assert sample["text"]


def test_the_check_finds_nothing_wrong(made: Path):
    report = vars(check(made / "clips.json", decode=True))
    assert report["usable"] == 5
    assert not report["unreadable"]


def test_the_info_file_describes_every_clip(made: Path):
    infos = read_json(made / "uid_info_dict.json")
    entries = [entry for some in infos.values() for entry in some]
    assert len(entries) == 5
    assert {entry["elv"] for entry in entries} == {15.0}
    assert {"prompt", "azi_start", "anim", "url", "license", "motion"} <= set(entries[0])


def test_the_same_settings_make_the_same_bytes(made: Path, tmp_path: Path):
    synthesize(tmp_path / "again", SETTINGS)
    assert sha256(tmp_path / "again") == sha256(made)


@pytest.mark.slow
def test_the_number_of_workers_does_not_matter(made: Path, tmp_path: Path):
    synthesize(tmp_path / "again", SETTINGS, workers=2)
    assert sha256(tmp_path / "again") == sha256(made)


@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes(made: Path, tmp_path: Path):
    pytest.importorskip("ray")
    synthesize(tmp_path / "again", SETTINGS, address="local")
    assert sha256(tmp_path / "again") == sha256(made)


def test_a_stopped_run_continues_with_what_is_missing(made: Path, tmp_path: Path):
    folder = tmp_path / "data"
    shutil.copytree(made, folder)
    kept, lost = sorted((folder / "videos").iterdir())[:2]
    before = (kept / "00" / "view_0.mp4").stat().st_mtime_ns
    shutil.rmtree(lost)
    (folder / "clips.json").unlink()
    done: list[int] = []
    synthesize(folder, SETTINGS, progress=lambda items, total: done.append(total) or items)
    assert done == [1]
    assert sha256(folder) == sha256(made)
    assert (kept / "00" / "view_0.mp4").stat().st_mtime_ns == before


def test_a_data_set_can_grow_but_not_change(made: Path, tmp_path: Path):
    folder = tmp_path / "data"
    synthesize(folder, Settings(clips=4, held_out=1, seed=3, families=("snake", "ball")))
    synthesize(folder, SETTINGS)
    assert sha256(folder) == sha256(made)
    for other in (
        Settings(clips=4, held_out=2, seed=3, families=("snake", "ball")),
        Settings(clips=5, held_out=2, seed=4, families=("snake", "ball")),
        Settings(clips=5, held_out=2, seed=3, size=32, families=("snake", "ball")),
    ):
        with pytest.raises(InputError, match="other settings"):
            synthesize(folder, other)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "photo.png").touch()
    with pytest.raises(InputError, match="not empty"):
        synthesize(tmp_path, SETTINGS)


def test_held_out_creatures_are_never_trained_on():
    training = [creature.seed for seed in range(3) for creature in plan(3000, seed)]
    held_out = [creature.seed for seed in range(3) for creature in plan(120, seed, held_out=True)]
    assert not set(training) & set(held_out)
    assert len(set(training)) == len(training)
    assert {seed % 2 for seed in training} == {0} and {seed % 2 for seed in held_out} == {1}


def test_held_out_clips_come_with_mesh_and_trajectory(made: Path):
    creature = plan(2, 3, SETTINGS.families, held_out=True)[0]
    mesh = load_mesh(made / "held_out" / "creatures" / creature.uid)
    truth = np.load(made / "held_out" / "videos" / creature.uid / "01" / "trajectory.npz")
    assert truth["positions"].shape == (8, mesh.n_vertices, 3)
    assert (str(truth["family"]), str(truth["motion"])) == (creature.family, creature.clips[1].motion)
    placement = mesh.automatic_placement()
    assert np.allclose(truth["placement"], placement.matrix(), atol=1e-4)
    assert np.allclose(truth["positions"][0], placement.apply(mesh.vertices), atol=1e-4)


def test_families_take_turns_and_have_all_their_motions():
    creatures = plan(42, 0)
    made = {(creature.family, clip.motion) for creature in creatures for clip in creature.clips}
    assert made == {(family, motion) for family, motions in FAMILY_MOTIONS.items() for motion in motions}


def test_bad_settings_are_told():
    with pytest.raises(InputError, match="even"):
        Settings(clips=1, held_out=0, size=33)
    with pytest.raises(InputError, match="clips"):
        Settings(clips=0, held_out=0)
    with pytest.raises(InputError, match="unicorn"):
        plan(3, 0, ("unicorn",))


def test_the_command_writes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["--out", str(tmp_path / "data"), "--clips", "2", "--held-out", "0", "--families", "snake"]
    assert main(["synthesize", *arguments, "--workers", "1", "--frames", "3", "--size", "32"]) == 0
    assert "2 clips" in capsys.readouterr().out
    assert len(read_json(tmp_path / "data" / "clips.json")) == 2
