import json
import unicodedata
from dataclasses import replace
from hashlib import blake2b

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.features.embeddings.keys import text_keys
from assay.features.embeddings.model import EmbeddingModel

SETTINGS = {"dtype": "float32", "max_tokens": 256}


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_key_is_the_documented_hash(model: EmbeddingModel, texts: list[str | None]) -> None:
    def key(text: str) -> str:
        identity = json.dumps([model.digest, {"dtype": "float32", "max_tokens": 256}], separators=(",", ":")).encode()
        content = identity + b"\0" + unicodedata.normalize("NFC", text).encode()
        return blake2b(content, digest_size=16, person=b"assay.text.v1").hexdigest()

    keys = text_keys(pl.Series("text", texts, dtype=pl.String), model, SETTINGS)

    assert keys.to_list() == [None if text is None else key(text) for text in texts]
    assert (keys.name, keys.dtype) == ("text", pl.String)


def test_canonically_equal_texts_share_a_key_and_nothing_else_does(model: EmbeddingModel) -> None:
    keys = text_keys(pl.Series(["caf\u00e9", "cafe\u0301", "cafe", "Café", "caf\u00e9 ", ""]), model, SETTINGS)
    assert keys[0] == keys[1]
    assert keys.n_unique() == 5


@pytest.mark.parametrize("settings", [{**SETTINGS, "dtype": "bfloat16"}, {**SETTINGS, "max_tokens": 128}])
def test_other_settings_or_another_model_give_other_keys(model: EmbeddingModel, settings: dict[str, object]) -> None:
    text = pl.Series(["where is my card"])
    key = text_keys(text, model, SETTINGS)[0]
    assert text_keys(text, model, settings)[0] != key
    assert text_keys(text, replace(model, digest="0" * 64), SETTINGS)[0] != key
    assert text_keys(text, model, dict(reversed(SETTINGS.items())))[0] == key


def test_no_texts(model: EmbeddingModel) -> None:
    assert text_keys(pl.Series("text", [], dtype=pl.String), model, SETTINGS).to_list() == []
