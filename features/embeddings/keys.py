"""The key of a text's vector: a hash of everything that decides the vector, so that equal keys mean the same vector.

A key is BLAKE2b-128 over the canonical JSON of (model digest, settings), a NUL byte, and the text in UTF-8 after Unicode
normalisation to NFC. That is the whole normalisation: no trimming, no case folding, no change of white space, because
what a model does with those is the model's business. The engine embeds the same NFC text that is hashed here.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b

import polars as pl

from assay.features.embeddings.model import EmbeddingModel

TEXT_KEY = "text_key"
"""The column of embedding tables, and of spines, that holds the key of a text."""


def text_keys(texts: pl.Series, model: EmbeddingModel, settings: Mapping[str, object]) -> pl.Series:
    """One 32-digit hex key per text, null for null. `settings` are the engine's (`Engine.settings`): JSON values."""
    identity = json.dumps([model.digest, settings], sort_keys=True, separators=(",", ":"), allow_nan=False)
    # JSON escapes control characters, so the first NUL ends the identity and no two (identity, text) pairs collide.
    seed = blake2b(identity.encode() + b"\0", digest_size=16, person=b"assay.text.v1")

    def key(text: str) -> str:
        state = seed.copy()
        state.update(text.encode())
        return state.hexdigest()

    keys = [None if text is None else key(text) for text in texts.str.normalize("NFC").to_list()]
    return pl.Series(texts.name, keys, dtype=pl.String)
