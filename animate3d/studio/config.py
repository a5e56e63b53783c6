"""Run configs: YAML files, command-line overrides, interpolation, and typed component configs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import omegaconf
import yaml
from omegaconf import DictConfig, OmegaConf
from packaging.version import parse as parse_version

from animate3d.errors import InputError
from animate3d.files import existing_file
from animate3d.studio.registry import name_of_config, near_names, warn
from animate3d.studio.scalars import C_max

PROMPT_KEYS = {"prompt", "negative_prompt"}
OPTIONAL_PROMPT_KEYS = {"prompt_front", "prompt_side", "prompt_back", "prompt_overhead"}
NAME_KEYS = {"name", "tag", "description"}
TEXT_OR_NULL_KEYS = {"resume", "weights", "timestamp"}
TEXT_OR_NULL_ENDINGS = ("_path", "_root", "_dir", "_convert_from")

_RESOLVERS: dict[str, Callable[..., Any]] = {
    "calc_exp_lr_decay_rate": lambda factor, n: factor ** (1.0 / n),
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "idiv": lambda a, b: a // b,
    "basename": os.path.basename,
    "rmspace": lambda text, sub: str(text).replace(" ", sub),
    "tuple2": lambda x: [float(x), float(x)],
    "gt0": lambda x: x > 0,
    "not": lambda x: not x,
    "cmaxgt0": lambda x: C_max(x) > 0,
    "cmaxgt0orcmaxgt0": lambda a, b: C_max(a) > 0 or C_max(b) > 0,
}
# OmegaConf 2.4 deprecates the name of 2.3, where the new name was an older function.
_is_2_3 = parse_version(omegaconf.__version__) < parse_version("2.4.0.dev0")
_register = OmegaConf.register_new_resolver if _is_2_3 else OmegaConf.register_resolver
for _name, _function in _RESOLVERS.items():
    _register(_name, _function, replace=True)


class UnknownKeyError(InputError, TypeError):
    """A config holds a key that its component does not have, or is not a mapping."""


def parse_structured(config_class: type, cfg: dict[str, Any] | DictConfig) -> Any:
    """Check ``cfg`` against a dataclass and fill in the defaults.

    Returns:
        A typed `DictConfig`: attribute, ``[]`` and ``.get`` access; new attributes are refused.

    Raises:
        UnknownKeyError: names the component and the nearest key. omegaconf's ValidationError: a wrong type.
    """
    if not isinstance(cfg, dict | DictConfig):
        raise UnknownKeyError(
            f"'{name_of_config(config_class)}' needs a mapping of settings, not {type(cfg).__name__}."
        )
    if is_dataclass(config_class):
        known = [f.name for f in fields(config_class) if f.init]
        for key in map(str, cfg):
            if key not in known:
                raise UnknownKeyError(
                    f"'{name_of_config(config_class)}' has no setting '{key}'{near_names(key, known)}."
                )
    # Reading a value un-escapes it, so a literal "${" has to be escaped again to stay literal.
    # Containers keep the text as it is, so nothing is to be done below the first level.
    values = {str(k): _escaped(v) if isinstance(v, str) else v for k, v in cfg.items()}
    return OmegaConf.structured(config_class(**values))


@dataclass
class ExperimentConfig:
    """Top level of a run config."""

    name: str = "default"
    description: str = ""
    tag: str = ""
    seed: int = 0
    use_timestamp: bool = True
    timestamp: str | None = None
    exp_root_dir: str = "outputs"

    # Computed; accepted in a file because a saved parsed.yaml holds them.
    exp_dir: str = "outputs/default"
    trial_name: str = "exp"
    trial_dir: str = "outputs/default/exp"
    n_gpus: int = 1

    resume: str | None = None

    data_type: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    system_type: str = ""
    system: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tag and not self.use_timestamp:
            raise InputError("Either tag is specified or use_timestamp is True.")
        self.trial_name = self.tag
        # A timestamp that is given, as in a saved config, is kept: the run continues in its own folder.
        if self.timestamp is None:
            self.timestamp = ""
            if self.use_timestamp:
                if self.n_gpus > 1:
                    warn("No timestamp with several GPUs: the processes would not agree on one.")
                else:
                    self.timestamp = datetime.now().strftime("@%Y%m%d-%H%M%S")
        self.trial_name += self.timestamp
        self.exp_dir = os.path.join(self.exp_root_dir, self.name)
        self.trial_dir = os.path.join(self.exp_dir, self.trial_name)


def load_config(
    *yamls: str | os.PathLike[str], cli_args: Sequence[str] = (), from_string: bool = False, **kwargs: Any
) -> Any:
    """Merge YAML files (later wins), ``key.sub=value`` overrides and ``kwargs``, resolve, and check the top level.

    Mappings merge, lists are replaced. Interpolations see the overrides. Prompts are text whatever they contain.
    No folder is made.

    Args:
        yamls: files, or YAML text with ``from_string``.
        cli_args: dot-list overrides; values are YAML.
        from_string: the YAMLs are text.
        kwargs: top-level values that win over everything.

    Returns:
        a structured `ExperimentConfig`.
    """
    parts = [_load_yaml(str(y), "the config text") if from_string else _load_file(y) for y in yamls]
    cfg = OmegaConf.merge(*parts, _parse_dotlist(cli_args), OmegaConf.create(kwargs))
    resolved = OmegaConf.create(_escaped(OmegaConf.to_container(cfg, resolve=True)))
    return parse_structured(ExperimentConfig, resolved)


def config_to_primitive(config: Any, resolve: bool = True) -> Any:
    """Plain dicts and lists."""
    return OmegaConf.to_container(config, resolve=resolve)


def dump_config(path: str | os.PathLike[str], config: Any) -> None:
    """Write a config as YAML; loading it again gives the same values."""
    # Not resolved: what load_config returns holds no interpolation, only escaped literals that must stay escaped.
    OmegaConf.save(config=config, f=Path(path))


def _load_file(path: str | os.PathLike[str]) -> DictConfig:
    path = existing_file(path, "config file")
    try:
        return _load_yaml(path.read_text(), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file.") from error


def _load_yaml(text: str, where: str) -> DictConfig:
    """YAML to config, with prompts read as the text that is written."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return OmegaConf.create({})
        _mark_prompts_as_text(node)
        content = OmegaConf.create(yaml.serialize(node))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where} is not valid YAML: {reason}.") from error
    if not isinstance(content, DictConfig):
        raise InputError(f"{where} must hold `key: value` settings.")
    return content


def _mark_prompts_as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _mark_prompts_as_text(item)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(value, yaml.ScalarNode):
            null = value.tag == "tag:yaml.org,2002:null"
            if key.value in PROMPT_KEYS or (key.value in OPTIONAL_PROMPT_KEYS and not null):
                # Quoted, so that it is text for OmegaConf's reading of numbers as well.
                value.tag, value.style = "tag:yaml.org,2002:str", '"'
        else:
            _mark_prompts_as_text(value)


def _parse_dotlist(args: Sequence[str]) -> DictConfig:
    """``["a.b=1", ...]`` with YAML values, except where a key holds text by its meaning."""
    cfg = OmegaConf.create({})
    for arg in args:
        key, separator, text = arg.partition("=")
        last = key.rsplit(".", 1)[-1]
        is_prompt = last in PROMPT_KEYS or (last in OPTIONAL_PROMPT_KEYS and text != "null")
        is_text = (last in TEXT_OR_NULL_KEYS or last.endswith(TEXT_OR_NULL_ENDINGS)) and text not in ("", "null")
        if separator and (is_prompt or is_text or key in NAME_KEYS):
            # "???" would mean a missing value, and "${" an interpolation, which a prompt does not hold.
            OmegaConf.update(cfg, key, text.replace("${", "\\${") if is_prompt else text, force_add=True)
            continue
        try:
            cfg.merge_with_dotlist([arg])
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"The value of the override '{arg}' is not valid YAML: {reason}.") from error
    return cfg


def _escaped(value: Any) -> Any:
    """Resolved text that still holds ``${`` is literal; escaped it stays so when OmegaConf reads it again."""
    if isinstance(value, dict):
        return {k: _escaped(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_escaped(v) for v in value)
    return value.replace("${", "\\${") if isinstance(value, str) else value
