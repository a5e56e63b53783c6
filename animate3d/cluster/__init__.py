"""Many jobs on one machine or a cluster, with Ray: pools of warm workers, retries, limits of time and memory."""

from animate3d.cluster.engine import run_jobs
from animate3d.cluster.jobs import Event, Job, Limits, Pool, Stage
from animate3d.cluster.many import Ended, each
from animate3d.cluster.ray import joined

__all__ = ["Ended", "Event", "Job", "Limits", "Pool", "Stage", "each", "joined", "run_jobs"]
