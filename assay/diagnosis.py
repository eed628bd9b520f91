"""The symptoms that `assay doctor` reports. Each is examined on its own: one that fails does not hide the others."""

import errno
import platform
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from assay.errors import AssayError, nearest, plural
from assay.features.storage.scratch import free_scratch
from assay.optional import EXTRAS
from assay.settings import SECRETS_DIR, Settings, given_variables
from assay.store import Store
from assay.surroundings import clock, space, writable

PACKAGES = ("assay", "dagster", "polars", "deltalake", "pandera", "duckdb", "torch", "sentence-transformers")
_SPACE = (errno.ENOSPC, errno.EDQUOT)
OLD_EVENT_SECONDS = 24 * 3600
NEGLECTED_SECONDS = 600  # records that should be in a file by now
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that was examined: whether it is well, and what it is or what is wrong with it."""

    what: str
    ok: bool
    detail: str

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "ok": self.ok, "detail": self.detail}


def diagnose(store: Store, dagster: Path | None = None) -> list[Symptom]:
    """Examine the installation, and Dagster's history in a folder. Never raises; no text holds a secret."""
    examinations: dict[str, Callable[[Store], str]] = {
        "python": lambda _: f"{platform.python_version()} on {platform.machine()}",
        "packages": lambda _: ", ".join(map(_package, PACKAGES)),
        "project": _project,
        "settings": _settings,
        "landing folder": _landing,
        "received": _received,
        "lake": _lake,
        "contracts": _contracts,
        "freshness": _freshness,
        "embedding model": _model,
        "lineage store": _lineage,
        "disk": _space,
        "writing": _writing,
        "scratch": _scratch,
        "clocks": lambda store: clock(store.lake, store.settings.landing_path),
    }
    if dagster is not None:
        examinations |= _of_dagster(dagster)
    # After the backlog, which asks every source: who does not answer is known then.
    examinations |= {"connections": _connections, "upstreams": _upstreams}
    return [_examine(what, examination, store) for what, examination in examinations.items()]


def _examine(what: str, examination: Callable[[Store], str], store: Store) -> Symptom:
    try:
        return Symptom(what, True, examination(store))
    except AssayError as problem:
        return Symptom(what, False, str(problem))
    except Exception as problem:
        return Symptom(what, False, explained(problem))


def explained(problem: Exception) -> str:
    """A foreign error by its kind, with what to do next.

    Of its own text nothing is shown but file and package names: it can quote URLs with passwords.

    Args:
        problem: Any exception that is not Assay's own.
    """
    if isinstance(problem, ImportError):
        return _missing_package(problem)
    if isinstance(problem, OSError):
        return _system_error(problem)
    if type(problem).__module__.partition(".")[0] in ("sqlalchemy", "sqlite3", "psycopg"):
        return _database_error(problem)
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "site-packages" not in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"Unexpected {type(problem).__name__}{where}. This is a fault of Assay: please report it with this line."


def _missing_package(problem: ImportError) -> str:
    package = (problem.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if package in modules), None)
    install = f"'assay[{extra}]'" if extra else package or "'assay[all]'"
    return f"The package {package or 'that is needed'} is not installed. Next: pip install {install}."


def _system_error(problem: OSError) -> str:
    at = f" {problem.filename}" if isinstance(problem.filename, str) else ""
    if problem.errno in _DENIED:
        return (
            f"This user may not read or write{at or ' a file'}. Next: give the permission, or set ASSAY_HOME to a folder "
            "that you may write."
        )
    if problem.errno in _SPACE:
        return f"The disk is full{' at' + at if at else ''}. Next: free some space, or set ASSAY_HOME to another disk."
    if isinstance(problem, ConnectionError | TimeoutError):
        return (
            f"A server does not answer ({type(problem).__name__}). Next: start it, or correct its address in ASSAY_*."
        )
    return f"The system refused{at or ' a file'} ({type(problem).__name__}). Next: check the path in ASSAY_*."


def _database_error(problem: Exception) -> str:
    original = getattr(problem, "orig", None) or problem
    text = str(original).lower()  # read, not shown
    if isinstance(original, ImportError) or type(problem).__name__ == "NoSuchModuleError":
        return "The database driver is not installed. Next: pip install 'assay[postgres]'."
    if "locked" in text:
        return "The database is locked by another process. Next: wait for it or end it, then try again."
    if "disk is full" in text or "disk i/o error" in text or "no space left" in text:
        return "The disk is full, or broken, where the database is. Next: free some space, or set ASSAY_HOME to another disk."
    if "unable to open database file" in text or "readonly" in text or "read-only" in text:
        return "The database file cannot be opened or written. Next: check its folder's permissions, or set ASSAY_HOME."
    if "malformed" in text or "not a database" in text:
        return "The database file is damaged. Next: move it away and run `assay lineage rebuild`; the lake has what it held."
    if "authentication failed" in text or "does not exist" in text or "permission denied" in text:
        return "The database refuses this login or has no such database. Next: correct the URL in ASSAY_LINEAGE_DB."
    if type(problem).__name__ in ("OperationalError", "InterfaceError", "TimeoutError"):
        return "The database cannot be reached. Next: start it, or correct the host and port in ASSAY_LINEAGE_DB."
    return f"The database reports a {type(problem).__name__}. Next: check its own log."


def _project(_store: Store) -> str:
    """Whether everything that the project declares can be loaded."""
    from assay.assets.declarations import declarations, require_declarations
    from assay.assets.project import find_project

    project = find_project()
    if project is None:
        return "none here (`assay init NAME` writes one)"
    require_declarations(project)
    declared = declarations(project)
    if declared.broken:
        raise AssayError(" ".join(map(str, declared.broken)))
    return f"{project.name}, {plural(len(declared.items), 'declaration')} in {', '.join(project.domains)}"


def _settings(store: Store) -> str:
    """Which are set, and where. A misspelt variable would be ignored without a word. Names only: values may be secret."""
    known = {f"ASSAY_{name.upper()}" for name in Settings.model_fields} | {SECRETS_DIR}
    given = given_variables(store.settings.project)
    for place, names in given.items():
        if name := next((name for name in names if name not in known and not _within_a_setting(name)), None):
            raise AssayError(
                f"Assay has no setting {name}, which {place} sets, and ignores it.{nearest(name, known)} Correct or unset it."
            )
    return "; ".join(f"{', '.join(names)} from {place}" for place, names in given.items()) or "all defaults"


def _connections(store: Store) -> str:
    """Whether the settings name every database that is read: else each run of it fails."""
    from assay.assets.project import find_project
    from assay.assets.upstream import lack_of

    if find_project() is None:
        return "no source is declared"
    env = store.env(recording=False)
    if lacks := [text for source in store.sources() if (text := lack_of(source, env))]:
        raise AssayError(" ".join(lacks))
    return f"{', '.join(sorted(store.settings.connections)) or 'none set'}; no source lacks one"


def _upstreams(store: Store) -> str:
    """What sources know of their upstreams, such as a slot for which a server keeps its log. Asks the upstreams."""
    from assay.assets.project import find_project
    from assay.assets.upstream import lack_of, warnings_of

    sources = store.sources() if find_project() is not None else []
    env = store.env(recording=False)
    sound = [source for source in sources if not lack_of(source, env)]  # the others stand under "connections"
    if warnings := [text for source in sound for text in warnings_of(source, env)]:
        raise AssayError(" ".join(warnings))
    return f"no warning of {plural(len(sources), 'source')}"


def _within_a_setting(name: str) -> bool:
    """Whether a variable sets a part of a setting by the setting's type: `ASSAY_PUSH_TOKENS__ORDERS` one of several texts,
    `ASSAY_CONNECTIONS__ERP__URL` (or without the last part) one of what each of several holds."""
    first, *parts = name.split("__")
    field = Settings.model_fields.get(first.removeprefix("ASSAY_").lower()) if first.startswith("ASSAY_") else None
    return field is not None and bool(parts) and _has(field.annotation, parts)


def _has(kind: Any, parts: Sequence[str]) -> bool:
    if not parts:
        return True
    if get_origin(kind) is dict:
        return bool(parts[0]) and _has(get_args(kind)[1], parts[1:])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(parts[0].lower())
        return field is not None and _has(field.annotation, parts[1:])
    return False


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} is not installed"


def _lake(store: Store) -> str:
    return f"{store.lake.storage.root}, {plural(len(store.lake.tables()), 'table')}"


def _contracts(store: Store) -> str:
    """Whether the declarations by which batches were judged are as they were kept."""
    from assay.assets.stored_contracts import damaged_contracts, stored_digests

    if damaged := damaged_contracts(store.lake.storage):
        raise AssayError(" ".join(damaged))
    return f"{plural(len(stored_digests(store.lake.storage)), 'declaration')} kept with what was judged by them"


def _space(store: Store) -> str:
    return space([store.settings.home, *_local_lake(store)])


def _writing(store: Store) -> str:
    return "; ".join(map(writable, dict.fromkeys([store.settings.home, *_local_lake(store)])))


def _scratch(store: Store) -> str:
    """What killed processes left is deleted at once: nobody can want it."""
    count, size = free_scratch(store.settings.home)
    return (
        f"{size:,} bytes in {plural(count, 'folder')} of killed processes: freed"
        if count
        else "nothing of killed processes"
    )


def _local_lake(store: Store) -> list[Path]:
    return [Path(store.lake.storage.root)] if store.lake.storage.is_local else []


def _of_dagster(home: Path) -> dict[str, Callable[[Store], str]]:
    """What its history says of the sensor, of what waits, and of itself."""
    from assay.assets.dagster import attention
    from assay.assets.dagster.materialize import open_instance, quiet
    from assay.assets.declarations import declarations, pipeline
    from assay.assets.project import find_project

    quiet()
    project = find_project()

    def asking(question: Callable[[Any, Store], str]) -> Callable[[Store], str]:
        def ask(store: Store) -> str:
            with open_instance(home) as instance:
                return question(instance, store)

        return ask

    questions: dict[str, Callable[[Any, Store], str]] = {
        "history": lambda instance, store: attention.retention(instance, store.settings.history_days)
    }
    if project is not None:
        questions["sensor"] = lambda instance, _: attention.sensor(instance, project.name)
        questions["declarations"] = lambda instance, _: attention.declared(instance, project)
        questions["backlog"] = lambda instance, store: attention.backlog(
            instance,
            pipeline(project),
            store.env(recording=False),
            project.name,
            outdated=attention.outdated_now(instance, project),
            broken=declarations(project).broken,
        )
    return {what: asking(question) for what, question in questions.items()}


def _landing(store: Store) -> str:
    """Whether everything that was delivered lies where a source looks for it."""
    from assay.assets.project import find_project
    from assay.assets.steps.raw import unread_of
    from assay.assets.upstream import outside_of

    sources, env = store.sources() if find_project() is not None else [], store.env(recording=False)
    if messages := unread_of(sources, env):
        raise AssayError(" ".join(messages))
    left_out = outside_of(sources, env)
    return " ".join([f"{store.settings.landing_path}, {plural(len(sources), 'source')}", *left_out])


def _received(store: Store) -> str:
    """Whether the records that upstreams send can come in, and become files."""
    from assay.assets.project import find_project
    from assay.assets.pushed.cutting import neglected
    from assay.assets.pushed.inbox import inbox_of
    from assay.assets.pushed.pushed import Pushed

    sources = [source for source in store.sources() if isinstance(source.reader, Pushed)] if find_project() else []
    inbox = inbox_of(store.settings.home)
    if without := [one.name for one in sources if not store.settings.push_tokens.get(one.name.lower())]:
        settings = ", ".join(f"ASSAY_PUSH_TOKENS__{name.upper()}" for name in without)
        raise AssayError(f"No upstream can send records: set {settings} to a long random text, for `assay receive`.")
    if left := neglected(inbox, sources, datetime.now(UTC), timedelta(seconds=NEGLECTED_SECONDS)):
        names = ", ".join(f"{one.source} ({plural(one.rows, 'record')} of {one.partition})" for one in left)
        raise AssayError(f"Records were received and are in no file: {names}. Next: start `assay receive`.")
    waiting = sum(one.rows for one in inbox.waiting())
    return f"{plural(len(sources), 'source')} of records that are sent; {plural(waiting, 'record')} to become files"


def _freshness(store: Store) -> str:
    """Whether every source is as new as its contract promises."""
    from assay.assets.declarations import pipeline
    from assay.assets.freshness import freshness_by_table
    from assay.assets.project import find_project

    project = find_project()
    ages = freshness_by_table(pipeline(project), store.env(recording=False)) if project is not None else {}
    if late := [age.message for age in ages.values() if not age.fresh]:
        raise AssayError(f"{' '.join(late)} Next: ask whoever delivers it, or look whether it waits (`assay status`).")
    return " ".join(age.message for age in ages.values()) or "nothing is promised"


def _model(store: Store) -> str:
    from assay.features.embeddings.model import resolve_model

    model = resolve_model(store.settings.embedding_model or None)
    return f"{model.name}, {model.dimensions} dimensions, digest {model.digest[:16]}…, verified"


def _lineage(store: Store) -> str:
    from assay.lineage.delivery.outbox import backlog
    from assay.lineage.delivery.transport import Channel

    waiting, states = backlog(store.lineage_store), store.lineage_store.state_counts()
    unended = sum(states.get(state, 0) for state in ("START", "RUNNING"))
    ending = f"{unended:,} of them without an end (in progress, or killed on another machine)"
    counts = f"{plural(sum(states.values()), 'run')}, {ending}"
    if not store.settings.forward_to:
        return f"{counts}; nothing is forwarded (ASSAY_OPENLINEAGE_URL is not set)"
    Channel(store.settings.forward_to)  # raises for a target that cannot be used
    if waiting.parked:
        raise AssayError(f"{plural(waiting.parked, 'event')} refused by the OpenLineage endpoint: {waiting.problem}")
    if waiting.pending and waiting.oldest_seconds > OLD_EVENT_SECONDS:
        raise AssayError(
            f"{plural(waiting.pending, 'event')} wait for the OpenLineage endpoint, the oldest for "
            f"{waiting.oldest_seconds / 3600:,.0f} hours{_because(waiting.problem)}. Next: see that it answers; "
            "`assay lineage forward` sends them."
        )
    return f"{counts}; {plural(waiting.pending, 'event')} still to be forwarded{_because(waiting.problem)}"


def _because(problem: str) -> str:
    return f" ({problem})" if problem else ""
