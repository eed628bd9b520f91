"""Two ways to compute the same vectors: our own without padding, and sentence-transformers' for every other model.

Imports torch, transformers and sentence-transformers: `engine` imports this module only when there is text to embed.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.features.embeddings.batches import exact_length_batches
from assay.features.embeddings.model import EmbeddingModel, model_digest

# Read by huggingface_hub when it is first imported: whatever a model's files ask for, nothing is fetched or reported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

Progress = Callable[[int, int], None]
Vectors = NDArray[np.float32]

_TOKENISE_CHUNK = 8192
_FALLBACK_CHUNK = 1024
_LOADING = threading.Lock()

# What is compared before our own encoder is trusted with a model: empty, short, literal special token, many scripts, too long.
_PROBES = (
    "",
    "a",
    "[CLS] </s> <s>",
    "Where is my card?",
    "Zażółć 你好 🙂 مرحبا",
    "one line\n\tand another",
    "many words " * 300,
)
_PROBE_MIN_COSINE = {"float32": 0.9999, "bfloat16": 0.99}


class Encoded(NamedTuple):
    vectors: Vectors
    """Shape (n, dimensions), L2-normalised."""
    truncated: NDArray[np.bool_] | None
    """Shape (n,): which texts were cut at the model's limit; None if the model's tokenizer can't tell."""


class Encoder(Protocol):
    """Distinct texts to vectors; `progress` is called with (texts done, texts in all)."""

    name: str
    why: str

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Encoded: ...


def load_encoder(model: EmbeddingModel, device: str, dtype: str, max_batch_tokens: int) -> Encoder:
    """Load `model` and choose its encoder: our own where it provably does what sentence-transformers does.

    Raises AssayError if the files are no longer those that `model.digest` names or they can't be loaded.
    """
    if model_digest(model.path) != model.digest:
        raise AssayError(
            f"The files of the embedding model in {model.path} changed after they were first read. "
            "The model was not loaded. Start again, so that the new digest is recorded with the new vectors."
        )
    reference = _load(model, device, dtype)
    tokenizer = own_tokenizer(reference, model.max_tokens)
    fallback = SentenceTransformersEncoder(reference, tokenizer)
    expected = fallback.encode(_PROBES).vectors
    if expected.shape[1] != model.dimensions:
        raise AssayError(
            f"The embedding model in {model.path} makes vectors of length {expected.shape[1]}, but its configuration "
            f"files say {model.dimensions}. Provide a consistent copy of the model."
        )
    transformer, fallback.why = _mean_pooled_transformer(reference)
    if transformer is None or tokenizer is None:
        return fallback
    packed = PackedEncoder(transformer, tokenizer, model.dimensions, max_batch_tokens)
    if (packed.encode(_PROBES).vectors * expected).sum(axis=1).min() >= _PROBE_MIN_COSINE[dtype]:
        return packed
    fallback.why = "on probe texts our own encoder differs from sentence-transformers"
    return fallback


def own_tokenizer(reference: SentenceTransformer, max_tokens: int | None) -> Tokenizer | None:
    """A tokenizer of our own, equal to the model's: the model's changes its padding and truncation on every call."""
    theirs = getattr(reference.tokenizer, "backend_tokenizer", reference.tokenizer)
    if not isinstance(theirs, Tokenizer):
        return None
    tokenizer = Tokenizer.from_str(theirs.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens)
    return tokenizer


class PackedEncoder:
    """Transformer, mean pooling over the real tokens, normalisation: in batches of one exact token length.

    Without padding no batch needs an attention mask, no time goes to padding, and pooling is a plain mean.
    """

    name = "assay"
    why = "transformer with mean pooling; equal to sentence-transformers on probe texts"

    def __init__(
        self, transformer: PreTrainedModel, tokenizer: Tokenizer, dimensions: int, max_batch_tokens: int
    ) -> None:
        self._transformer = transformer
        self._tokenizer = tokenizer
        self._dimensions = dimensions
        self._max_batch_tokens = max_batch_tokens

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Encoded:
        # In sorted order the batches depend on which texts there are, not on the order in which they came.
        by_text = sorted(range(len(texts)), key=texts.__getitem__)
        tokens, lengths, truncated = self._tokenise([texts[row] for row in by_text])
        order = np.array(by_text, dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        cut = np.zeros(len(texts), dtype=np.bool_)
        cut[order] = truncated
        done = 0
        for rows in exact_length_batches(lengths, self._max_batch_tokens):
            length = int(lengths[rows[0]])
            if length:  # a tokenizer that adds no special tokens makes nothing of an empty text: its vector is zero
                vectors[order[rows]] = self._forward(tokens[starts[rows][:, None] + np.arange(length)])
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        return Encoded(vectors, cut)

    def _tokenise(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[bool]]:
        """All token ids end to end, the number of tokens of each text, and which texts were cut."""
        ids: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        lengths: list[int] = []
        truncated: list[bool] = []
        for encodings in _tokenised(self._tokenizer, texts):
            lengths += map(len, encodings)
            truncated += map(_was_cut, encodings)
            ids.append(np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int64))
        return np.concatenate(ids), np.array(lengths, dtype=np.int64), truncated

    def _forward(self, tokens: NDArray[np.int64]) -> Vectors:
        with torch.inference_mode():
            ids = torch.from_numpy(tokens).to(self._transformer.device)
            hidden = self._transformer(input_ids=ids).last_hidden_state
            # Pooled and normalised in float32 whatever the body's type, so that every vector has length 1 to float32's precision.
            pooled = hidden.float().mean(dim=1)
            return torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()


class SentenceTransformersEncoder:
    """sentence-transformers' own `encode`, for models that are not a plain mean-pooled transformer."""

    name = "sentence-transformers"

    def __init__(self, reference: SentenceTransformer, tokenizer: Tokenizer | None, why: str = "") -> None:
        self.why = why
        self.tokenizer = tokenizer
        self._reference = reference
        self._prompt = reference.prompts.get(reference.default_prompt_name or "") or ""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Encoded:
        parts: list[Vectors] = []
        for start in range(0, len(texts), _FALLBACK_CHUNK):
            chunk = list(texts[start : start + _FALLBACK_CHUNK])
            parts.append(self._reference.encode(chunk, normalize_embeddings=True, show_progress_bar=False))
            if progress is not None:
                progress(start + len(chunk), len(texts))
        vectors = np.concatenate(parts).astype(np.float32, copy=False)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors / np.maximum(norms, 1e-12), self._truncated(texts))

    def _truncated(self, texts: Sequence[str]) -> NDArray[np.bool_] | None:
        if self.tokenizer is None:
            return None
        prompted = [self._prompt + text for text in texts]
        return np.array(
            [_was_cut(text) for texts in _tokenised(self.tokenizer, prompted) for text in texts], dtype=np.bool_
        )


def _tokenised(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[list[Encoding]]:
    for start in range(0, len(texts), _TOKENISE_CHUNK):
        yield tokenizer.encode_batch_fast(list(texts[start : start + _TOKENISE_CHUNK]))


def _was_cut(encoding: Encoding) -> bool:
    return bool(encoding.overflowing)


def _mean_pooled_transformer(reference: SentenceTransformer) -> tuple[PreTrainedModel | None, str]:
    """The transformer, if all that the model adds is mean pooling and normalisation; else None and what stands against it."""
    first, *rest = list(reference)
    if not isinstance(first, Transformer) or own_tokenizer(reference, None) is None:
        return None, "the first module is not a transformer with a Rust tokenizer"
    if first.config.is_encoder_decoder:
        return None, "the transformer is an encoder-decoder"
    if not rest or not isinstance(rest[0], Pooling) or rest[0].pooling_mode != "mean":
        return None, "pooling is not the mean over tokens"
    if not all(isinstance(module, Normalize) for module in rest[1:]):
        return None, "there are modules after pooling"
    if reference.prompts.get(reference.default_prompt_name or ""):
        return None, "the model puts a prompt before each text"
    return first.model, ""


def _load(model: EmbeddingModel, device: str, dtype: str) -> SentenceTransformer:
    with _LOADING, _quiet():
        try:
            reference = SentenceTransformer(
                str(model.path),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": getattr(torch, dtype)},
            ).eval()
        except Exception as error:  # four libraries read somebody's files here: each fails in its own way
            raise AssayError(
                f"The embedding model in {model.path} could not be loaded ({type(error).__name__}: {error}). Set "
                "ASSAY_EMBEDDING_MODEL to the complete folder of a sentence-transformers model, or unset it."
            ) from error
    reference.max_seq_length = model.max_tokens
    return reference


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' loading chatter and progress bars off, and everything as it was afterwards."""
    library = logging.getLogger("sentence_transformers")
    level, verbosity = library.level, transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    library.setLevel(logging.WARNING)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        library.setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
