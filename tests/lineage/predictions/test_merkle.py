"""Merkle trees: the vectors of others, and every tree and proof of small lists by the definition of the RFC."""

import base64
import hashlib
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from assay.lineage.predictions.merkle import inclusion, leaf, root, root_from
from tests.conftest import SHARED

VECTORS = SHARED / "merkle" / "inclusion"


def by_definition(entries: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(entries[:split]) + by_definition(entries[split:])).digest()


@given(st.lists(st.binary(max_size=3), max_size=40))
def test_the_root_is_that_of_the_rfc_and_every_proof_leads_to_it(entries: list[bytes]) -> None:
    leaves = [leaf(entry) for entry in entries]
    assert root(leaves) == by_definition(entries)
    for index, one in enumerate(leaves):
        assert root_from(one, index, len(leaves), inclusion(leaves, index)) == root(leaves)


@given(st.integers(1, 40), st.data())
def test_a_proof_of_anything_else_does_not(size: int, data: Any) -> None:
    leaves = [leaf(bytes([number])) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path, whole = inclusion(leaves, index), root(leaves)
    assert root_from(leaf(b"other"), index, size, path) != whole
    assert root_from(leaves[index], index, size, [*path, leaf(b"more")]) is None
    assert not path or root_from(leaves[index], index, size, path[:-1]) != whole
    for other in set(range(size)) - {index}:
        assert root_from(leaves[index], other, size, path) != whole
    assert root_from(leaves[index], size, size, path) is None
    assert root_from(leaves[index], -1, size, path) is None
    for place in range(len(path)):
        assert root_from(leaves[index], index, size, [*path[:place], leaf(b"x"), *path[place + 1 :]]) != whole


def test_a_leaf_that_is_not_there_has_no_proof() -> None:
    with pytest.raises(IndexError, match="no leaf 2 in a tree of 2"):
        inclusion([leaf(b"a"), leaf(b"b")], 2)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the shared Merkle vectors are not beside this checkout")
def test_the_vectors_of_others() -> None:
    vectors = [json.loads(path.read_text()) for path in sorted(VECTORS.rglob("*.json"))]
    assert len(vectors) > 50
    for vector in vectors:
        decoded = {name: base64.b64decode(vector[name] or "") for name in ("root", "leafHash")}
        path = [base64.b64decode(item or "") for item in vector["proof"] or []]
        found = root_from(decoded["leafHash"], vector["leafIdx"], vector["treeSize"], path)
        same = found == decoded["root"] and len(decoded["leafHash"]) == 32
        assert same is not vector["wantErr"], vector["desc"]
