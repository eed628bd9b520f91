"""Models of a store and their predictions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from assay.features.tables.run_record import Run
from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.features.serving.inputs import Input
    from assay.features.serving.join_options import KnownAt
    from assay.features.serving.model_formats import Load, Save
    from assay.features.serving.models import ModelVersion
    from assay.features.serving.request import Features
    from assay.features.serving.training import TrainingSetVersion
    from assay.features.training.split import Split


class ModelMethods(StoreBase):
    """Store and load models; log predictions."""

    def log_model(
        self,
        name: str,
        fitted: Any,
        *,
        training_set: "TrainingSetVersion | Split | str | None",
        metrics: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        inputs: "Sequence[Input]" = (),
        format: str | None = None,
        save: "Save | None" = None,
        load: "Load | None" = None,
        trusted: Sequence[str | type] = (),
        code_version: str = "",
    ) -> "ModelVersion":
        """Store a fitted model as a version of `models/<name>`, as a declared `Model` does.

        The same bytes from the same training set are the same version, which stays as it is.

        Args:
            name: The model's name: letters, digits and `_`.
            fitted: A scikit-learn estimator (stored by skops), a dict of arrays or tensors (safetensors), an ONNX model or
                its bytes (`format="onnx"`), or anything for which there is `save`.
            training_set: What it was fitted on, as `training_set(…)` gave it or by its id; a split of it, whose definition is
                recorded; None for a model from elsewhere.
            metrics: Numbers by name, of rows that the model has not seen.
            params: What was chosen for this model.
            outputs: The columns that it predicts.
            inputs: Snapshots that it was made from besides the training set.
            format: `skops`, `onnx`, `safetensors` or `bytes`. Default: the one that fits the type. Never pickle.
            save: Fitted model to bytes, the same for the same model.
            load: Bytes to fitted model, for what `save` wrote: it is tried at once.
            trusted: Types that a skops artefact may make besides those that skops trusts itself.
            code_version: What decided the result, for the record.

        Returns:
            The version: `.version`, `.sha256`, `.metrics`, `.load()`.

        Raises:
            AssayError: No safe format fits, the bytes are a pickle or cannot be read again, a package is missing, or an
                input is not what it was.
        """
        from assay.features.serving.models import log_model

        return log_model(
            self.lake,
            self.recorder,
            name,
            fitted,
            training_set=training_set,
            metrics=metrics,
            params=params,
            outputs=outputs,
            inputs=inputs,
            format=format,
            save=save,
            load=load,
            trusted=trusted,
            code_version=code_version,
        )

    def model(self, name: str, version: str | int | None = None) -> "ModelVersion":
        """What is recorded of a stored model: metrics, training set, outputs, SHA-256.

        Args:
            name: The model's name.
            version: Default: the newest.

        Raises:
            AssayError: There is no such model or version.
        """
        from assay.features.serving.models import find_model

        return find_model(self.lake, name, version)

    def load_model(
        self,
        name: str,
        version: str | int | None = None,
        *,
        load: "Load | None" = None,
        trusted: Sequence[str | type] = (),
    ) -> Any:
        """A stored model, ready to predict, once its bytes have the recorded SHA-256.

        Args:
            name: The model's name.
            version: Default: the newest.
            load: Reads the bytes, for a model that was stored by a `save` of its own.
            trusted: Types that a skops artefact may make besides those that skops trusts itself.

        Returns:
            What was fitted; for ONNX an `onnxruntime.InferenceSession`.

        Raises:
            AssayError: There is no such version, it was changed after it was stored, it makes a type that is not trusted, a
                package is missing, or `load` is.
        """
        return self.model(name, version).load(load=load, trusted=trusted)

    def log_predictions(
        self,
        *,
        model: str,
        model_version: "str | ModelVersion",
        frame: pl.DataFrame,
        inputs: "Sequence[Input]" = (),
        outputs: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
        features: "Features" = (),
        feature_columns: Sequence[str] = (),
        partition: str | None = None,
        run: Run | None = None,
        code_version: str = "",
        known_at: "KnownAt | Mapping[str, KnownAt] | None" = None,
        skip_nulls: bool | Mapping[str, bool] | None = None,
        event_time: str = "event_time",
    ) -> list[str]:
        """Append predictions to `predictions/<model>`, with the exact snapshots they came from.

        Logging the same predictions again adds nothing.

        Args:
            model: The model's name.
            model_version: A `ModelVersion`, or its number as text. One that is stored in `models/<model>` becomes an input
                of its own accord, so that a trace leads on to its training set. For a model of which the lake stores no
                version (one from elsewhere) any text will do; otherwise it must be one of those that are stored.
            frame: One row per prediction: the keys, `event_time` (with a zone), the outputs, and optionally `confidence`
                (0 to 1), `explanation`, `prompt_version` and `retrieval` (see `assay.lineage.predictions.attachments`).
            inputs: What it was predicted from: snapshots, slices, versions of training sets or models.
            outputs: The columns with the model's answers. Default: those of the stored model, else all columns that have no
                other role.
            keys: Columns that say whom a prediction is about. Default: the keys of the feature views among the inputs.
            features: The references and roles that the features were joined by, such as `weather:wind_1d`, so that they can
                be verified.
            feature_columns: Columns that the model saw. They are digested into `feature_digest`, and not stored.
            partition: One partition for all rows. Default: the day of each row's `event_time`.
            run: The run that this belongs to. Default: one of its own.
            code_version: What decided the result, for the record.
            known_at: How the features were joined, as of `as_of_join`. Default: as those that the model learnt from.
            skip_nulls: Likewise.
            event_time: The frame's column with the moment. The table calls it `event_time` whatever it is called here.

        Returns:
            The ids, in the frame's order. The same prediction has the same id.

        Raises:
            AssayError: The frame cannot be logged (the message names the column), the model has no such version, or an
                input is not what it was.
        """
        from assay.lineage.predictions.prediction_log import log_predictions

        return log_predictions(
            self.lake,
            self.recorder,
            model=model,
            model_version=model_version,
            frame=frame,
            inputs=inputs,
            outputs=outputs,
            keys=keys,
            features=features,
            feature_columns=feature_columns,
            partition=partition,
            run=run,
            code_version=code_version,
            known_at=known_at,
            skip_nulls=skip_nulls,
            event_time=event_time,
        )
