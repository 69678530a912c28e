"""Vision towers that stand apart from their LLaVA: folders of CLIP and SigLIP, as the hub has them."""

from dataclasses import dataclass
from pathlib import Path

from llavakit.checkpoint.json_file import Json, read_json
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.names import ours_to_theirs
from llavakit.checkpoint.tensors import Renamed, Tensors, open_weights
from llavakit.config import VisionConfig
from llavakit.errors import CheckpointError, LlavaError

_CLIP_L = {
    "model_type": "clip_vision_model", "image_size": 336, "patch_size": 14, "hidden_size": 1024,
    "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}  # fmt: skip
_SIGLIP_SO400M = {
    "model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14, "hidden_size": 1152,
    "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
    "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
}  # fmt: skip
# The towers of the published LLaVAs, from their own config.json: LLaVA-1.6 carries its tower's weights, and
# of the tower it began from only the name.
KNOWN: dict[str, Json] = {
    "openai/clip-vit-large-patch14-336": _CLIP_L,
    "openai/clip-vit-large-patch14": _CLIP_L | {"image_size": 224},
    "google/siglip-so400m-patch14-384": _SIGLIP_SO400M,
}


@dataclass(frozen=True)
class Tower:
    """What is known of a vision tower.

    Attributes:
        vision: its numbers, as `vision_config` of a Hugging Face LLaVA
        processor: its `preprocessor_config.json`
        where: the file that says so, for errors
        folder: where its weights are, unless the LLaVA carries them
    """

    vision: Json
    processor: Json
    where: str
    folder: Path | None = None

    def tensors(self) -> Tensors:
        """The weights under our names; those of CLIP's text side are left out.

        Raises:
            CheckpointError: there are none, or they are damaged.
        """
        if self.folder is None:
            raise CheckpointError(
                f"{self.where} names a vision tower whose weights are not there: "
                "give its folder, or its name on the hub, with --vision-tower"
            )
        files = open_weights(self.folder)
        stored = {name: name for name in files}
        if any(name.startswith("vision_model.") for name in stored):
            stored = {f"vision_tower.{n}": n for n in stored if n.startswith("vision_model.")}
        else:  # as newer versions of transformers write a tower alone
            stored = {f"vision_tower.{name}": name for name in stored}
        return Renamed(files, {ours: stored[name] for ours, name in ours_to_theirs(stored).items()})


def trained_with(hf: Json) -> Json | None:
    """The numbers of the tower that an original config.json tells of, if it does."""
    own = hf.get("vision_config")
    return own if isinstance(own, dict) else KNOWN.get(str(hf.get("mm_vision_tower")))


def find_tower(folder: Path, hf: Json, given: str | Path | None, inside: bool) -> Tower:
    """The tower of an original checkpoint: the one given, one beside it, or one from the hub.

    Args:
        hf: the checkpoint's config.json
        given: a folder or hub name (`--vision-tower`)
        inside: the checkpoint carries the tower's weights, so only its numbers are wanted

    Raises:
        UsageError: what is given names nothing.
        CheckpointError: it cannot be found, or is no tower of CLIP or SigLIP.
    """
    where = str(folder / "config.json")
    named = hf.get("mm_vision_tower")
    if given is not None:
        return read_tower(locate(given))
    if inside and isinstance(hf.get("vision_config"), dict):
        return Tower(hf["vision_config"], read_json(folder / "preprocessor_config.json"), where)
    if not isinstance(named, str) or not named:
        raise CheckpointError(f"{where} names no vision tower (mm_vision_tower): give it with --vision-tower")
    if (beside := _beside(folder, named)) is not None:
        return read_tower(beside)
    if inside and named in KNOWN:
        return Tower(KNOWN[named], _processor(KNOWN[named]), where)
    try:
        return read_tower(locate(named))
    except LlavaError as error:
        raise CheckpointError(
            f"{where} names the vision tower {named!r}, which could not be had ({error}): "
            "give its folder with --vision-tower"
        ) from None


def _beside(folder: Path, named: str) -> Path | None:
    last = Path(named).name
    places = (Path(named).expanduser(), folder / named, folder / last, folder.parent / last)
    return next((place for place in places if last and (place / "config.json").is_file()), None)


def read_tower(folder: Path) -> Tower:
    """The small files of a folder of CLIP or SigLIP, whole or its vision side alone.

    Raises:
        CheckpointError: it is another kind of model, or half of one.
    """
    where = folder / "config.json"
    hf = read_json(where)
    kind = str(hf.get("model_type"))
    if kind in ("clip", "siglip"):
        hf = {"model_type": f"{kind}_vision_model"} | (hf.get("vision_config") or {})
    elif kind not in ("clip_vision_model", "siglip_vision_model"):
        raise CheckpointError(
            f"{where}: model_type is {kind!r}: a vision tower is a CLIP or a SigLIP, "
            "such as openai/clip-vit-large-patch14-336"
        )
    return Tower(hf, read_json(folder / "preprocessor_config.json"), str(where), folder)


def _processor(vision: Json) -> Json:
    """How pictures are prepared for a known tower."""
    side = vision["image_size"]
    if vision["model_type"] == "clip_vision_model":
        return {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    half = [0.5, 0.5, 0.5]
    return {"size": {"height": side, "width": side}, "image_mean": half, "image_std": half}


def name_of(vision: VisionConfig) -> str | None:
    """The published tower that has these numbers, if one has."""
    numbers = vision.model_dump(exclude={"kind", "num_channels"})
    numbers["model_type"] = f"{vision.kind}_vision_model"
    return next((name for name, known in KNOWN.items() if known == numbers), None)
