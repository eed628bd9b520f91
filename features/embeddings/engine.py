"""Texts to vectors: each distinct text once, in an order of batches that does not depend on the order of the texts."""

import threading
import unicodedata
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.features.embeddings.model import EmbeddingModel
from assay.optional import require

if TYPE_CHECKING:
    from assay.features.embeddings.encoder import Encoder, Progress

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16")

# Measured: beyond this a CPU's caches gain nothing; a GPU needs far more tokens per kernel launch.
_BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}


class Engine:
    """Embeds texts with one model. The model is loaded at the first text; an engine may be shared between threads.

    Same texts, same machine: the same bits, whatever their order. Other texts beside them can change the last bits
    of a vector (float32 about 2e-7), so compare vectors from different calls with a tolerance.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        device: str = "auto",
        dtype: str = "float32",
        max_batch_tokens: int | None = None,
    ) -> None:
        """`device` is one of `DEVICES`, `dtype` of `DTYPES`: the type of the model's body, the vectors are always float32.

        `max_batch_tokens` bounds the tokens of one forward pass; by default it fits the device."""
        if device not in DEVICES:
            raise AssayError(f"The device {device!r} is unknown. Set ASSAY_DEVICE to one of: {', '.join(DEVICES)}.")
        if dtype not in DTYPES:
            raise AssayError(f"The embedding dtype {dtype!r} is unknown. Use one of: {', '.join(DTYPES)}.")
        if max_batch_tokens is not None and max_batch_tokens < 1:
            raise AssayError(f"max_batch_tokens is {max_batch_tokens}. Give a positive number of tokens, or none.")
        self.model = model
        self.dtype = dtype
        self.truncated: int | None = 0
        """Texts of the latest `embed` that were longer than the model reads; None if its tokenizer can't tell."""
        self._requested = device
        self._max_batch_tokens = max_batch_tokens
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, object]:
        """What decides the vectors besides the model: part of every text's key (`keys.text_keys`)."""
        return {"dtype": self.dtype, "max_tokens": self.model.max_tokens, "norm": "l2", "text": "NFC"}

    @property
    def device(self) -> str:
        """The device in use: "cpu" or "cuda". Raises AssayError if CUDA was asked for and is not there."""
        if self._requested == "cpu":
            return "cpu"
        require("torch", "Embedding")
        import torch

        if torch.cuda.is_available():
            return "cuda"
        if self._requested == "cuda":
            raise AssayError(
                "ASSAY_DEVICE is cuda, but this machine offers torch no CUDA device. Set it to auto or cpu."
            )
        return "cpu"

    @property
    def max_batch_tokens(self) -> int:
        return self._max_batch_tokens or _BATCH_TOKENS[self.device]

    def embed(self, texts: Sequence[str], progress: "Progress | None" = None) -> NDArray[np.float32]:
        """One L2-normalised vector per text, in order: shape (len(texts), model.dimensions).

        Texts are embedded in Unicode NFC, and identical ones once; longer ones than the model reads are cut and counted
        in `truncated`. `progress` is called with (distinct texts done, distinct texts). Raises AssayError if a text is
        not a string of valid Unicode, or the model can't be loaded.
        """
        distinct, rows = _distinct(texts)
        if not distinct:
            self.truncated = 0
            return np.empty((0, self.model.dimensions), dtype=np.float32)
        with self._lock:
            encoded = self._loaded().encode(distinct, progress)
            self.truncated = None if encoded.truncated is None else int(encoded.truncated[rows].sum())
        return encoded.vectors[rows]

    def describe(self) -> dict[str, Any]:
        """How the vectors are made, for lineage: JSON values. Loads the model, which decides the engine."""
        with self._lock:
            encoder = self._loaded()
        own = encoder.name == "assay"
        return {
            "engine": encoder.name,
            "engine_why": encoder.why,
            "device": self.device,
            "batch_policy": f"exact token length, at most {self.max_batch_tokens} tokens"
            if own
            else "32 texts, padded",
            "model": self.model.name,
            "model_digest": self.model.digest,
            "model_revision": self.model.revision,
            "model_licence": self.model.licence,
            "dimensions": self.model.dimensions,
            **self.settings,
            "versions": {
                name: version(name) for name in ("torch", "transformers", "tokenizers", "sentence-transformers")
            },
        }

    def _loaded(self) -> "Encoder":
        if self._encoder is None:
            require("sentence_transformers", "Embedding")
            from assay.features.embeddings.encoder import load_encoder

            self._encoder = load_encoder(self.model, self.device, self.dtype, self.max_batch_tokens)
        return self._encoder


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts in NFC, and for each text the row of its distinct one."""
    numbers: dict[str, int] = {}
    rows = np.empty(len(texts), dtype=np.int64)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise AssayError(f"Text {position} is {_kind(text)}. Only strings are embedded: leave such rows out.")
        rows[position] = numbers.setdefault(unicodedata.normalize("NFC", text), len(numbers))
    distinct = list(numbers)
    try:
        "".join(distinct).encode()
    except UnicodeEncodeError as error:
        ends = np.cumsum([len(text) for text in distinct])
        position = int(np.flatnonzero(rows == np.searchsorted(ends, error.start, side="right"))[0])
        raise AssayError(
            f"Text {position} holds half of a surrogate pair, which is no valid Unicode. Decode its source anew."
        ) from None
    return distinct, rows


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
