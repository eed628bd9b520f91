"""Records of the catalogue: datasets, versions, runs and jobs with their facets."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str]  # namespace and name


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset, or one version of it. Times are those of events that mention it, µs; `written_us`: of the last that wrote
    it. `declared` holds the facets that jobs declare about it."""

    key: Key
    first_us: int
    last_us: int
    written_us: int | None
    version: str | None
    facets: Json
    input_facets: Json
    output_facets: Json
    declared: Json


@dataclass(frozen=True, slots=True)
class Run:
    """`first_us` and `last_us` are times of its events."""

    id: str
    job: Key
    state: str
    started_us: int | None
    ended_us: int | None
    first_us: int
    last_us: int
    facets: Json


@dataclass(frozen=True, slots=True)
class Version:
    dataset: Dataset
    run: Run | None  # that wrote it


@dataclass(frozen=True, slots=True)
class Job:
    key: Key
    first_us: int
    last_us: int
    facets: Json
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str  # DATASET or JOB
    key: Key
    last_us: int
