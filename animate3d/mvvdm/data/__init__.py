"""MV-Video and other multi-view videos as training clips; docs/data.md describes the files and the commands."""

from animate3d.mvvdm.data.dataset import build_dataset
from animate3d.mvvdm.data.loader import ClipLoader
from animate3d.mvvdm.data.sources import load_records

__all__ = ["ClipLoader", "build_dataset", "load_records"]
