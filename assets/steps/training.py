"""Training sets, declared: which rows, with which features as of each row's moment, and until when."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from assay.assets.callable_digest import callable_digest
from assay.assets.steps.embeddings import Embedding, embedding_identity, embedding_keys
from assay.assets.steps.hold import hold_of
from assay.assets.steps.step import NotReady, Resources, Step, available, require
from assay.assets.steps.watched import Concern, Watched, same_partition
from assay.errors import AssayError
from assay.features.serving.by_definition import open_named
from assay.features.serving.feature_refs import Resolved, resolve
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import JoinOptions, KnownAt
from assay.features.serving.labels import ResolvedLabel, join_label, label_reference, resolve_label
from assay.features.serving.on_demand.view import MOMENT, OnDemandView
from assay.features.serving.references import Reference, Role
from assay.features.serving.request import Asked, Features, Request, request
from assay.features.serving.training import pin_training_set, published, stage_training_set
from assay.features.tables.kinds import Kind
from assay.features.tables.partitioning import UNPARTITIONED, Partitioning, midnight
from assay.features.tables.transaction import Transaction
from assay.features.training.split_data import LABEL_KNOWN
from assay.features.views.columns import require_columns
from assay.features.views.expressions import check_expression, expression_digest
from assay.features.views.feature_view import FeatureView
from assay.features.views.label_view import LabelView
from assay.features.views.timestamps import instant
from assay.features.views.withdrawn_columns import withdrawn_columns
from assay.settings import Settings

EVENT_TIME = "event_time"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

FeatureSource = FeatureView | Embedding | OnDemandView


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """What a project declares before its training sets: feature views and embeddings by name, and how tables are cut."""

    features: Mapping[str, FeatureSource] = field(default_factory=dict)
    partitions: Mapping[str, Partitioning] = field(default_factory=dict)

    def cut(self, table: str) -> Partitioning:
        return self.partitions.get(table, UNPARTITIONED)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spine:
    """Which rows a model learns from and predicts: about whom, and at which moment.

    Args:
        source: The table whose partitions the rows come by, such as `clean/flights`.
        keys: Columns that say whom a row is about. The feature views join by them.
        event_time: The column with the row's moment (in the spine it is called `event_time`).
        where: An expression: only rows for which it is true are taken.
        text: The column whose embedding is looked up. By default that of the declared `Embedding` of the same table.
        build: A function of the table's lazy frame, and of those of `lookups`, that gives the rows instead. Its result has
            the columns that are named here.
        inputs: What a request would bring: inputs of on-demand features, as columns of the table or as named expressions over
            it, such as `{"characters": pl.col("text").str.len_chars()}`. They are columns of the training set, and of the
            predictions. Inputs that are called like columns of the table are taken without being named here.
        lookups: Further tables that `build` takes, as a whole. As a mapping, each with those keys of the spine by which `build`
            looks into it, as far as the table has columns of these names: `{"clean/customers": ["customer_id"]}`. Then a bad row
            of it is followed to the predictions with its keys; otherwise to all.
    """

    source: str
    keys: Sequence[str]
    event_time: str = EVENT_TIME
    where: pl.Expr | None = None
    text: str | None = None
    inputs: Mapping[str, pl.Expr] = field(default_factory=dict)
    build: Callable[..., pl.LazyFrame] | None = None
    lookups: Sequence[str] | Mapping[str, Sequence[str]] = ()

    def __post_init__(self) -> None:
        if not self.keys or isinstance(self.keys, str):
            raise AssayError(
                f"The spine of {self.source} needs keys: a list of the columns that say whom a row is about."
            )
        if self.where is not None:
            check_expression(self.where, f"where of the spine of {self.source}")
        for name, expr in self.inputs.items():
            check_expression(expr, f"input {name!r} of the spine of {self.source}")
        if self.lookups and self.build is None:
            raise AssayError(f"The spine of {self.source} names lookups, which only a build= function takes.")
        for table, keys in self.lookups.items() if isinstance(self.lookups, Mapping) else ():
            if isinstance(keys, str) or not keys or not set(keys) <= set(self.keys):
                raise AssayError(
                    f"The spine of {self.source} looks into {table} by {keys!r}: name some of its keys, {list(self.keys)}, "
                    "as a list."
                )

    def described(self) -> dict[str, Any]:
        """Where its rows come from, as commits of predictions record it."""
        built = {"built": True} if self.build is not None else {}
        by_keys = (
            {table: list(keys) for table, keys in self.lookups.items()} if isinstance(self.lookups, Mapping) else {}
        )
        lookups = {"lookups": by_keys} if by_keys else {}
        return {"table": self.source, "event_time": self.event_time} | built | lookups

    def digest(self) -> str:
        where = expression_digest(self.where) if self.where is not None else ""
        inputs = [f"{name}={expression_digest(expr)}" for name, expr in self.inputs.items()]
        parts = (self.source, list(self.keys), self.event_time, where, self.text, list(self.lookups), *inputs)
        return hashlib.sha256(f"{parts} {callable_digest(self.build)}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """A training set, declared: makes `training/<name>`, one pinned version with a manifest of everything it was made from.

    Args:
        name: Names the table `training/<name>`.
        spine: Which rows.
        features: Feature views and embeddings (all their features), references such as `"weather:wind_1d"`, or roles; or a
            feature set.
        label: The column that a model learns to predict, or a named expression over the spine's table. Rows without one
            (null) are left out. Or the label of a label view: `"filed:intent"`, or the view, if it has one label. Then those are
            left out whose label is not known yet, and a column `label_known` says when it was.
        until: The first day that is held back: rows of that day and later ones are not in the training set.
        known_at: `"known"` takes only feature values that were already known at the row's moment; a mapping says so for some
            views, by their names.
        skip_nulls: Takes for each feature its latest value that is not null; a mapping says so for some views.
        owner: The team that answers for it.
        description: One sentence for people.
        group: The group of assets that Dagster shows it, its models and predictions in. Default: one for each kind.

    Raises:
        AssayError: The declaration is incomplete or contradicts itself.
    """

    name: str
    spine: Spine
    features: Features
    label: str | pl.Expr | LabelView
    until: date | str
    known_at: KnownAt | Mapping[str, KnownAt] = "event"
    skip_nulls: bool | Mapping[str, bool] = False
    owner: str = ""
    description: str = ""
    group: str = ""
    request: Request = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise AssayError(f"Training set name {self.name!r}: use letters, digits and '_'; it names a table.")
        if not self.features or isinstance(self.features, str):
            raise AssayError(
                f"Training set {self.name!r} needs features: a list of views, embeddings or 'view:feature'."
            )
        if isinstance(self.label, pl.Expr):
            check_expression(self.label, f"label of training set {self.name!r}")
        _ = self.label_of_view  # refuses what is no reference
        try:
            object.__setattr__(self, "until", date.fromisoformat(str(self.until)))
        except ValueError:
            raise AssayError(
                f"Training set {self.name!r}: until {self.until!r} is not a day like 2026-01-31."
            ) from None
        wanted = request(self.features, JoinOptions(self.known_at, self.skip_nulls))
        object.__setattr__(self, "request", wanted)
        embeddings = [item for item in self.declared if isinstance(item, Embedding)]
        if embeddings and self.text is None:
            raise AssayError(
                f"Training set {self.name!r}: {embeddings[0].table} is of another table than the spine's, so Spine(text=…) "
                "must name the column whose vectors are meant."
            )

    @property
    def table(self) -> str:
        return Kind.TRAINING.table(self.name)

    @property
    def references(self) -> tuple[str, ...]:
        """The features as texts."""
        return self.request.texts

    @property
    def options(self) -> JoinOptions:
        """How they are joined."""
        return self.request.options

    @property
    def declared(self) -> tuple[Any, ...]:
        """What the features were given as, those of feature sets one by one."""
        given = [self.features] if isinstance(self.features, Asked) else self.features
        return tuple(one for item in given for one in (item.features if isinstance(item, FeatureSet) else [item]))

    @property
    def objects(self) -> tuple[Any, ...]:
        """The same, with what stands in roles, and what declared on-demand views use in turn."""
        found: dict[int, Any] = {}
        queue = [item.features if isinstance(item, Role) else item for item in self.declared]
        while queue:
            item = queue.pop(0)
            if id(item) not in found:
                found[id(item)] = item
                queue += item.uses if isinstance(item, OnDemandView) else ()
        return tuple(found.values())

    @property
    def first_held_back(self) -> str:
        """The first day that the training set does not have."""
        return str(self.until)

    @property
    def label_of_view(self) -> Reference | None:
        """The label of a label view; None where it is of the spine's own table."""
        of_view = isinstance(self.label, LabelView) or (isinstance(self.label, str) and ":" in self.label)
        return label_reference(self.label) if of_view else None  # pyright: ignore[reportArgumentType]

    @property
    def label_column(self) -> str:
        if (reference := self.label_of_view) is not None:
            return reference.output
        return self.label.meta.output_name() if isinstance(self.label, pl.Expr) else str(self.label)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that say what is to be predicted, or when that became known: a model may read neither."""
        return (self.label_column, LABEL_KNOWN) if self.label_of_view else (self.label_column,)

    @property
    def text(self) -> str | None:
        """The column whose embedding is looked up."""
        own = (item.text for item in self.declared if isinstance(item, Embedding) and item.source == self.spine.source)
        return self.spine.text or next(own, None)

    def digest(self) -> str:
        """SHA-256 of all that decides the rows."""
        reference = self.label_of_view
        own = self.label if isinstance(self.label, pl.Expr) else None
        label = str(reference or self.label) if own is None else expression_digest(own)
        how = (self.options.known_at, self.options.skip_nulls, *(one.id for one in self.request.sets))
        parts = (self.spine.digest(), self.references, label, self.first_held_back, *how)
        return hashlib.sha256(f"{parts} {self.text}".encode()).hexdigest()


def feature_tables(made: TrainingSet, upstream: Upstream) -> dict[str, FeatureSource | None]:
    """The tables of the features, and of what they are computed of, each with its declaration if that is known."""
    own = {item.name: item for item in made.objects if isinstance(item, FeatureSource)}
    return tables_of(list(made.references), {**upstream.features, **own})


def tables_of(references: Sequence[str], declared: Mapping[str, FeatureSource]) -> dict[str, FeatureSource | None]:
    """The tables of references, and of what on-demand views among them use, each with its declaration if that is known."""
    tables: dict[str, FeatureSource | None] = {}
    queue = [Reference.parse(text).view for text in references]
    while queue:
        item = declared.get(name := queue.pop(0))
        table = item.table if isinstance(item, Embedding) else Kind.FEATURES.table(name)
        if table not in tables:
            tables[table] = item
            queue += [used.view for used in item.transformation.uses.values()] if isinstance(item, OnDemandView) else []
    return tables


def request_inputs(made: TrainingSet) -> dict[str, str]:
    """The inputs of the request that the declared on-demand features of a training set need: name → type."""
    return {
        name: kind
        for item in made.objects
        if isinstance(item, OnDemandView)
        for name, kind in item.transformation.inputs.items()
        if name != MOMENT
    }


def training_step(made: TrainingSet, upstream: Upstream, retrain: Sequence[str] = ()) -> Step:
    """The step that makes `training/<name>`.

    Args:
        made: The declaration.
        upstream: What the project declares of the tables that it reads.
        retrain: The rules of the models that learn from it.
    """
    tables = (*feature_tables(made, upstream), *_label_tables(made))
    return Step(
        outputs=(made.table,),
        prepare=lambda tx, env: _prepare(made, tables, upstream, tx, env),
        compute=lambda tx, env, joined: _compute(made, tx, joined),
        code_version=hashlib.sha256(f"training-2 {made.digest()}".encode()).hexdigest()[:16],
        reads=(made.spine.source, *made.spine.lookups, *tables),
        watched=_watched(made, upstream),
        hold=hold_of(retrain),
        group=made.group,
        kinds=("polars",),
        owner=made.owner,
        description=made.description
        or f"Labelled rows of {made.spine.source} before {made.first_held_back}, with every feature as of the row's moment.",
    )


def _watched(made: TrainingSet, upstream: Upstream) -> Watched:
    """Nothing that is of a later time than the set's last row."""
    cut = upstream.cut(made.spine.source)
    end = midnight(made.first_held_back, cut)
    whole = (*made.spine.lookups, *_label_tables(made))  # of labels, a later row may make earlier ones known
    tables = {made.spine.source: Concern(cut=cut, until=end), **dict.fromkeys(whole, Concern())}
    for table, item in feature_tables(made, upstream).items():
        if isinstance(item, FeatureView):
            tables[table] = Concern(cut=upstream.cut(table), until=end, time=item.event_time)
        elif isinstance(item, Embedding) and item.source == made.spine.source:
            tables[table] = Concern(cut=cut, until=end, grows=True)
        else:
            tables[table] = Concern()
    return Watched(tables | same_partition(made.table), settings=identity_of_text(made))


def _label_tables(made: TrainingSet) -> tuple[str, ...]:
    return () if made.label_of_view is None else (Kind.LABELS.table(made.label_of_view.view),)


def identity_of_text(made: TrainingSet) -> Callable[[Settings], str]:
    """What decides the keys of a spine's texts, where it has some."""
    return (lambda settings: "") if made.text is None else embedding_identity


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What to join: the spine, and the features resolved to the versions and partitions that matter to it."""

    spine: pl.DataFrame
    features: Resolved
    label: ResolvedLabel | None = None


def _prepare(made: TrainingSet, tables: Sequence[str], upstream: Upstream, tx: Transaction, env: Resources) -> Joined:
    source = made.spine.source
    partitioning = upstream.cut(source)
    end = midnight(made.first_held_back, partitioning)
    open_named(tx, made.references)
    for table in (source, *tables):
        cut = UNPARTITIONED if Kind.LABELS.holds(table) else upstream.cut(table)
        _require_until(tx, table, cut, end)
    keys = available(tx, source)
    if partitioning.is_timed:
        keys = [key for key in partitioning.known(keys) if partitioning.bounds(key)[0] < end]
    # Also when it is found to be current: a kill between its commit and its pins must not leave it without them.
    tx.then(lambda done: pin_training_set(env.lake, published(env.lake, made.name, done)))
    spine = spine_rows(made, tx, env, keys, with_label=made.label_of_view is None).filter(pl.col(EVENT_TIME) < end)
    label = None
    if made.label_of_view is None:
        spine = spine.filter(pl.col(made.label_column).is_not_null())
    else:
        label = resolve_label(tx, str(made.label_of_view))
    if spine.is_empty() or (label is not None and join_label(spine, label, EVENT_TIME).is_empty()):
        raise NotReady(f"{source} has no labelled rows before {made.first_held_back} yet.")
    return Joined(spine, resolve(tx, made.request, spine), label)


def _require_until(tx: Transaction, table: str, partitioning: Partitioning, end: datetime) -> None:
    """Raise NotReady unless a table has the last partition before an instant; where partitions are no spans of time, any."""
    last = partitioning.overlapping(end - timedelta(microseconds=1), end) if partitioning.is_timed else []
    if last:
        require(tx, table, last[-1])
    else:
        available(tx, table)


def _compute(made: TrainingSet, tx: Transaction, joined: Joined) -> Mapping[str, Any]:
    rows = stage_training_set(tx, made.name, joined.spine, joined.features, label=joined.label)
    label = rows[made.label_column]
    few = not label.dtype.is_float() and label.n_unique() <= rows.height // 2
    return {"rows": rows.height, "columns": rows.width} | ({"classes": label.n_unique()} if few else {})


def spine_rows(
    made: TrainingSet, tx: Transaction, env: Resources, partitions: Sequence[str], *, with_label: bool
) -> pl.DataFrame:
    """The spine over some partitions of its source, which become an input: keys, `event_time`, the label if it is wanted,
    and the key of the text's vector if there is one. Sorted by time and keys."""
    spine = made.spine
    frame = tx.read(spine.source, partitions).drop(withdrawn_columns(tx.state(spine.source), partitions))
    where = f"the spine of {made.table} ({spine.source})"
    if spine.build is not None:
        for table in spine.lookups:
            available(tx, table)
        frame = spine.build(frame, *(tx.read(table) for table in spine.lookups))
        if not isinstance(frame, pl.LazyFrame):
            raise AssayError(f"{where}: build= must give a LazyFrame, not {type(frame).__name__}.")
    schema = frame.collect_schema()
    needed = [*spine.keys, *([made.text] if made.text else [])]
    columns = [*map(pl.col, spine.keys), instant(schema, spine.event_time, where).alias(EVENT_TIME)]
    for name in dict.fromkeys((*request_inputs(made), *spine.inputs)):
        if name in spine.keys:
            continue
        value = spine.inputs.get(name, pl.col(name))
        needed += value.meta.root_names()
        columns.append(value.alias(name))
    if with_label:
        label = made.label if isinstance(made.label, pl.Expr) else pl.col(made.label_column)
        needed += label.meta.root_names()
        columns.append(label)
    require_columns(schema, needed, where)
    if made.text is not None:
        columns.append(pl.col(made.text).alias("__text"))
    if spine.where is not None:
        frame = frame.filter(spine.where)
    rows = frame.select(columns).collect()
    if made.text is not None:
        rows = rows.with_columns(embedding_keys(env, rows["__text"])).drop("__text")
    return rows.sort(EVENT_TIME, *spine.keys)
