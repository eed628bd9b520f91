"""A declared model, run again for one prediction: the stored artefact, the features joined again, the code that is here now."""

from collections.abc import Sequence

from assay.assets.steps.models import Model, predict_rows
from assay.assets.steps.step import Step
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.models import model_of_state
from assay.features.tables.lake import Lake
from assay.lineage.predictions.outputs import EVENT_TIME
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.computed_again import Again, CannotPredict, Predict


def predicted_again(lake: Lake, models: Sequence[Model], steps: Sequence[Step]) -> Predict:
    """Runs the declared models again.

    Args:
        lake: Where models and features are.
        models: The declarations of a project.
        steps: The steps of the same project: they say which code is here now.
    """
    declared = {model.name: model for model in models}
    codes = {table: step.code_version for step in steps for table in step.outputs}

    def predict(trace: Trace) -> Again:
        name = trace.prediction.model
        model = declared.get(name)
        if model is None:
            raise CannotPredict(f"this project declares no model {name!r}, whose code is needed to run it")
        commit, row = trace.root.commits[-1], trace.prediction.frame
        stored = next((node for node in trace.root.inputs if node.kind == "model" and not node.lookup), None)
        if stored is None or "sha256" not in stored.details:
            raise CannotPredict("the model that made it is not in the lake (any more)")
        version = str(stored.details["model_version"])
        fitted = model.read(model_of_state(lake.table(stored.table).at(stored.snapshot.version), name, version))
        made = model.training_set
        request = commit.predictions.request if commit.predictions else ()
        text_key = (TEXT_KEY,) if made.text else ()
        needed = list(dict.fromkeys([*made.spine.keys, EVENT_TIME, *text_key, *request]))
        if lacking := [column for column in needed if column not in row.columns]:
            raise CannotPredict(f"the row lacks {', '.join(lacking)}, by which its features are joined")
        versions = {item.snapshot.table: item.snapshot.version for item in commit.inputs}
        rows = as_of_join(
            row.select(needed),
            made.references,
            lake=lake,
            versions={table: at for table, at in versions.items() if table.split("/")[0] in ("features", "embeddings")},
            known_at=made.options.known_at,
            skip_nulls=made.options.skip_nulls,
        )
        same = codes.get(model.predictions) == commit.code_version
        return Again(predict_rows(model, fitted, rows), same)

    return predict
