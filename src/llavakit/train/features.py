"""A frozen vision tower looks at each picture once, before the first step; the steps read what it saw.

What it saw is kept in the cache folder, under a key of all that it depends on: the tower's weights, the
layer, how pictures become pixels, the numbers' type. Another run, or the same one again, finds it there.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from llavakit.cache import cache_folder
from llavakit.config import ImageConfig, LlavaConfig
from llavakit.data.collate import Featured
from llavakit.data.instruct import InstructData
from llavakit.data.mixture import Mixture
from llavakit.errors import LlavaError, UsageError
from llavakit.model import Llava
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import Message
from llavakit.train.batches import Examples
from llavakit.train.distributed import World
from llavakit.train.feature_store import FeatureStore, FeatureWriter

_FORMAT = 1  # of what is kept; raised when the files or their meaning change
_TOGETHER = 32  # pictures that the tower looks at, and the disk gets, at a time
_ALONE = World()
_ROWS = 256  # whose pictures are hashed at a time


@dataclass(frozen=True)
class Encoding:
    """How far the tower has come with the pictures that it has not seen before.

    Attributes:
        done, pictures: how many of how many; told with 0 done before the first, if there are any
        size: bytes that all of them take on the disk
        folder: where
    """

    done: int
    pictures: int
    size: int
    folder: Path


class CachedExamples:
    """A dataset whose conversations come with features in place of pictures (`Featured`), which are read, and
    not decoded, to know which they are.

    Attributes:
        feature_shape: (patch, vision)
    """

    def __init__(self, examples: Examples, store: FeatureStore) -> None:
        self.examples, self.store = examples, store
        self.feature_shape = store.shape
        for optional in ("size", "name"):  # as the dataset has them or has not, see `Examples`
            if hasattr(examples, optional):
                setattr(self, optional, getattr(examples, optional))

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Message, ...] | Featured:
        """A conversation.

        Raises:
            LlavaError: it cannot be used, or the tower has not seen its pictures.
        """
        messages, keys = _unopened(self.examples, index)
        if not keys:
            return messages
        try:
            return Featured(messages, self.store.read(keys))
        except KeyError:
            self.examples[index]  # which says what is wrong with a picture, where that is the reason
            raise LlavaError(
                f"{self.store.folder} lacks the features of a picture that the tower saw before the first "
                "step: leave data and cache as they are while they are read, and let machines share both"
            ) from None


def cached(
    examples: Examples,
    indices: Iterable[int],
    llava: Llava,
    encoder: PromptEncoder,
    *,
    half: bool,
    world: World = _ALONE,
    workers: int = 0,
    on_progress: Callable[[Encoding], None] = lambda _: None,
) -> CachedExamples:
    """The examples with features for pictures; the tower sees those that the cache does not hold yet.

    Interrupted at any moment, the next call goes on. The processes of `world` share the work, and the folder.

    Args:
        indices: of the examples that will be read
        encoder: of which the pixels count
        half: the tower runs as in a step of `precision = "bfloat16"`, and its features are kept so, which a
            connector's first layer would make of them anyway; else in float32
        workers: processes that read and decode
        on_progress: told by each process of its own part

    Raises:
        UsageError: the vision tower learns, or the model sees pictures in tiles.
        LlavaError: the disk has too little room.
    """
    check_views(llava.config)
    if any(parameter.requires_grad for parameter in llava.vision_tower.parameters()):
        raise UsageError("cache_features needs a vision tower that does not learn: turn one of them off")
    dtype = torch.bfloat16 if half else torch.float32
    shape = llava.config.tokens_per_image, llava.config.vision.hidden_size
    folder = cache_folder() / "features" / features_key(llava, encoder.image_config, dtype)
    store = FeatureStore(folder, shape, dtype)
    mine = sorted(set(indices))[world.rank :: world.size]
    missing = _missing(examples, mine, store, workers)
    pictures = len(missing)
    everywhere = sum(world.gather(pictures))
    if everywhere:
        world.together(lambda: store.check_room(everywhere))
    if pictures:
        on_progress(Encoding(0, pictures, pictures * store.size, folder))

    def encode() -> None:
        done = 0
        for count in _encode(examples, missing, llava, encoder, store, half, world.device, workers):
            done += count
            on_progress(Encoding(done, pictures, pictures * store.size, folder))

    world.together(encode)
    return CachedExamples(examples, FeatureStore(folder, shape, dtype) if everywhere else store)


def check_views(config: LlavaConfig, where: str = "") -> None:
    """See that the model takes one view of a picture: of tiles, how many depends on the picture.

    Args:
        where: what the message begins with

    Raises:
        UsageError: it does not.
    """
    if config.tiling is not None:
        raise UsageError(
            f"{where}cache_features is for models that see a picture in one view, not in tiles: turn it off"
        )


def features_key(llava: Llava, image: ImageConfig, dtype: torch.dtype) -> str:
    """Of all that a picture's features depend on, beside the picture."""
    config = llava.config
    said = {
        "format": _FORMAT,
        "vision": config.vision.model_dump(),
        "feature_layer": config.feature_layer,
        "drops_first": config.drops_first,
        "image": image.model_dump(),
        "dtype": str(dtype),
    }
    told = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, weight in llava.vision_tower.state_dict().items():
        told.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        told.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return told.hexdigest()[:32]


def _unopened(examples: Any, index: int) -> tuple[tuple[Message, ...], list[bytes]]:
    """A conversation and the key of each of its pictures; those of a file are not decoded, and something
    stands in their places."""
    while isinstance(examples, Mixture):
        examples, index = examples.find(index)
    if isinstance(examples, InstructData):
        row = examples.row(index)
        keys = [hashlib.sha256(encoded).digest() for encoded in examples.read(index, row)]
        return row.with_pictures([Image.new("1", (1, 1)) for _ in keys]), keys
    messages: tuple[Message, ...] = examples[index]
    return messages, [_key(image) for message in messages for image in message.images]


def _key(image: Image.Image) -> bytes:
    """Of a picture that was never encoded: of its pixels."""
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).digest()


Missing = dict[bytes, tuple[int, int]]  # key -> an example that has the picture, and its place there


def _missing(examples: Examples, indices: Sequence[int], store: FeatureStore, workers: int) -> Missing:
    """The pictures that the store lacks, each once. Rows that cannot be used have none."""
    missing: Missing = {}
    rows = [indices[i : i + _ROWS] for i in range(0, len(indices), _ROWS)]
    for found in _prepared(_Keys(examples), rows, workers):
        for index, keys in found:
            for place, key in enumerate(keys):
                if key not in store:
                    missing.setdefault(key, (index, place))
    return missing


def _encode(
    examples: Examples,
    missing: Missing,
    llava: Llava,
    encoder: PromptEncoder,
    store: FeatureStore,
    half: bool,
    device: torch.device,
    workers: int,
) -> Iterator[int]:
    """Has the tower look at what is missing; how many pictures each time."""
    if not missing:
        return
    llava.vision_tower.to(device)
    items = [(key, *where) for key, where in missing.items()]
    chunks = [items[i : i + _TOGETHER] for i in range(0, len(items), _TOGETHER)]
    with FeatureWriter(store) as writer:
        for keys, pixels in _prepared(_Pixels(examples, encoder), chunks, workers):
            if pixels is None:
                continue
            # No `no_grad`, though nothing is recorded: without gradients a CPU takes kernels of ours, which
            # round otherwise than those of a step would.
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                features = llava.see(pixels.to(device))
            writer.append(keys, features)
            yield len(keys)


def _prepared(dataset: Dataset[Any], items: list[Any], workers: int) -> Iterator[Any]:
    """What a dataset has for each item, in order, prepared ahead by other processes."""
    yield from DataLoader(dataset, batch_size=None, sampler=items, num_workers=workers)


@dataclass(frozen=True)
class _Keys(Dataset[Any]):
    """Indices -> each with the keys of its pictures."""

    examples: Examples

    def __getitem__(self, indices: Sequence[int]) -> list[tuple[int, list[bytes]]]:
        found = []
        for index in indices:
            try:
                found.append((index, _unopened(self.examples, index)[1]))
            except LlavaError:  # the run will say so, and leave it out, when it comes to this row
                continue
        return found


@dataclass(frozen=True)
class _Pixels(Dataset[Any]):
    """(key, index, place) of pictures -> those keys whose pictures can be opened, and pixels
    (picture, 3, size, size)."""

    examples: Examples
    encoder: PromptEncoder

    def __getitem__(self, items: Sequence[tuple[bytes, int, int]]) -> tuple[list[bytes], Tensor | None]:
        keys, images = [], []
        for key, index, place in items:
            try:
                messages = self.examples[index]
            except LlavaError:
                continue
            keys.append(key)
            images.append([image for message in messages for image in message.images][place])
        return keys, torch.from_numpy(self.encoder.pixels(images)) if images else None
