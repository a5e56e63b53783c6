"""Jobs all end, good ones well and broken ones with a sentence, whatever the broken ones do to their workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_work
import pytest

from animate3d.cluster import Event, Job, Limits, Pool, Stage, joined, run_jobs
from animate3d.cluster.staff import room
from animate3d.errors import Animate3DError, InputError

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def ray() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")  # of the workers
        yield from _started()


def _started() -> Iterator[str]:
    with joined(cpus=2, gpus=1) as where:
        yield where


def job(folder: Path, name: str, *work: Callable[..., Any], pools: tuple[str, ...] = ("all", "all")) -> Job:
    return Job(name, (str(folder), name), tuple(Stage(pool, part) for pool, part in zip(pools, work, strict=False)))


def ends(jobs: list[Job], pools: list[Pool], limits: Limits | None = None) -> dict[str, Event]:
    """How each job ended; it ends once."""
    told: list[Event] = []
    run_jobs(jobs, pools, limits, told.append)
    last = [event for event in told if event.state in ("done", "failed")]
    assert sorted(event.job.key for event in last) == sorted(job.key for job in jobs)
    return {event.job.key: event for event in last}


def test_jobs_share_warm_workers(ray: str, tmp_path: Path) -> None:
    found = ends([job(tmp_path, f"job{n}", fake_work.slow) for n in range(8)], [Pool("all")])
    assert {event.error for event in found.values()} == {None}
    assert len({event.facts["pid"] for event in found.values()}) == 2
    assert all(len((tmp_path / name).read_text().splitlines()) == 1 for name in found)


def test_stages_run_in_their_order_in_pools_of_their_own(ray: str, tmp_path: Path) -> None:
    pools = [Pool("video", 1, 1.0), Pool("motion")]
    both = ("video", "motion")
    found = ends([job(tmp_path, f"job{n}", fake_work.prepare, fake_work.work, pools=both) for n in range(9)], pools)
    assert {event.state for event in found.values()} == {"done"}
    lines = [(tmp_path / name).read_text().splitlines() for name in found]
    assert all([line.split()[0] for line in part] == ["prepared", "ran"] for part in lines)
    video, motion = ({part[stage].split()[1] for part in lines} for stage in (0, 1))
    assert not video & motion


def test_a_job_that_failed_by_chance_is_tried_again(ray: str, tmp_path: Path) -> None:
    found = ends([job(tmp_path, "job", fake_work.fails_once)], [Pool("all")])
    assert found["job"].facts == {"attempt": 2}


def test_without_retries_its_error_is_one_sentence(ray: str, tmp_path: Path) -> None:
    found = ends([job(tmp_path, "job", fake_work.fails_once)], [Pool("all")], Limits(retries=0))
    assert found["job"].error == "RuntimeError: the first attempt"


def test_wrong_input_is_not_tried_again(ray: str, tmp_path: Path) -> None:
    found = ends([job(tmp_path, "job", fake_work.unusable)], [Pool("all")], Limits(retries=5))
    assert found["job"].error == "job does not exist."
    assert len((tmp_path / "job").read_text().splitlines()) == 1


def test_broken_jobs_stop_no_others(ray: str, tmp_path: Path) -> None:
    kinds = list(fake_work.BROKEN)
    good = [job(tmp_path, f"good{n}", fake_work.work) for n in range(20)]
    bad = [job(tmp_path, f"{kinds[n % 4]}.{n}", fake_work.BROKEN[kinds[n % 4]][0]) for n in range(20)]
    mixed = [part for pair in zip(good, bad, strict=True) for part in pair]
    found = ends(mixed, [Pool("all", memory=2**30)], Limits(retries=0, timeout=1.0))
    assert [found[part.key].state for part in good] == ["done"] * 20
    assert [found[part.key].state for part in bad] == ["failed"] * 20
    for part in bad:
        assert fake_work.BROKEN[part.key.split(".")[0]][1] in str(found[part.key].error)


def test_many_short_jobs_take_moments(ray: str) -> None:
    found = ends([Job(f"{n}", n, (Stage("all", abs),)) for n in range(500)], [Pool("all")])
    assert [found[f"{n}"].facts for n in range(500)] == list(range(500))


def test_workers_that_cannot_start_are_one_error(ray: str, tmp_path: Path) -> None:
    with pytest.raises(Animate3DError, match="no driver for this card"):
        ends([job(tmp_path, "job", fake_work.work)], [Pool("all", warm=fake_work.no_start)])


def test_a_worker_that_no_machine_has_room_for_is_refused(ray: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No machine has the 1 CPUs and 4 GPUs"):
        ends([job(tmp_path, "job", fake_work.work)], [Pool("all", gpus=4)])


def test_pools_with_gpus_take_their_cpus_first() -> None:
    nodes = [{"Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Resources": {"CPU": 3.0}}]
    assert room(nodes, [Pool("motion", 2), Pool("video", 1, 0.5)]) == {"video": [4, 0], "motion": [2, 1]}
