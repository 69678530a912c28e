"""Text and token ids: the `tokenizers` library, and which ids have a meaning of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as Backend

from llavakit.errors import CheckpointError


class Tokenizer:
    """A tokenizer with its begin, end, padding and image tokens.

    `encode` gives special tokens their meaning wherever their letters stand; `encode_plain` never
    does, and is for text that somebody else wrote.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        bos_token: str | None,
        eos_token: str,
        pad_token: str | None,
        image_token: str,
    ) -> None:
        if backend.token_to_id(image_token) is None:
            backend.add_special_tokens([AddedToken(image_token, special=True, normalized=False)])
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.bos_token, self.eos_token, self.image_token = bos_token, eos_token, image_token
        self.pad_token = pad_token or eos_token
        self.bos_id = None if bos_token is None else self._id(bos_token)
        self.eos_id = self._id(eos_token)
        self.pad_id = self._id(self.pad_token)
        self.image_token_id = self._id(image_token)
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        self.special = {token.content: (i, token) for i, token in backend.get_added_tokens_decoder().items()}
        self.prefix: list[int] = backend.encode("").ids  # what opens every text: usually the begin token
        self._plain, self._plain_inside = _without_special_tokens(backend)

    def _id(self, token: str) -> int:
        found = self.backend.token_to_id(token)
        if found is None:
            raise CheckpointError(f"the tokenizer has no token {token!r}, which its configuration names")
        return int(found)

    @classmethod
    def load(cls, folder: Path, image_token: str = "<image>") -> Self:
        """Read `tokenizer.json` and the files beside it that name the special tokens.

        Raises:
            CheckpointError: a file is missing, damaged, or names no end token.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"{folder} has no tokenizer.json: the model is incomplete")
        try:
            backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"{path} is not a tokenizer ({error}): fetch it again") from None
        names: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            if (folder / name).is_file():
                try:
                    names |= json.loads((folder / name).read_text(encoding="utf-8"))
                except ValueError as error:
                    raise CheckpointError(f"{folder / name} is not readable JSON ({error})") from None
        bos, eos, pad = (_content(names.get(f"{kind}_token")) for kind in ("bos", "eos", "pad"))
        if eos is None:
            raise CheckpointError(f"{folder / 'tokenizer_config.json'} names no eos_token")
        return cls(
            backend,
            bos_token=bos,
            eos_token=eos,
            pad_token=pad,
            image_token=_content(names.get("image_token")) or image_token,
        )

    def save(self, folder: Path, chat_template: str | None = None) -> None:
        """Write files that this class and transformers' `AutoTokenizer` read."""
        folder.mkdir(parents=True, exist_ok=True)
        self.backend.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
            "pad_token": self.pad_token,
            "image_token": self.image_token,
            "extra_special_tokens": {"image_token": self.image_token},
            "clean_up_tokenization_spaces": False,
            "padding_side": "left",
        }
        if chat_template is not None:
            config["chat_template"] = chat_template
            (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")
        config = {name: value for name, value in config.items() if value is not None}
        (folder / "tokenizer_config.json").write_text(
            json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, opened as every text of this model is."""
        ids: list[int] = self.backend.encode(text).ids
        return ids

    def encode_plain(self, text: str, first: bool) -> Encoding:
        """Ids and character offsets of a stretch between special tokens, none of which it can hold.

        `first` says that nothing stands before it: some tokenizers open a text with a space.
        """
        backend = self._plain if first else self._plain_inside
        return backend.encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return text


def _content(token: Any) -> str | None:
    """A token's text, however the file spells it."""
    return token.get("content") if isinstance(token, dict) else token


def _without_special_tokens(backend: Backend) -> tuple[Backend, Backend]:
    """Copies of `backend` that see letters only: for the beginning of a text, and for inside it.

    They differ where a Metaspace opens just the first stretch of a text with a space; the older
    way, a normaliser that prepends one, does so for every stretch.
    """
    description = json.loads(backend.to_str())
    description |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    plain = Backend.from_str(json.dumps(description))
    scheme = _metaspace(description.get("pre_tokenizer"))
    if scheme is None or scheme.get("prepend_scheme") != "first":
        return plain, plain
    scheme["prepend_scheme"] = "never"
    return plain, Backend.from_str(json.dumps(description))


def _metaspace(pre_tokenizer: dict[str, Any] | None) -> dict[str, Any] | None:
    if pre_tokenizer is None:
        return None
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return next((step for step in steps if step["type"] == "Metaspace"), None)


class TextStream:
    """Ids to text as they come: whole characters, with the spaces a full decode would have.

    Each id costs the decoding of a few, not of all: a window that begins where the text was last
    known to be whole.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []  # ids already shown, kept for their effect on spacing, then new ones
        self._shown = 0  # how many of them are shown

    def push(self, token: int) -> str:
        """The new text, empty while a character is incomplete."""
        self._window.append(token)
        text = self._pending()
        if text.endswith("\ufffd"):
            return ""
        if text:
            self._window = self._window[self._shown :]
            self._shown = len(self._window)
        return text

    def flush(self) -> str:
        """What is left when no more ids will come, even if incomplete."""
        text = self._pending()
        self._window, self._shown = [], 0
        return text

    def _pending(self) -> str:
        before = self._tokenizer.decode(self._window[: self._shown])
        return self._tokenizer.decode(self._window)[len(before) :]
