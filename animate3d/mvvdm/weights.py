"""Released weights: read every published form, check it key by key, put the parts together.

The model is made of four releases: MVDream's Stable Diffusion (a diffusers folder), the AnimateDiff motion adapter, an
IP-Adapter with its image encoder, and this method's motion checkpoint. `animate3d.mvvdm.convert` makes one folder of
them.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.files import existing_file, existing_folder, read_json
from animate3d.mvvdm.model.unet import MultiViewUNet, is_trained

logger = logging.getLogger(__name__)

IP_ADAPTER_FILES = ("models/ip-adapter_sd15.safetensors", "models/ip-adapter_sd15.bin")
IP_ADAPTER_ENCODER = "models/image_encoder"
COPIED_CONFIG = (
    *("sample_size", "in_channels", "out_channels", "block_out_channels", "layers_per_block", "downsample_padding"),
    *("mid_block_scale_factor", "act_fn", "norm_num_groups", "norm_eps", "cross_attention_dim"),
    *("use_linear_projection", "camera_embedding_dim"),
)
WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


# -- files ---------------------------------------------------------------------------------------------------------


def resolve(source: str | os.PathLike[str], *, what: str, patterns: list[str] | None = None) -> Path:
    """A local folder or file as it is; otherwise the local snapshot of a hub repository.

    Args:
        source: path, or ``owner/name`` of a hub repository.
        what: what the source is, for messages.
        patterns: files of the repository to fetch; all when None.

    Raises:
        InputError: neither a path nor a repository that can be reached.
    """
    path = Path(source)
    if path.exists():
        return path
    name = str(source)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"The {what} {name} does not exist.")
    from huggingface_hub import snapshot_download

    _announce(name, what, patterns)
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (OSError, ValueError) as error:  # the hub's own errors are kinds of these
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"The {what} `{name}` is neither a local folder nor reachable on the model hub ({reason}); "
            "download it elsewhere and give the path of the folder."
        ) from error


def _announce(name: str, what: str, patterns: list[str] | None) -> None:
    """Say how much of a hub repository will be downloaded, if anything."""
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(name, allow_patterns=patterns, dry_run=True)
    except (OSError, ValueError):  # without a connection, what is here already may do
        return
    size = sum(file.file_size or 0 for file in files if file.will_download)
    if size:
        logger.warning("Downloading the %s %s from the model hub, %.2g GB.", what, name, size / 1e9)


def existing_motion_checkpoint(path: str | os.PathLike[str]) -> Path:
    """A motion checkpoint that is there; otherwise an `InputError` that says where the released one is described."""
    if not Path(path).exists():
        raise InputError(f"The motion checkpoint {path} does not exist; docs/mvvdm.md says where the released one is.")
    return existing_file(path, "motion checkpoint")


def read_tensors(path: str | os.PathLike[str], *, remedy: str = "download it again") -> dict[str, Any]:
    """The content of a ``.safetensors`` file or of a PyTorch checkpoint (never unpickles code).

    Args:
        remedy: what to do if it is damaged, as the end of a sentence.

    Raises:
        InputError: missing, damaged, or not a checkpoint of plain tensors.
    """
    path = existing_file(path, "checkpoint")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is damaged, or holds more than tensors and is not read for safety; {remedy}."
        ) from error
    except Exception as error:  # the unpickler raises whatever a damaged file leads it into
        if isinstance(error, MemoryError) or getattr(error, "filename", None):  # as of a file that may not be read
            raise
        raise InputError(f"{path} is damaged or not a checkpoint; {remedy}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not named tensors.")
    return content


def state_dict(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The named tensors of a checkpoint: bare or under ``state_dict``, with or without ``module.`` before the names."""
    inner = content.get("state_dict", content)
    tensors = {str(key): value for key, value in inner.items() if isinstance(value, Tensor)}
    if tensors and all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors


def weight_file(folder: Path) -> Path:
    """The weights of a diffusers model folder."""
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds neither {' nor '.join(WEIGHT_FILES)}.")


def describe(keys: list[str]) -> str:
    """What a file with these keys looks like, as the end of a sentence."""
    if not keys:
        return "it holds no tensors"
    kinds = {
        "a full Stable Diffusion checkpoint in the original layout": lambda k: k.startswith("model.diffusion_model."),
        "an IP-Adapter": lambda k: k.startswith(("image_proj", "ip_adapter")),
        "a LoRA": lambda k: ".lora" in k or "lora_" in k,
        "a checkpoint of a 4D reconstruction": lambda k: k.startswith(("geometry.", "grids.")),
        "an image autoencoder": lambda k: k.startswith(("encoder.", "decoder.", "quant_conv.")),
        "a CLIP model": lambda k: "text_model." in k or "vision_model." in k,
        "a motion checkpoint trained by the original code under torch 2 or newer, which built another network": (
            lambda k: "attn2.processor.to_q_i2v" in k and "motion_modules" not in k
        ),
    }
    for kind, matches in kinds.items():
        if any(matches(key) for key in keys):
            return f"it looks like {kind}"
    motion = [key for key in keys if "motion_modules." in key]
    if motion and not any("processor." in key for key in motion):
        return "it looks like an AnimateDiff motion adapter"
    if motion:
        return "it looks like a motion checkpoint of another model size or configuration"
    if any(key.startswith("down_blocks.") for key in keys):
        return "it looks like an image UNet"
    return "it is not a kind of file that this program knows"


def load_checked(unet: MultiViewUNet, tensors: Mapping[str, Tensor], allowed_missing: set[str], source: object) -> None:
    """Load tensors into the UNet; only ``allowed_missing`` may be absent, all of it or nothing.

    Raises:
        InputError: names the first keys that are missing, unexpected or of another shape.
    """
    wanted = {key: tuple(value.shape) for key, value in unet.state_dict().items()}
    unexpected = [key for key in tensors if key not in wanted]
    missing = {key for key in wanted if key not in tensors}
    shapes = [key for key in tensors if key in wanted and tuple(tensors[key].shape) != wanted[key]]
    problems = []
    if unexpected:
        problems.append(_listing("unexpected", unexpected))
    if missing and missing != allowed_missing:
        lacking = [key for key in wanted if key in missing - allowed_missing]
        if lacking:
            problems.append(_listing("missing", lacking))
        else:
            partly = [key for key in wanted if key in allowed_missing - missing]
            problems.append(_listing("only part of the frozen weights, such as", partly))
    if shapes:
        key = shapes[0]
        problems.append(
            f"{len(shapes)} of another shape ({key}: {list(tensors[key].shape)}, needed {list(wanted[key])})"
        )
    if problems:
        raise InputError(f"{source} does not fit this model: {'; '.join(problems)}; {describe(list(tensors))}.")
    unet.load_state_dict(dict(tensors), strict=False)


def _listing(what: str, keys: list[str], shown: int = 3) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return f"{what} {', '.join(keys[:shown])}{more}"


# -- the four releases -----------------------------------------------------------------------------------------------


def load_motion_checkpoint(unet: MultiViewUNet, path: str | os.PathLike[str]) -> None:
    """Load this method's trained weights: exactly the trained part, or the whole model.

    A model with a head for origins loses it, unless the file has one.

    Args:
        path: ``.ckpt``/``.pt``/``.safetensors``, bare or under ``state_dict``, with or without ``module.``.

    Raises:
        InputError: any other set of keys; says what kind of file it looks like.
    """
    state = state_dict(read_tensors(path))
    frozen = {key for key in unet.state_dict() if not is_trained(key)}
    load_checked(unet, state, frozen, path)
    if not any(key.startswith("origin_head.") for key in state):
        unet.drop_origin_head()


def unet_arguments(image_config: Mapping[str, Any], motion_config: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of `MultiViewUNet` from the configs of MVDream's UNet and of the motion adapter."""
    suffix = {"down": "DownBlockMotion", "up": "UpBlockMotion"}

    def motion_types(side: str) -> list[str]:
        names = image_config[f"{side}_block_types"]
        return [("CrossAttn" if name.startswith("CrossAttn") else "") + suffix[side] for name in names]

    arguments = {key: image_config[key] for key in COPIED_CONFIG if key in image_config}
    arguments["down_block_types"], arguments["up_block_types"] = motion_types("down"), motion_types("up")
    # `attention_head_dim` of these configs is not read: the reference always built eight spatial heads.
    arguments["num_attention_heads"] = image_config.get("num_attention_heads") or 8
    for key in ("motion_num_attention_heads", "motion_max_seq_length", "use_motion_mid_block"):
        if key in motion_config:
            arguments[key] = motion_config[key]
    return arguments


def motion_adapter_tensors(tensors: Mapping[str, Tensor], unet: MultiViewUNet) -> dict[str, Tensor]:
    """AnimateDiff's keys as this model's: the frame encoding moves from the block into its two processors."""
    wanted = unet.state_dict().keys()
    renamed = {}
    for key, value in tensors.items():
        if key.endswith(".pos_embed.pe") and key not in wanted:
            block = key.removesuffix("pos_embed.pe")
            for layer in ("attn1", "attn2"):
                renamed[f"{block}{layer}.processor.time_pos_embed.pe"] = value
        else:
            renamed[key] = value
    return renamed


def ip_adapter_tensors(content: Mapping[str, Any], unet: MultiViewUNet) -> dict[str, Tensor]:
    """An IP-Adapter's keys as this model's.

    Adapters are numbered 1, 3, 5, ... over the cross-attention layers, down blocks first, the middle block last.
    """
    flat: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": tensor for name, tensor in value.items()})
        else:
            flat[key] = value
    layers = [key.removesuffix(".processor") for key in unet.attn_processors if _is_prompt_layer(key)]
    names = {
        "image_proj.proj.": "encoder_hid_proj.image_projection_layers.0.image_embeds.",
        "image_proj.norm.": "encoder_hid_proj.image_projection_layers.0.norm.",
    }
    for index, layer in enumerate(layers):
        for part in ("to_k_ip", "to_v_ip"):
            names[f"ip_adapter.{2 * index + 1}.{part}."] = f"{layer}.processor.{part}.0."
    renamed = {}
    for key, value in flat.items():
        prefix = key[: key.rfind(".") + 1]
        renamed[names.get(prefix, prefix) + key[len(prefix) :]] = value
    return renamed


def _is_prompt_layer(name: str) -> bool:
    return "motion_modules." not in name and name.endswith("attn2.processor")


def load_unet(
    mvdream: Path,
    motion_adapter: Path,
    ip_adapter: Path,
    motion_checkpoint: str | os.PathLike[str] | None = None,
    *,
    mvdream_attn_cfg: Mapping[str, Any] | None = None,
    motion_module_attn_cfg: Mapping[str, Any] | None = None,
    i2v_cond_time_zero: bool = False,
) -> MultiViewUNet:
    """Put the UNet together from the local files of its four releases.

    Args:
        mvdream, motion_adapter, ip_adapter: a folder with ``unet/``, a folder, a weight file.
        motion_checkpoint: this method's weights; None leaves the new parts untrained.
        mvdream_attn_cfg, motion_module_attn_cfg, i2v_cond_time_zero: arguments of `MultiViewUNet`.
    """
    image_config = read_json(mvdream / "unet" / "config.json")
    motion_config = read_json(motion_adapter / "config.json")
    image = read_tensors(weight_file(mvdream / "unet"))
    motion = read_tensors(weight_file(motion_adapter))
    prompt = read_tensors(ip_adapter)
    arguments = unet_arguments(image_config, motion_config)
    projection = prompt.get("image_proj", {}).get("proj.weight", prompt.get("image_proj.proj.weight"))
    if projection is None:
        raise InputError(f"{ip_adapter} is not an IP-Adapter with four image tokens: {describe(list(prompt))}.")
    arguments["image_embed_dim"] = projection.shape[1]
    arguments["image_tokens"] = projection.shape[0] // arguments["cross_attention_dim"]
    unet = MultiViewUNet(
        **arguments,
        mvdream_attn_cfg=None if mvdream_attn_cfg is None else dict(mvdream_attn_cfg),
        motion_module_attn_cfg=None if motion_module_attn_cfg is None else dict(motion_module_attn_cfg),
        i2v_cond_time_zero=i2v_cond_time_zero,
    )
    all_keys = set(unet.state_dict())
    new = {key for key in all_keys if is_trained(key) and "motion_modules." not in key}
    prompt_keys = {key for key in all_keys if "_ip." in key or key.startswith("encoder_hid_proj.")}
    motion_keys = {key for key in all_keys if "motion_modules." in key}
    added = {key for key in motion_keys if "processor." in key and "time_pos_embed" not in key}
    load_checked(unet, image, new | prompt_keys | motion_keys, mvdream / "unet")
    load_checked(unet, motion_adapter_tensors(motion, unet), all_keys - (motion_keys - added), motion_adapter)
    load_checked(unet, ip_adapter_tensors(prompt, unet), all_keys - prompt_keys, ip_adapter)
    unet.reset_adapter()
    if motion_checkpoint is not None:
        load_motion_checkpoint(unet, motion_checkpoint)
    return unet.eval()


def ip_adapter_files(source: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Weight file and image-encoder folder of an IP-Adapter: a repository, a folder like it, or a weight file beside
    its ``image_encoder`` folder.
    """
    path = resolve(source, what="IP-Adapter", patterns=[*IP_ADAPTER_FILES, f"{IP_ADAPTER_ENCODER}/*"])
    if path.is_file():
        return path, existing_folder(path.parent / "image_encoder", "image encoder")
    for name in IP_ADAPTER_FILES:
        if (path / name).is_file():
            return path / name, existing_folder(path / IP_ADAPTER_ENCODER, "image encoder")
    raise InputError(f"{path} holds neither {' nor '.join(IP_ADAPTER_FILES)}.")
