"""The router's model: multinomial logistic regression, stored as plain numbers (safetensors), never as pickle."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assay.errors import AssayError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """Softmax over `x @ weights + bias`, where x = standardised features followed by the vector.

    Shapes: weights (features + dimensions, classes), bias (classes,), mean and scale (features,).
    """

    classes: tuple[str, ...]
    features: tuple[str, ...]
    vector: str
    weights: Floats
    bias: Floats
    mean: Floats
    scale: Floats

    def predict(self, frame: pl.DataFrame) -> tuple[list[str], Floats]:
        """Class and its probability per row. Null features count as 0 (no recent activity); a null vector is an error."""
        logits = _inputs(frame, self.features, self.vector, self.mean, self.scale) @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits)
        chances /= chances.sum(axis=1, keepdims=True)
        best = chances.argmax(axis=1)
        return [self.classes[index] for index in best], chances[np.arange(len(best)), best]


def fit(frame: pl.DataFrame, features: Sequence[str], vector: str, label: str, c: float) -> LinearModel:
    """Fit on the labelled rows of a training set. `c` is the inverse regularisation strength."""
    from sklearn.linear_model import LogisticRegression

    raw = _numbers(frame, features)
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    scale[scale == 0] = 1.0
    inputs = _inputs(frame, features, vector, mean, scale)
    fitted = LogisticRegression(C=c, max_iter=1000).fit(inputs, frame[label].to_numpy())
    return LinearModel(
        classes=tuple(str(name) for name in fitted.classes_),
        features=tuple(features),
        vector=vector,
        weights=np.asarray(fitted.coef_, np.float64).T.copy(),
        bias=np.asarray(fitted.intercept_, np.float64),
        mean=mean,
        scale=scale,
    )


def to_bytes(model: LinearModel) -> bytes:
    """The model as a safetensors file; the same model gives the same bytes."""
    from safetensors.numpy import save

    described = {
        "classes": model.classes,
        "features": model.features,
        "vector": model.vector,
        "format": "assay-linear-1",
    }
    arrays = {"weights": model.weights, "bias": model.bias, "mean": model.mean, "scale": model.scale}
    return save(arrays, metadata={"model": json.dumps(described, sort_keys=True)})


def from_bytes(content: bytes) -> LinearModel:
    """The model of an artefact."""
    from safetensors.numpy import load

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    described: dict[str, Any] = json.loads(header["__metadata__"]["model"])
    arrays = load(content)
    names = ("weights", "bias", "mean", "scale")
    return LinearModel(
        tuple(described["classes"]),
        tuple(described["features"]),
        described["vector"],
        *(np.asarray(arrays[name], np.float64) for name in names),
    )


def _numbers(frame: pl.DataFrame, features: Sequence[str]) -> Floats:
    return frame.select(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in features).to_numpy().astype(np.float64)


def _inputs(frame: pl.DataFrame, features: Sequence[str], vector: str, mean: Floats, scale: Floats) -> Floats:
    if frame[vector].null_count():
        raise AssayError(f"{frame[vector].null_count()} rows have no vector: materialise the embeddings first.")
    scaled = (_numbers(frame, features) - mean) / scale
    vectors = frame[vector].list.to_array(len(frame[vector][0])).to_numpy() if frame.height else np.empty((0, 0))
    return np.hstack([scaled * FEATURE_WEIGHT, np.asarray(vectors, np.float64)])


# Standardised features have unit variance each, a unit vector's components 1/d: without this the features drown it.
FEATURE_WEIGHT = 0.02
