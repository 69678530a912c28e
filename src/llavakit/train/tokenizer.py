"""A tokenizer learned from text, for a language model that starts from nothing."""

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from llavakit.prompt.tokenizer import Tokenizer

BOS, EOS, PAD, IMAGE = "<s>", "</s>", "<pad>", "<image>"


def learn_tokenizer(texts: Iterable[str], vocab_size: int, marks: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE, as Llama 3 and Qwen use: any text can be written, none is unknown.

    Digits stand alone. The end token is 1 on purpose: transformers' CLIP reads an `eos_token_id`
    of 2 as a mark of old configurations and then looks for the highest id instead.

    Args:
        marks: what a template writes around turns; each becomes a token that nobody's own words can hold
    """
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD, IMAGE, *marks],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    start = backend.token_to_id(BOS)
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, start)]
            ),
        ]
    )
    return Tokenizer(backend, bos_token=BOS, eos_token=EOS, pad_token=PAD, image_token=IMAGE)
