"""What `assay doctor` looks at. Each finding stands for itself: one that fails does not hide the others."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from assay.errors import AssayError
from assay.store import Store

PACKAGES = ("assay", "dagster", "polars", "deltalake", "pandera", "duckdb", "torch", "sentence-transformers")


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    ok: bool
    detail: str

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "ok": self.ok, "detail": self.detail}


def diagnose(store: Store) -> list[Finding]:
    """Look at everything; never raises."""
    looks: dict[str, Callable[[Store], str]] = {
        "python": lambda _: f"{platform.python_version()} on {platform.machine()}",
        "packages": lambda _: ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "lake": _lake,
        "embedding model": _model,
        "lineage store": _lineage,
    }
    return [_look(what, look, store) for what, look in looks.items()]


def _look(what: str, look: Callable[[Store], str], store: Store) -> Finding:
    try:
        return Finding(what, True, look(store))
    except AssayError as problem:
        return Finding(what, False, str(problem))
    except Exception as problem:
        # The class only: texts of foreign errors can hold URLs with passwords.
        return Finding(what, False, f"{type(problem).__name__} (run with ASSAY_HOME set to a folder you may write)")


def _lake(store: Store) -> str:
    return f"{store.lake.storage.root}, {len(store.lake.tables())} tables"


def _model(store: Store) -> str:
    from assay.features.embeddings.model import resolve_model

    model = resolve_model(store.settings.embedding_model or None)
    return f"{model.name}, {model.dimensions} dimensions, digest {model.digest[:16]}…, verified"


def _lineage(store: Store) -> str:
    from assay.lineage.delivery.outbox import backlog
    from assay.lineage.delivery.transport import Channel

    waiting, runs = backlog(store.lineage_store), store.lineage_store.runs()
    unended = sum(run.state in ("START", "RUNNING") for run in runs)
    known = f"{len(runs):,} runs, {unended:,} of them without an end (in progress, or killed where nobody can tell)"
    if not store.settings.forward_to:
        return f"{known}; nothing is forwarded (ASSAY_OPENLINEAGE_URL is not set)"
    Channel(store.settings.forward_to)  # says what is wrong with it
    if waiting.parked:
        raise AssayError(f"{waiting.parked} events were refused by the OpenLineage endpoint: {waiting.problem}")
    return f"{known}; {waiting.pending} events wait to be forwarded{_because(waiting.problem)}"


def _because(problem: str) -> str:
    return f" ({problem})" if problem else ""
