"""The questions of `assay.lineage` ask the lake and the index of the settings."""

from pathlib import Path
from typing import Any

import pytest

import assay
import assay.lineage
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.store.lineage_store import open_lineage_store


def test_the_configured_lake_answers(wild: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = next(iter(wild.predictions))
    monkeypatch.setenv("ASSAY_LAKE", str(wild.lake.storage.uri("")).rstrip("/"))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    trace = assay.lineage.trace(prediction)
    assert trace.to_dict() == assay.lineage.trace(prediction, lake=wild.lake).to_dict()
    assert assay.lineage.verify(prediction, embed=False).to_dict() == assay.lineage.verify(trace, embed=False).to_dict()
    table = wild.lake.tables()[0]
    assert assay.impact(table).to_dict() == assay.lineage.impact(table, lake=wild.lake).to_dict()

    store = open_lineage_store(f"sqlite:///{tmp_path / 'lineage.db'}", tmp_path)
    rebuild(store, wild.lake)
    graph = assay.lineage.graph()
    assert graph == assay.lineage.graph(store=store)
    assert len(assay.lineage.graph(limit=2).nodes) < len(graph.nodes)
    one, other = [node.id for node in graph.nodes if node.kind == "dataset"][:2]
    found = assay.lineage.diff(one, other)
    assert (found.a, found.b) == (one, other)
    assert found == assay.lineage.diff(one, other, store=store, lake=wild.lake)
    store.close()
