"""What people may want to know of a column, from its declaration: shown where the data is. It decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assay.checks import Contract, contract_info, contract_rules
from assay.features.serving.on_demand.definitions import DEFINITION
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.timestamps import format_duration
from assay.features.views.windowed import Windowed
from assay.own_columns import CHANGE, SEEN_AT


@dataclass(frozen=True, slots=True)
class ColumnNote:
    """A column in words. `rules` are the names of what must hold of it; `tags` are its unit, owner, class of personal data
    and whatever else was declared."""

    description: str = ""
    nullable: bool = True
    rules: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def contract_notes(contract: type[Contract]) -> dict[str, ColumnNote]:
    """Of each column of a contract: `Field(description=…, metadata={"unit": "EUR"})`, its rules, and `pii`; and of the
    columns that link a row to where it came from."""
    info, notes = contract_info(contract), {name: ColumnNote(text) for name, text in _LINKS.items()}
    for column in info.columns:
        rules = tuple(rule.name for rule in contract_rules(contract) if rule.column == column.name)
        tags = {str(name): str(value) for name, value in column.metadata.items()}
        tags |= {"pii": column.pii} if column.pii else {}
        tags |= {"key": "yes"} if column.name in info.key else {}
        notes[column.name] = ColumnNote(column.description, column.nullable, rules, tags)
    return notes


def delivered_notes(contract: type[Contract]) -> dict[str, ColumnNote]:
    """The same of rows as they were delivered, and of those that broke a rule: of them nothing has to hold."""
    return {name: replace(note, nullable=True, rules=()) for name, note in contract_notes(contract).items()}


def _notes(texts: Mapping[str, str]) -> dict[str, ColumnNote]:
    return {name: ColumnNote(text) for name, text in texts.items()}


_LINKS = {
    "_row_number": "Number of the row in its file, from 1 on.",
    "_source_file": "The delivered file, as it was called.",
    "_source_sha256": "SHA-256 of the delivered file, by which the lake keeps its bytes.",
    "_batch_id": "Name of the batch: the same for the same files.",
    "_ingested_at": "When the bytes came in (UTC).",
    CHANGE: "What became of the row: insert, update or delete (then with its last known values).",
    SEEN_AT: "When the look at the table began that saw it (UTC).",
    "_defect": "What is wrong with a record that could not be read.",
    "_line": "Such a record as it was delivered.",
    "_json": "The columns of which the record has a value that is no text: in JSON or Excel a number, a date, true, an object, …",
    "_rules": "The rules that the row broke.",
    "_duplicate_of": "In which other partition the row is that has the key, by which rule, and which row stays.",
    "_contract": "Version of the contract that demanded it.",
    "_status": "held, released, rejected, expired or void: what became of the row.",
    "_decision_id": "Which decision let the row in.",
}


PROFILE_NOTES = _notes(
    {
        "column": "The column that the row describes.",
        "dtype": "Its type.",
        "rows": "How many rows the partition has.",
        "null": "Rows without a value.",
        "nan": "Rows whose value is NaN (not a number).",
        "distinct": "About how many different values there are.",
        "min": "The smallest value, as text.",
        "max": "The largest value, as text.",
        "mean": "The mean of the numbers.",
        "state": "Everything that was measured (JSON), which can be merged with that of other partitions.",
    }
)
MODEL_NOTES = _notes(
    {
        "model_version": "The model's version, from 1 on.",
        "sha256": "SHA-256 of the artefact.",
        "artifact": "The fitted model.",
        "format": "How it is stored; none of the formats runs code.",
        "training_set": "What it was fitted on, with its version.",
        "split": "Which part of that: the definition of a split (JSON); null for all of it.",
        "outputs": "The columns that it predicts.",
        "metrics": "How well it did on rows that were held back (JSON).",
        "params": "With which parameters it was fitted (JSON).",
        "created_at": "When it was fitted (UTC).",
    }
)
PARTIAL_NOTES = _notes(
    {
        "_source": "The table whose events it is of.",
        "_level": "It is of 2^level partitions.",
        "_begin": "From when on they happened (UTC).",
        "_end": "Until when, exclusive.",
        "_made_from": "SHA-256 over the files of the events.",
    }
)


def on_demand_notes(view: OnDemandView) -> dict[str, ColumnNote]:
    """Of each feature of an on-demand view: what it is, in which unit, and of what it is computed."""
    notes = {DEFINITION: ColumnNote("SHA-256 of the definition. The features are computed when they are read.")}
    for feature in view.features:
        tags = {"unit": feature.unit} if feature.unit else {}
        tags |= {"owner": view.owner} if view.owner else {}
        notes[feature.name] = ColumnNote(feature.description, tags=tags)
    return notes


def view_notes(view: FeatureView) -> dict[str, ColumnNote]:
    """Of each column of a view's table: what it is a feature of, over which window, in which unit."""
    notes = {key: ColumnNote(f"Key of one {view.entity.name}.", nullable=False) for key in view.entity.keys}
    notes[view.event_time] = ColumnNote("From when the row holds (UTC).", nullable=False)
    for feature in view.features:
        tags = {"owner": view.owner} if view.owner else {}
        if isinstance(feature, Windowed | Feature) and feature.unit:
            tags |= {"unit": feature.unit}
        if isinstance(feature, Windowed):
            window = format_duration(feature.width)
            words = f"{feature.description} Over {feature.source} in the {window} before the row's time.".strip()
            notes[feature.name] = ColumnNote(words, tags={"window": window, **tags})
        elif isinstance(feature, Feature):
            notes[feature.name] = ColumnNote(feature.description, tags=tags)
    for name, texts in view.about().get("features", {}).items():
        unit = {"unit": texts["unit"]} if "unit" in texts else {}
        owner = {"owner": view.owner} if view.owner else {}
        notes.setdefault(name, ColumnNote(texts.get("description", ""), tags=unit | owner))
    return notes
