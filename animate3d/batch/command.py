"""``animate3d batch``: a table of jobs, on this machine or a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from animate3d.arguments import parse
from animate3d.batch.options import BatchCommand
from animate3d.progress import say

_SUMMARY = "a table of jobs, or a folder of models and a prompt -> many animated files, on one machine or a cluster"
_EXAMPLES = """examples:
  animate3d batch jobs.csv --out outputs/all
  animate3d batch models/ --prompt "it is walking" --seeds 0-3 --out outputs/walks
  animate3d batch jobs.parquet --prompts prompts.txt --out s3://bucket/walks --address auto --gpus-per-job 1
  animate3d batch jobs.jsonl --out outputs/all --timeout 1800 --retries 2 --memory 8

Columns of the table are named as the flags of `animate3d animate`: model, prompt, seed, fps, …; others are kept. Paths
start from the folder of the table. Results: DIR/jobs.parquet and jobs.csv, DIR/index.html, and a folder for every job
as `animate` writes it. Run the same command again to do what is missing. The exit code is 1 if a job has failed.
"""


def main(arguments: Sequence[str]) -> int:
    """Do the jobs; 1 if any has failed."""
    given, _ = parse(BatchCommand, arguments, prog="animate3d batch", summary=_SUMMARY, examples=_EXAMPLES)

    from animate3d.batch.run import run_batch  # pyarrow and Ray take a second to import

    return run_batch(given, say)
