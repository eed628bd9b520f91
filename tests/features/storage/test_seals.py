"""Seals: predictions, models and training sets have one per commit, and no other version's is taken for it."""

from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.features.storage.seals import last_sealed, read_seal, seal, seal_path
from assay.features.storage.snapshot import Snapshot
from assay.features.storage.storage import open_storage


def test_what_was_sealed_is_read_again(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    for version in (3, 4):
        seal(storage, Snapshot("predictions/router", "id", version, "ab" * 32, "x"), 7)
    found = read_seal(storage, "predictions/router", "id", 4)
    assert found is not None
    assert (found.sha256, found.rows, found.version) == ("ab" * 32, 7, 4)
    assert last_sealed(storage, "predictions/router", "id") == 4
    assert last_sealed(storage, "predictions/router", "another table there") == -1
    assert read_seal(storage, "predictions/router", "id", 5) is None


TEXT = b'{"table": "predictions/router", "table_id": "id", "version": 1, "sha256": "ab", "rows": "6"}'


@pytest.mark.parametrize("content", [b"", b"[]", b'{"table": "predictions/router"}', b"\xff", b"[" * 50_000, TEXT])
def test_a_damaged_seal_is_named(tmp_path: Path, content: bytes) -> None:
    storage = open_storage(tmp_path)
    storage.put(seal_path("predictions/router", "id", 1), content)
    with pytest.raises(AssayError, match="is damaged: it is no seal any more"):
        read_seal(storage, "predictions/router", "id", 1)


def test_the_seal_of_another_version_is_named(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    seal(storage, Snapshot("models/router", "id", 1, "ab" * 32, "x"), 1)
    storage.put(seal_path("models/router", "id", 2), storage.get(seal_path("models/router", "id", 1)))
    with pytest.raises(AssayError, match="it is the seal of models/router@1"):
        read_seal(storage, "models/router", "id", 2)
