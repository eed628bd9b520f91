"""One loaded model for the folder: loading costs seconds."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assay.features.embeddings.engine import Engine
from assay.features.embeddings.model import EmbeddingModel, resolve_model
from tests.conftest import SOAK

if TYPE_CHECKING:  # every process collects this folder, one runs it
    from sentence_transformers import SentenceTransformer

BANKING77 = Path(__file__).parents[4] / "shared" / "data" / "banking77" / "train.csv"
SUBJECTS = ("card", "transfer", "refund", "top-up", "PIN", "exchange rate", "account", "cheque", "direct debit", "cash")
SENTENCES = (
    "Where is my {}?",
    "i still havent got the {} !!",
    "Why was I charged twice for a {} in Kraków, and who do I have to ask to get it back before Friday?",
    "{}",
    "Can someone please look at my {}: it says “pending” since yesterday 🙂",
    "{} 你好 не работает",
)


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take many times as long as one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def model(one_thread: None) -> EmbeddingModel:
    return resolve_model()


@pytest.fixture(scope="session")
def engine(model: EmbeddingModel) -> Engine:
    return Engine(model, device="cpu")


@pytest.fixture(scope="session")
def reference(model: EmbeddingModel) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model.path), device="cpu", local_files_only=True)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """40 customer queries (in a soak 120): some of the real ones where they are, else sentences of the same kind."""
    return _queries()[:: 1 if SOAK else 3]


def _queries() -> list[str]:
    if BANKING77.exists():
        with BANKING77.open(encoding="utf-8", newline="") as lines:
            return [row["text"] for row in csv.DictReader(lines)][::80][:120]
    return [f"{sentence.format(subject)} {n}" for n in range(2) for sentence in SENTENCES for subject in SUBJECTS]


@pytest.fixture
def copied(model: EmbeddingModel, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the default model (links) in which the named files have other bytes."""

    def copy(replaced: dict[str, bytes] | None = None, into: str = "model") -> Path:
        folder = tmp_path / into
        for file in model.path.rglob("*"):
            if file.is_file():
                target = folder / file.relative_to(model.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(file)
        for name, content in (replaced or {}).items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return copy
