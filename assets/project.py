"""What a domain declares: every Source, FeatureView, Embedding, TrainingSet, Model and Step found in the modules of its folder.

Adding a source is adding a file; nothing else has to be told about it.
"""

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from graphlib import TopologicalSorter
from types import ModuleType
from typing import Any

from assay.assets.sources.source import Source
from assay.assets.steps.clean import clean_step
from assay.assets.steps.embeddings import Embedding, embedding_step
from assay.assets.steps.features import view_step
from assay.assets.steps.models import Model, model_step, prediction_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Step
from assay.assets.steps.training import TrainingSet, training_step
from assay.errors import AssayError
from assay.features.views.feature_view import FeatureView

DOMAINS = ("assay.assets.support",)


@functools.cache
def pipeline() -> tuple[Step, ...]:
    """All steps of all domains, upstream before downstream. Raises AssayError for two steps that write one table."""
    return ordered([step for domain in DOMAINS for step in domain_steps(importlib.import_module(domain))])


@functools.cache
def sources() -> dict[str, Source]:
    """Declared sources by name."""
    found = (item for domain in DOMAINS for item in _declared(importlib.import_module(domain)))
    return {item.name: item for item in found if isinstance(item, Source)}


def source(name: str) -> Source:
    """A declared source. Raises AssayError for a name that is none."""
    found = sources().get(name)
    if found is None:
        raise AssayError(f"There is no source {name!r}. There are: {', '.join(sorted(sources()))}.")
    return found


def domain_steps(domain: ModuleType) -> list[Step]:
    """The steps that the declarations of a package make."""
    declared = list(_declared(domain))
    by_table = {source.clean: source for source in declared if isinstance(source, Source)}
    features = {item.name: item for item in declared if isinstance(item, FeatureView | Embedding)}
    steps: list[Step] = []
    for item in declared:
        if isinstance(item, Source):
            steps += [raw_step(item), clean_step(item)]
        elif isinstance(item, FeatureView):
            read = [by_table[table] for table in item.sources() if table in by_table]
            days = [source.first_day for source in read if source.first_day]
            if not days:
                raise AssayError(f"View {item.name!r} reads no daily source, so its days are unknown.")
            steps.append(view_step(item, max(days), [source.contract for source in read]))
        elif isinstance(item, Embedding):
            steps.append(embedding_step(item))
        elif isinstance(item, TrainingSet):
            steps.append(training_step(item, features))
        elif isinstance(item, Model):
            steps += [model_step(item), prediction_step(item, features)]
        elif isinstance(item, Step):
            steps.append(item)
    return steps


def _declared(domain: ModuleType) -> Iterator[Any]:
    """Declarations, each once (a module may import another's), in the order of the files' names."""
    seen: set[int] = set()
    for info in sorted(pkgutil.iter_modules(domain.__path__), key=lambda info: info.name):
        if info.ispkg:
            continue
        module = importlib.import_module(f"{domain.__name__}.{info.name}")
        for item in vars(module).values():
            if isinstance(item, Source | FeatureView | Embedding | TrainingSet | Model | Step) and id(item) not in seen:
                seen.add(id(item))
                yield item


def ordered(steps: list[Step]) -> tuple[Step, ...]:
    """Upstream first; ties by name, so that the order is always the same."""
    writer: dict[str, Step] = {}
    for step in sorted(steps, key=lambda step: step.name):
        for table in step.outputs:
            if table in writer:
                raise AssayError(f"{table} is written by two declarations; give one of them another name.")
            writer[table] = step
    graph = {
        step.name: [writer[table].name for table in (*step.reads, *step.references) if table in writer]
        for step in writer.values()
    }
    by_name = {step.name: step for step in steps}
    return tuple(by_name[name] for name in TopologicalSorter(graph).static_order() if name in by_name)
