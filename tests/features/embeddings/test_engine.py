import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.features.embeddings.engine import Engine
from assay.features.embeddings.model import EmbeddingModel, resolve_model
from tests.conftest import SOAK

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Copied = Callable[..., Path]

ODD = [
    "",
    " ",
    "🙂🙂",
    "你好，我的卡在哪里？",
    "[CLS] where [SEP] [PAD] [MASK]",
    "\x00control\x07",
    "мне нужна помощь",
    "a" * 5000,
]


def cosines(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    return (ours * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1)


def test_vectors_equal_sentence_transformers(
    engine: Engine, reference: "SentenceTransformer", texts: list[str]
) -> None:
    texts = texts + ODD + ["word " * 10_000]
    ours = engine.embed(texts)
    theirs = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    assert ours.dtype == np.float32
    assert ours.shape == (len(texts), 384)
    assert cosines(ours, theirs).min() >= 0.99999
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-5


def test_bfloat16_stays_close(model: EmbeddingModel, reference: "SentenceTransformer", texts: list[str]) -> None:
    engine = Engine(model, device="cpu", dtype="bfloat16")
    some = texts[:100] if SOAK else texts[:15]
    theirs = reference.encode(some + ODD, normalize_embeddings=True, show_progress_bar=False)
    ours = engine.embed(some + ODD)
    assert ours.dtype == np.float32
    assert cosines(ours, theirs).min() >= 0.999
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).max() < 1e-5
    assert engine.describe()["engine"] == "assay"
    assert engine.settings != Engine(model).settings


def test_the_same_texts_give_the_same_bits_in_any_order(engine: Engine, texts: list[str]) -> None:
    first = engine.embed(texts[:60])
    assert np.array_equal(first, engine.embed(texts[:60]))
    assert np.array_equal(first[::-1], engine.embed(texts[:60][::-1]))


def test_identical_texts_are_computed_once(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    vectors = engine.embed(
        ["one", "two", "one", "caf\u00e9", "cafe\u0301"] * 50, lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (3, 3)
    assert np.array_equal(vectors, np.tile(vectors[:5], (50, 1)))
    assert np.array_equal(vectors[3], vectors[4])
    assert not np.allclose(vectors[0], vectors[1], atol=0.01)


def test_progress_rises_to_the_number_of_texts(engine: Engine, texts: list[str]) -> None:
    seen: list[tuple[int, int]] = []
    engine.embed(texts[:40], lambda done, total: seen.append((done, total)))
    done = [count for count, _ in seen]
    assert len(seen) > 1
    assert done == sorted(set(done))
    assert seen[-1] == (len(set(texts[:40])),) * 2


def test_the_token_budget_changes_no_vector(model: EmbeddingModel, engine: Engine, texts: list[str]) -> None:
    small = Engine(model, device="cpu", max_batch_tokens=1)
    assert cosines(small.embed(texts[:20]), engine.embed(texts[:20])).min() >= 0.99999


def test_truncated_texts_are_counted(engine: Engine) -> None:
    fits, too_long = "word " * 254, "word " * 255  # with [CLS] and [SEP] the model reads 256 tokens
    vectors = engine.embed([too_long, "short", too_long, fits, "word " * 10_000])
    assert engine.truncated == 3
    assert np.allclose(vectors[0], vectors[3], atol=1e-6)
    engine.embed(["short"])
    assert engine.truncated == 0


def test_no_texts(engine: Engine) -> None:
    engine.embed(["word " * 300])
    assert engine.embed([]).shape == (0, 384)
    assert engine.truncated == 0


def test_threads_share_an_engine(engine: Engine, texts: list[str]) -> None:
    parts = [texts[:10], texts[10:20], texts[20:30]]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(engine.embed, parts))
    assert all(np.array_equal(vectors, engine.embed(part)) for vectors, part in zip(together, parts, strict=True))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "Text 2 is null"),
        (b"secret", "Text 2 is of type bytes"),
        ("secret\ud800", "Text 2 holds half of a surrogate"),
    ],
)
def test_what_is_not_text_is_refused_by_position(engine: Engine, bad: str, message: str) -> None:
    with pytest.raises(AssayError, match=message) as refusal:
        engine.embed(["good", "good", bad, bad, "better"])
    assert "secret" not in str(refusal.value)


def test_describe_is_json_and_names_what_ran(engine: Engine, model: EmbeddingModel) -> None:
    import torch

    described = json.loads(json.dumps(engine.describe()))
    assert described["engine"] == "assay"
    assert described["device"] == "cpu"
    assert described["batch_policy"] == "exact token length, at most 4096 tokens"
    assert described["model_digest"] == model.digest
    assert described["versions"]["torch"] == torch.__version__
    assert engine.settings.items() <= described.items()


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("1_Pooling/config.json", '"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true', "pooling"),
        (
            "config_sentence_transformers.json",
            "{",
            '{"prompts": {"q": "query: "}, "default_prompt_name": "q",',
            "prompt",
        ),
        # Padded on the left, this model's positions shift with the batch: plausible by its files, but not equal to ours.
        ("tokenizer_config.json", "{", '{"padding_side": "left",', "differs"),
    ],
)
def test_another_kind_of_model_runs_in_sentence_transformers(
    model: EmbeddingModel, copied: Copied, texts: list[str], file: str, old: str, new: str, why: str
) -> None:
    from sentence_transformers import SentenceTransformer

    content = (model.path / file).read_text()
    if why == "pooling":
        content = content.replace('"pooling_mode_mean_tokens": true', '"pooling_mode_mean_tokens": false')
    folder = copied({file: content.replace(old, new, 1).encode()})
    engine = Engine(resolve_model(str(folder)), device="cpu")
    some = [*texts[: 12 if SOAK else 4], "word " * 400, "word " * 253]

    vectors = engine.embed(some)

    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(
        some, normalize_embeddings=True
    )
    assert cosines(vectors, theirs).min() >= 0.99999
    assert engine.truncated == (2 if why == "prompt" else 1)
    assert engine.describe()["engine"] == "sentence-transformers"
    assert why in engine.describe()["engine_why"]


def test_files_that_changed_after_they_were_resolved_are_refused(model: EmbeddingModel, copied: Copied) -> None:
    folder = copied({"vocab.txt": (model.path / "vocab.txt").read_bytes()})
    engine = Engine(resolve_model(str(folder)), device="cpu")
    (folder / "vocab.txt").write_bytes(b"[PAD]\n")
    with pytest.raises(AssayError, match="changed after they were first read"):
        engine.embed(["text"])


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"model.safetensors": b"\0" * 100}, "could not be loaded"),
        (
            {"1_Pooling/config.json": b'{"embedding_dimension": 100, "pooling_mode": "mean"}'},
            "of length 384, but its configuration files say 100",
        ),
    ],
)
def test_a_damaged_model_is_refused(copied: Copied, replaced: dict[str, bytes], message: str) -> None:
    engine = Engine(resolve_model(str(copied(replaced))), device="cpu")
    with pytest.raises(AssayError, match=message):
        engine.embed(["text"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "ASSAY_DEVICE to one of: auto, cpu, cuda"),
        ({"dtype": "int8"}, "one of: float32, bfloat16"),
        ({"max_batch_tokens": 0}, "positive number"),
    ],
)
def test_unknown_settings_are_refused(model: EmbeddingModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        Engine(model, **settings)


def test_cuda_without_a_device_is_refused_and_auto_takes_the_cpu(model: EmbeddingModel) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert Engine(model).device == "cpu"
    with pytest.raises(AssayError, match="no CUDA device"):
        Engine(model, device="cuda").embed(["text"])


QUIET = """
import logging, sys
logging.basicConfig(level=logging.INFO)
network = []
sys.addaudithook(lambda event, _: network.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from assay.features.embeddings.engine import Engine
from assay.features.embeddings.model import resolve_model
assert Engine(resolve_model(), device="cpu").embed(["a", "word " * 300]).shape == (2, 384)
assert not network, network
from transformers.utils import logging as transformers_logging
assert transformers_logging.is_progress_bar_enabled(), "the libraries' settings are left as they were"
"""


def test_loading_is_quiet_and_offline_with_warnings_as_errors() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
