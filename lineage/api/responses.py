"""Response models of the native endpoints (`queries`), for OpenAPI."""

from typing import Literal

from pydantic import ConfigDict, Field

from assay.lineage.api.marquez_models import Json, Model


class GraphNode(Model):
    id: str
    kind: Literal["dataset", "job", "run"]
    namespace: str
    name: str
    version: str | None
    facts: Json


class GraphEdge(Model):
    """Data flows from `source` to `target`."""

    source: str
    target: str
    role: str


class LeftOut(Model):
    """`at_least`: there may be more of it."""

    what: str
    count: int
    at_least: bool


class Subgraph(Model):
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    truncated: str | None
    left_out: list[LeftOut]


class Trace(Model):
    prediction_id: str
    root: Json
    files: list[Json]


class Affected(Model):
    """The versions of a table that were made from the origin; `live` of them still hold rows of its latest version. They wrote
    `rows`, of which a later one of them wrote `rewritten` again.

    `columns`: null where no column was asked for. Of them, `indirect` ones were only chosen, grouped or ordered by it, and of
    `unknown` ones no commit declares the sources.
    """

    table: str
    versions: list[int]
    partitions: list[str] | None
    runs: list[str]
    rows: int
    live: int
    columns: list[str] | None
    indirect: list[str]
    unknown: list[str]
    rewritten: int


class LookedUpBy(Model):
    """How many versions of a table only looked something up in affected rows."""

    table: str
    versions: int


class OtherReader(Model):
    """A job of another producer that read tables of the lake: what it made is not followed."""

    namespace: str
    job: str
    reads: list[str]
    writes: list[str]


class Impact(Model):
    """`about` says in words which rows the origin means. `predictions` that were written again count once; `models` are named as
    `router@2`."""

    origin: Json
    about: str
    complete: bool
    truncated: list[str]
    notes: list[str]
    affected: list[Affected]
    lookups: list[LookedUpBy]
    training_sets: list[str]
    models: list[str]
    predictions: int
    other_readers: list[OtherReader]


class FailedRun(Model):
    """The last run that failed with a file, of `times`. `refused`: the batch was refused as a whole, by `rules`."""

    table: str
    partition: str | None
    at: str
    run_id: str
    refused: bool
    rules: list[str]
    problem: str
    times: int


class DeliveredFile(Model):
    """A file that is asked about. `versions` of the raw table took it, the first one `at`; none where it was refused. `entered`:
    whether any table took rows of it from there. `outcome`: in a sentence, where it went no further."""

    path: str
    sha256: str
    table: str
    partition: str | None
    versions: list[int]
    at: str | None
    rows: int | None
    replaced_by: int | None
    replaced_at: str | None
    entered: bool
    failed: list[FailedRun]
    outcome: str


class AffectedRows(Model):
    """Affected rows of a table: `rows` counts each once, `written` once for each version that wrote it."""

    table: str
    versions: int
    in_use: int
    rows: int
    written: int
    exact: bool


class AffectedPredictions(Model):
    """Followed row by row. `predictions` counts them: `direct`, by model, and how many affected models made. `files` are the
    newest of `files_meant`. `list` has the predictions that were asked for, `left_out` says how many more there are."""

    origin: Json
    about: str
    files: list[DeliveredFile]
    files_meant: int
    complete: bool
    truncated: list[str]
    notes: list[str]
    tables: list[AffectedRows]
    set_aside: list[str]
    training_sets: list[str]
    models: list[str]
    predictions: Json
    other_readers: list[OtherReader]
    list: list[Json] | None
    left_out: int


class Column(Model):
    """A column of the rows that a version of a table wrote."""

    table: str
    version: int
    column: str


class ColumnEdge(Model):
    """`direct`: values of `target` were made from `source`. Otherwise they were chosen, grouped or ordered by it."""

    source: Column
    target: Column
    direct: bool


class Columns(Model):
    """`unknown` columns have no declared sources; `truncated` names what could not be followed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "origin": [{"table": "features/ticket", "version": 4, "column": "words"}],
                "direction": "up",
                "complete": True,
                "edges": [
                    {
                        "source": {"table": "clean/tickets", "version": 3, "column": "text"},
                        "target": {"table": "features/ticket", "version": 4, "column": "words"},
                        "direct": True,
                    }
                ],
                "unknown": [],
                "truncated": [],
            }
        }
    )

    origin: list[Column]
    direction: Literal["up", "down"]
    complete: bool
    edges: list[ColumnEdge]
    unknown: list[Column]
    truncated: list[str]


class Diff(Model):
    """What differs between two versions, as pairs [in a, in b]; empty or null: no difference. `unknown` names the fields
    that are not known of both; these are not compared."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "a": "dataset:file:/lake/clean/tickets@3",
                "b": "dataset:file:/lake/clean/tickets@4",
                "same": False,
                "schema": {"channel": [None, "String"]},
                "rows": [898, 1223],
                "contract": ["Tickets@1.0", "Tickets@1.1"],
                "checks": {"channel.isin": [None, "held"]},
                "code": None,
                "inputs": {"raw/tickets": [["3"], ["4"]]},
                "unknown": [],
            }
        }
    )

    a: str
    b: str
    same: bool
    columns: dict[str, tuple[str | None, str | None]] = Field(alias="schema")
    rows: tuple[int, int] | None
    contract: tuple[str | None, str | None] | None
    checks: dict[str, tuple[str | None, str | None]]
    code: tuple[str, str] | None
    inputs: dict[str, tuple[list[str] | None, list[str] | None]]
    unknown: list[str]
