"""Artefacts: the same model is the same bytes, a changed one is refused, and a pickle is neither written nor read."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest

from assay.errors import AssayError
from assay.features.serving.model_formats import Artifact, from_artifact, to_artifact
from tests.forked import run_forked

X = np.random.default_rng(0).normal(size=(80, 3))
Y = X[:, 0] > 0


def regression() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)


def read(artifact: Artifact, **options: Any) -> Any:
    return from_artifact(artifact, artifact.sha256, "models/x 1", **options)


def test_an_estimator_is_stored_by_skops_and_predicts_the_same() -> None:
    artifact = to_artifact(regression(), "models/x")
    assert artifact.format == "skops"
    assert (read(artifact).predict_proba(X) == regression().predict_proba(X)).all()


AGAIN = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from assay.features.serving.model_formats import to_artifact
filler = [object() for _ in range(1000)]
X = np.random.default_rng(0).normal(size=(80, 3))
print(to_artifact(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, X[:, 0] > 0), "models/x").sha256)
"""


def test_the_same_estimator_is_the_same_bytes_in_every_process() -> None:
    artifact = to_artifact(regression(), "models/x")
    assert to_artifact(regression(), "models/x") == artifact
    assert to_artifact(read(artifact), "models/x") == artifact, "also when it has been stored and read"
    assert run_forked("-c", AGAIN).out.strip() == artifact.sha256
    changed = regression()
    changed[-1].coef_[0, 0] += 1e-9
    assert to_artifact(changed, "models/x").sha256 != artifact.sha256


def test_arrays_and_tensors_are_stored_by_safetensors() -> None:
    import torch

    arrays = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array(3)}
    artifact = to_artifact(arrays, "models/x")
    assert artifact.format == "safetensors"
    assert to_artifact(dict(reversed(arrays.items())), "models/x") == artifact
    again = read(artifact)
    assert {name: value.tolist() for name, value in again.items()} == {"a": 3, "b": arrays["b"].tolist()}
    tensors = torch.nn.Linear(3, 2).state_dict()
    state = read(to_artifact(tensors, "models/x"))
    assert all(torch.equal(state[name], tensors[name]) for name in tensors)


def test_onnx_is_kept_as_it_is_and_read_by_its_runtime() -> None:
    runtime = pytest.importorskip("onnxruntime")
    artifact = to_artifact(IDENTITY, "models/x", format="onnx")
    assert artifact.content == IDENTITY
    session = read(artifact)
    assert isinstance(session, runtime.InferenceSession)
    assert session.run(None, {"x": np.array([2.5], dtype=np.float32)})[0].tolist() == [2.5]


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message, for a model of one node: ONNX's smallest."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def value(name: bytes) -> bytes:
    shape = field(2, field(1, field(1, 1)))
    return field(1, name) + field(2, field(1, field(1, 1) + shape))


NODE = field(1, b"x") + field(2, b"y") + field(4, b"Identity")
GRAPH = field(1, NODE) + field(2, b"g") + field(11, value(b"x")) + field(12, value(b"y"))
IDENTITY = field(1, 8) + field(7, GRAPH) + field(8, field(2, 13))


def test_anything_else_needs_functions_of_its_own() -> None:
    with pytest.raises(AssayError, match=r"models/x: a set has no safe format that is known.*save= and load="):
        to_artifact({1, 2}, "models/x")
    with pytest.raises(AssayError, match="needs a pair of functions"):
        to_artifact({1, 2}, "models/x", format="bytes")
    with pytest.raises(AssayError, match=r"no format 'joblib'.*Never pickle"):
        to_artifact(regression(), "models/x", format="joblib")
    with pytest.raises(AssayError, match="save must give bytes, not str"):
        to_artifact({"a": 1}, "models/x", save=json.dumps)
    artifact = to_artifact({"a": 1}, "models/x", save=lambda fitted: json.dumps(fitted).encode())
    assert artifact.format == "bytes"
    assert read(artifact, load=json.loads) == {"a": 1}
    with pytest.raises(AssayError, match="pass load="):
        read(artifact)


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data", content)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [bytes, zipped, gzip.compress, bz2.compress, lzma.compress, zlib.compress])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("held", [{"weights": [1.5]}, np.arange(3)])
def test_a_pickle_is_neither_written_nor_read(pack: Any, protocol: int, held: Any) -> None:
    content = pack(pickle.dumps(held, protocol))
    with pytest.raises(AssayError, match="these bytes are a pickle, which runs any code"):
        to_artifact(object(), "models/x", save=lambda fitted: content)
    loaded: list[bytes] = []
    with pytest.raises(AssayError, match="models/x 1: these bytes are a pickle"):
        read(Artifact("bytes", content), load=loaded.append)
    assert loaded == []


@pytest.mark.parametrize("protocol", range(6))
def test_neither_bytes_after_a_pickle_nor_a_missing_mark_hide_it(protocol: int) -> None:
    content = pickle.dumps(np.arange(3), protocol) + b"and more"
    for hidden in (content, content.removeprefix(bytes((0x80, protocol)))):
        with pytest.raises(AssayError, match="these bytes are a pickle"):
            to_artifact(object(), "models/x", save=lambda fitted, made=hidden: made)


def test_what_only_looks_like_an_archive_or_a_pickle_is_none() -> None:
    csv, numbers = b"city\nrome\n2.5\n", (b".", b"1.", b"2.", b"0.", b"0.5")
    npy = io.BytesIO()
    np.save(npy, X)
    for content in (
        b"",
        b"\x80",
        b"PK\x03\x04",
        b"\x1f\x8b.",
        b"BZh.",
        b"x.",
        b'{"a": 1}',
        csv,
        npy.getvalue(),
        *numbers,
    ):
        assert read(to_artifact(None, "models/x", save=lambda fitted, made=content: made), load=bytes) == content


def test_changed_bytes_are_refused_before_they_are_read() -> None:
    artifact = to_artifact(regression(), "models/x")
    changed = Artifact(artifact.format, artifact.content[:-1] + b"?")
    with pytest.raises(AssayError, match="models/x 1: its bytes do not have the recorded SHA-256"):
        from_artifact(changed, artifact.sha256, "models/x 1")


class Sneaky:
    """A type that skops does not know."""

    def __init__(self) -> None:
        self.coef_ = np.ones(3)


def test_a_type_that_nobody_trusts_is_named_and_not_made() -> None:
    from sklearn.ensemble import RandomForestClassifier

    artifact = to_artifact(RandomForestClassifier(n_estimators=2, random_state=0).fit(X, Y), "models/x")
    with pytest.raises(AssayError, match=r"makes sklearn\.tree\._tree\.Tree, which skops does not trust"):
        read(artifact)
    from sklearn.tree._tree import Tree

    for trusted in (["sklearn.tree._tree.Tree"], [Tree]):
        assert read(artifact, trusted=trusted).predict(X).shape == (80,)
    with pytest.raises(AssayError, match=r"Sneaky, which skops does not trust"):
        read(to_artifact(Sneaky(), "models/x", format="skops"))


MISSING = """
import sys
sys.modules["skops"] = sys.modules["skops.io"] = sys.modules["onnxruntime"] = None
from assay.errors import AssayError
from assay.features.serving.model_formats import Artifact, from_artifact, to_artifact
for work in (
    lambda: to_artifact(object(), "models/x", format="skops"),
    lambda: from_artifact(Artifact("onnx", b"1"), Artifact("onnx", b"1").sha256, "models/x 1"),
):
    try:
        work()
    except AssayError as problem:
        print(problem)
"""


def test_a_missing_package_is_named_with_the_extra_that_has_it() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "models/x: its format needs skops, which is not installed. Next: pip install 'assay[models]'."
    assert second.endswith("needs onnxruntime, which is not installed. Next: pip install 'assay[onnx]'.")
