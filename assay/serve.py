"""One ASGI application out of the parts: the lineage API, and the console's pages behind it.

uvicorn --factory assay.serve:create_app --host 127.0.0.1 --port 3001, or python -m assay.serve 3001
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AssayError
from assay.optional import installed
from assay.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from assay.assets.declared_files import DeclaredFiles
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.verification.verify import Verifier


def create_app(store: Store | None = None) -> "ASGIApp":
    """The API and the console over a store.

    Args:
        store: What `assay.open()` gives. Default: the store of the `ASSAY_*` settings.

    Returns:
        The application. The embedding model is loaded when the first vector is verified, not before.
    """
    from assay.lineage.api import create_app as create_api
    from assay.lineage.api.queries import Shown
    from assay.web import create_router
    from assay.why.declared_now import declared_now, owners_now, tables_now
    from assay.why.shown import classes_of_lake, shown_list, shown_trace

    store = store or open_store()
    # Without torch the console verifies all but the vectors, and says so.
    verify = _naming_changes(partial(store.verify, embed=installed("torch")))
    console = create_router(
        store.lineage_store, store.lake, verify=verify, declared=declared_now, owners=owners_now, tables=tables_now
    )
    lake = store.lake
    shown = Shown(
        trace=lambda trace: shown_trace(lake, trace, declared_now()),
        listed=lambda rows: shown_list(rows, classes_of_lake(lake, declared_now())),
        owners=owners_now,
    )
    return create_api(store.lineage_store, lake, console=console, shown=shown)


def _naming_changes(verify: "Verifier") -> "Verifier":
    """Verifies, and says so where declarations changed after this process loaded them: Python keeps what it imported, so that
    models and contracts are those of then."""
    from assay.assets.declared_files import changed_files
    from assay.lineage.verification.finding import Finding, Verification

    if (files := _declared_files()) is None:
        return verify
    contents = files.contents
    loaded = contents()

    def checked(trace: "Trace") -> Verification:
        found = verify(trace)
        changed = [Path(path).name for path in changed_files(loaded, contents())]
        if not changed:
            return found
        detail = (
            f"{', '.join(changed[:3])} changed after this console had loaded the declarations: `assay up` loads them again by "
            "itself in some seconds; restart another server"
        )
        return Verification((*found.checks, Finding("declarations", None, detail, required=False)))

    return checked


def declarations_changed() -> "Callable[[], bool] | None":
    """Says, when asked, whether a project's files are other ones than now, and no longer being written: the same as when it was
    asked before. None where there is no project."""
    if (files := _declared_files()) is None:
        return None
    loaded = last = files.contents()

    def changed() -> bool:
        nonlocal last
        before, last = last, files.contents()
        return last == before and last != loaded

    return changed


def _declared_files() -> "DeclaredFiles | None":
    from assay.assets.declared_files import DeclaredFiles
    from assay.assets.project import find_project

    try:
        project = find_project()
    except AssayError:  # what is wrong with it is named where it is needed
        return None
    return DeclaredFiles(project) if project is not None else None


def main(port: int) -> None:
    """Serve this machine until it is stopped. Where declarations changed, the program starts anew in its place: Python keeps what
    it imported."""
    from assay.asgi import serve

    changed = declarations_changed()
    if serve(create_app(), port, until=changed):
        os.execv(sys.executable, [sys.executable, "-m", "assay.serve", str(port)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
