"""Loading the plugins of ``custom/``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from animate3d.resources import resource_roots
from animate3d.studio import registry
from animate3d.studio.surface import alias_threestudio

_loaded: set[str] = set()


def load_plugins() -> None:
    """Import every plugin of the ``custom`` folders once; their classes register themselves.

    A plugin that fails leaves no registered names, is tried again after the others (it may build on one of them), and
    is then named by a warning and by every error about a name that is not registered.
    """
    alias_threestudio()
    pending = [p for p in plugin_paths() if p.stem not in _loaded and p.stem not in registry.failed_plugins]
    while pending:
        failures = {}
        for path in pending:
            try:
                _load(path)
                _loaded.add(path.stem)
            except Exception as error:  # a plugin may raise anything
                failures[path] = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if len(failures) == len(pending):
            for path, reason in failures.items():
                registry.failed_plugins[path.stem] = reason
                registry.warn("The plugin %s failed to load: %s", path, reason)
            return
        pending = list(failures)


def plugin_paths() -> list[Path]:
    """Plugin folders and single files, in the order of loading: threestudio-3dgs first, others build on it.

    The ``custom`` folder of the current directory comes before the project's own; the first plugin of a name counts.
    """
    found: dict[str, Path] = {}
    for root in resource_roots():
        for path in sorted((root / "custom").glob("*")):
            is_plugin = (path / "__init__.py").is_file() or path.suffix == ".py"
            if is_plugin and not path.name.startswith((".", "_")) and not path.stem.endswith("_disabled"):
                found.setdefault(path.stem, path)
    return sorted(found.values(), key=lambda path: (path.stem != "threestudio-3dgs", path.stem))


def _load(path: Path) -> None:
    name = path.stem
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    before = registry.registered()
    # Under its folder's name before it runs, so that relative imports and other plugins find it.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        registry.restore(before)
        for key in [k for k in sys.modules if k == name or k.startswith(f"{name}.")]:
            del sys.modules[key]
        raise
