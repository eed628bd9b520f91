"""What a project declares: every Source, view, Embedding, FeatureSet, TrainingSet, Model and Step that is found in the
modules of its domains.

To add a source, add a file; nothing else changes.
"""

import functools
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.assets.project import Project, active_project, place_of
from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.embeddings import Embedding, embedding_step
from assay.assets.steps.features import on_demand_step, view_step
from assay.assets.steps.models import Model, model_step, prediction_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Step
from assay.assets.steps.training import FeatureSource, TrainingSet, Upstream, tables_of, training_step
from assay.errors import AssayError, known_names, nearest
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.tables.partitioning import Partitioning, shared
from assay.features.views.feature_view import FeatureView
from assay.lineage.events.redaction import redact_text

KINDS = (Source, FeatureView, OnDemandView, Embedding, FeatureSet, TrainingSet, Model, Step)
# Modules of a domain that declare nothing: importing them would run tests.
_SKIPPED = re.compile(r"(^|\.)(tests|conftest|test_\w*|__main__)(\.|$)")


@dataclass(frozen=True, slots=True)
class BrokenModule:
    """A module of a project that cannot be imported, or a declaration that cannot become a step, and why. The others are
    there all the same."""

    module: str
    problem: str

    def __str__(self) -> str:
        return f"{self.module} cannot be loaded: {self.problem}"


@dataclass(frozen=True, slots=True)
class Declarations:
    """Everything that a project declares, each once, in the order of its domains' and modules' names."""

    items: tuple[Any, ...]
    broken: tuple[BrokenModule, ...]
    steps: tuple[Step, ...] = ()


@functools.cache
def declarations(project: Project) -> Declarations:
    """What the modules of a project declare. A module that cannot be imported is named and does not hide the others."""
    seen: dict[int, tuple[Any, str]] = {}
    broken: list[BrokenModule] = []
    for domain in project.domains:
        for module in _modules(domain, project.root, broken):
            for item in declared_in(module):
                seen.setdefault(id(item), (item, module.__name__))
    items = tuple(item for item, _ in seen.values())
    steps = _sound_steps(list(seen.values()), broken)
    return Declarations(items, tuple(broken), ordered(steps))


def require_declarations(project: Project) -> None:
    """Raise AssayError for a project that declares nothing: nothing of it can be up to date."""
    declared = declarations(project)
    if declared.items or declared.broken:
        return
    raise AssayError(
        f"Project {project.name} declares nothing: there is no source, view, training set, model or step in "
        f"{', '.join(project.domains)} ({', '.join(str(place_of(name, project.root)) for name in project.domains)}). "
        "Put a declaration there, or name its package in `domains` of [tool.assay]."
    )


def _sound_steps(declared: Sequence[tuple[Any, str]], broken: list[BrokenModule]) -> list[Step]:
    """The steps of all declarations that can have some. Adds to `broken` what cannot, with its module."""
    items = [item for item, _ in declared]
    steps: list[Step] = []
    for item, module in declared:
        try:
            made = _steps_of_one(item, items)
            ordered([*steps, *made])
        except AssayError as problem:
            broken.append(BrokenModule(module, str(problem)))
        else:
            steps += made
    return steps


def declared_in(module: ModuleType) -> Iterator[Any]:
    """The declarations among a module's names, also in lists of them, and the training sets inside models; each once."""
    seen: set[int] = set()
    for value in list(vars(module).values()):
        for item in value if type(value) in (list, tuple) else [value]:
            inside = [item.training_set] if isinstance(item, Model) else []
            for one in (*inside, item):
                if isinstance(one, KINDS) and id(one) not in seen:
                    seen.add(id(one))
                    yield one


def _modules(domain: str, root: Path | None, broken: list[BrokenModule]) -> Iterator[ModuleType]:
    """A domain and every module below it, in the order of their names. Adds to `broken` what cannot be imported."""
    place = place_of(domain, root)
    names = [domain, *(f"{domain}.{name}" for name in _below(place))] if place.is_dir() else [domain]
    for name in names:
        try:
            module = importlib.import_module(name)
        except Exception as problem:
            broken.append(BrokenModule(name, _problem(name, problem)))
            continue
        yield module


def _below(folder: Path) -> Iterator[str]:
    """Dotted names of the modules in a package's folder and its sub-folders (with or without `__init__.py`)."""
    files = (file.relative_to(folder) for file in folder.rglob("*.py"))
    for file in sorted(files, key=lambda file: file.parts):
        parts = file.parts[:-1] if file.name == "__init__.py" else (*file.parts[:-1], file.stem)
        name = ".".join(parts)
        if parts and all(part.isidentifier() for part in parts) and not _SKIPPED.search(name):
            yield name


def _problem(name: str, problem: Exception) -> str:
    """What went wrong at import and on which line of the module, if it happened in one of the project's own."""
    if isinstance(problem, SyntaxError):
        return f"line {problem.lineno}: {problem.msg}. Correct it."
    line, trace = None, problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = str(problem) if isinstance(problem, AssayError) else f"{type(problem).__name__}: {problem}"
    return redact_text(f"{f'line {line}: ' if line else ''}{text.rstrip('.')}. Correct it.")


def pipeline(project: Project | None = None) -> tuple[Step, ...]:
    """All steps of a project (None: the active one), upstream before downstream; without those of broken declarations."""
    return declarations(project or active_project()).steps


def sources(project: Project | None = None) -> dict[str, Source]:
    """Declared sources by name."""
    items = declarations(project or active_project()).items
    return {item.name: item for item in items if isinstance(item, Source)}


def source(name: str, project: Project | None = None) -> Source:
    """A declared source. Raises AssayError for an unknown name."""
    declared = sources(project)
    if name not in declared:
        broken = "".join(f" {module}" for module in declarations(project or active_project()).broken)
        raise AssayError(f"There is no source {name!r}.{nearest(name, declared)}{known_names(declared)}{broken}")
    return declared[name]


def feature_sets(project: Project | None = None) -> dict[str, FeatureSet]:
    """Declared feature sets by name and version (`router@1`), those of training sets too.

    Raises:
        AssayError: Two have the same name and version, and other features.
    """
    found: dict[str, FeatureSet] = {}
    for item in declarations(project or active_project()).items:
        sets = item.request.sets if isinstance(item, TrainingSet) else [item] if isinstance(item, FeatureSet) else []
        for one in sets:
            if found.setdefault(one.id, one).digest() != one.digest():
                raise AssayError(f"Two feature sets are {one.id} and have other features: give one another version.")
    return found


def steps_of(declared: Sequence[Any]) -> list[Step]:
    """The steps that declarations make. Raises AssayError for one that cannot have any."""
    return [step for item in declared for step in _steps_of_one(item, declared)]


def _steps_of_one(item: Any, declared: Sequence[Any]) -> list[Step]:
    """The steps of one declaration among all."""
    if isinstance(item, Source):
        return [raw_step(item), clean_step(item)]
    sources = {source.clean: source for source in declared if isinstance(source, Source)}
    if isinstance(item, FeatureView):
        contracts = [sources[table].contract for table in item.sources() if table in sources]
        return [view_step(item, _partitioning(f"View {item.name!r}", item.sources(), declared), contracts)]
    if isinstance(item, OnDemandView):
        return [
            on_demand_step(
                item, tables_of([str(one) for one in item.transformation.uses.values()], _features(declared))
            )
        ]
    if isinstance(item, Embedding):
        return [embedding_step(item, _partitioning(f"Embedding {item.name!r}", (item.source,), declared))]
    if isinstance(item, TrainingSet):
        models = (model for model in declared if isinstance(model, Model))
        return [training_step(item, _upstream(declared), [one.retrain for one in models if one.training_set is item])]
    if isinstance(item, Model):
        return [model_step(item), prediction_step(item, _upstream(declared))]
    return [item] if isinstance(item, Step) else []


def _features(declared: Sequence[Any]) -> dict[str, FeatureSource]:
    return {item.name: item for item in declared if isinstance(item, FeatureSource)}


def _upstream(declared: Sequence[Any]) -> Upstream:
    """What training sets and models can refer to. A declaration that is broken is named where its own steps are made."""
    features = _features(declared)
    cuts: dict[str, Partitioning] = {}
    for item in declared:
        if isinstance(item, Source | FeatureSource | Step):
            with suppress(AssayError):
                cuts |= {table: step.partitioning for step in _steps_of_one(item, declared) for table in step.outputs}
    return Upstream(features, cuts)


def ordered(steps: list[Step]) -> tuple[Step, ...]:
    """Upstream first; ties by name, so that the order is always the same."""
    writer: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: step.name):
        for table in step.outputs:
            if table in writer:
                raise AssayError(f"{table} is written by two declarations; give one of them another name.")
            writer[table] = step
    for step in writer.values():
        _refuse_other_rhythms(step, writer)
    graph = {
        step.name: [writer[table].name for table in (*step.reads, *step.references) if table in writer]
        for step in writer.values()
    }
    by_name = {step.name: step for step in steps}
    return tuple(by_name[name] for name in TopologicalSorter(graph).static_order() if name in by_name)


def _partitioning(
    who: str, tables: Sequence[str], declared: Sequence[Any], below: tuple[str, ...] = ()
) -> Partitioning:
    """The partitions of what is computed from these tables, partition by partition. `below`: the views that are made from it."""
    partitions: dict[str, Partitioning] = {}
    for item in declared:
        if isinstance(item, FeatureView) and item.table in tables:
            if item.table in below:
                raise AssayError(
                    f"{who} is computed of itself: {' ← '.join((*below, item.table))}. Leave one of them out."
                )
            of = _partitioning(f"View {item.name!r}", item.sources(), declared, (*below, item.table))
            partitions[item.table] = of
        if isinstance(item, Source):
            partitions |= dict.fromkeys((item.raw, item.clean, item.quarantine), item.partitioning)
        elif isinstance(item, Step):
            partitions |= dict.fromkeys(item.outputs, item.partitioning)
    placed = [table for table in tables if table in partitions]
    if not placed:
        raise AssayError(f"{who} reads only {', '.join(tables)}, which nothing declared here writes: check the name.")
    common = shared([partitions[table] for table in placed])
    if common is None:
        cut = "; ".join(f"{table} has {partitions[table]}" for table in placed)
        raise AssayError(f"{who} reads tables that are cut differently ({cut}). Split it into one for each.")
    return common


def _refuse_other_rhythms(step: Step, writer: Mapping[str, Step]) -> None:
    """A step reads the same partition of its upstreams; of tables that are cut differently there is none."""
    for table in step.reads:
        upstream = writer[table].partitioning if table in writer else step.partitioning
        if step.partitioning.is_partitioned and upstream.is_partitioned and not shared([step.partitioning, upstream]):
            raise AssayError(
                f"{step.outputs[0]} has {step.partitioning} and reads {table}, which has {upstream}. Give both the same."
            )
