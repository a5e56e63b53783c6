"""Two nodes as own processes: one is killed in the middle, and nothing is lost or done twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_work
import pytest

from animate3d.cluster import Event, Job, Limits, Pool, Stage, joined, run_jobs
from animate3d.cluster.ray import ray_module

pytest.importorskip("ray")


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that does no work, and two nodes of one core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")
        ray_module()
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield made, [made.add_node(num_cpus=1) for _ in range(2)]
        finally:
            made.shutdown()


@pytest.mark.slow
def test_a_node_that_is_killed_loses_no_job(cluster: Any, tmp_path: Path) -> None:
    made, nodes = cluster
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if event.state == "done" and sum(event.state == "done" for event in told) == 6:
            at_both = {event.node for event in told if event.state == "done"}
            assert len(at_both) == 2
            made.remove_node(nodes.pop(), allow_graceful=False)

    jobs = [Job(f"{n}", (str(tmp_path), f"{n}"), (Stage("all", fake_work.slow),)) for n in range(20)]
    with joined(made.address) as where:
        assert "3 machines" in where
        run_jobs(jobs, [Pool("all")], Limits(retries=0), tell)
    ends = Counter(event.job.key for event in told if event.state in ("done", "failed"))
    assert ends == Counter(f"{n}" for n in range(20))
    assert not [event for event in told if event.state == "failed"]
    begun = [len((tmp_path / f"{n}").read_text().split("\n")) - 1 for n in range(20)]
    assert sum(begun) in (20, 21)  # at most the job that the node was at is begun again
