"""Small tokenizers of the kinds that language models use, learned on the fly."""

import json
from functools import cache

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from llavakit.prompt.tokenizer import Tokenizer as OurTokenizer

# The letters of special tokens stand in it on purpose: a merge must never spell one of them.
CORPUS = [
    "A chat between a curious user and an artificial intelligence assistant.",
    "USER: What is in the picture? ASSISTANT: A cat sits on a mat.",
    "[INST] How many cars are there? [/INST] There are two cars, one red and one blue.",
    "Human: Is it night?\n### Assistant: No, the sun is shining.",
    "an <image> of 中文 字 and naïve cafés, </s> <s> <image></s> ASSISTANT: user assistant system",
    "question answer first second third",
] * 10

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
MARKS = ["<|im_start|>", "<|im_end|>", "<im_start>", "<im_end>"]


def _sentencepiece(prepend: bool) -> Tokenizer:
    """As Llama's and Vicuna's: "▁" for spaces, bytes for what the vocabulary lacks."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if prepend:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # Words apart while learning, so that merges do not run across them; not so when used, as in Llama.
    used_as, backend.pre_tokenizer = backend.pre_tokenizer, pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<unk>", "<s>", "</s>", *BYTES],
        limit_alphabet=90,
        show_progress=False,
    )
    backend.train_from_iterator([text.replace(" ", "▁") for text in CORPUS], trainer)
    description = json.loads(backend.to_str())
    description["added_tokens"] = [t for t in description["added_tokens"] if t["content"] not in BYTES]
    description["pre_tokenizer"] = None
    backend = Tokenizer.from_str(json.dumps(description))
    if used_as is not None:
        backend.pre_tokenizer = used_as
    backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return backend


def _byte_level(bos: bool) -> Tokenizer:
    """As Llama 3's (with a begin token) and Qwen's (without)."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "</s>", *MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    steps = [processors.ByteLevel(trim_offsets=False)]
    if bos:
        steps.append(processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]))
    backend.post_processor = processors.Sequence(steps)
    return backend


BACKENDS = {
    "llama-prepend": lambda: _sentencepiece(prepend=True),
    "llama-metaspace": lambda: _sentencepiece(prepend=False),
    "llama3-bytes": lambda: _byte_level(bos=True),
    "qwen-bytes": lambda: _byte_level(bos=False),
}


@cache
def small(kind: str) -> OurTokenizer:
    """The tokenizer of that kind, with `<image>` added as for an original checkpoint."""
    bos = None if kind == "qwen-bytes" else "<s>"
    return OurTokenizer(
        BACKENDS[kind](), bos_token=bos, eos_token="</s>", pad_token=None, image_token="<image>"
    )
