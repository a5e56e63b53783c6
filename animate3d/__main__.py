"""``python -m animate3d``: the same as the `animate3d` command."""

from animate3d.cli import entry

entry()
