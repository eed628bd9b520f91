"""One ASGI application out of the parts: the lineage API, and the console's pages behind it.

uvicorn --factory assay.serve:create_app --host 127.0.0.1 --port 3001, or python -m assay.serve 3001
"""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AssayError
from assay.optional import installed
from assay.store import Store, open_store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

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
    from assay.why.declared_now import declared_now, owners_now
    from assay.why.shown import classes_of_lake, shown_list, shown_trace

    store = store or open_store()
    # Without torch the console verifies all but the vectors, and says so.
    verify = _naming_changes(partial(store.verify, embed=installed("torch")))
    console = create_router(store.lineage_store, store.lake, verify=verify, declared=declared_now, owners=owners_now)
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
    from assay.assets.declared_files import DeclaredFiles, changed_files
    from assay.assets.project import find_project
    from assay.lineage.verification.finding import Finding, Verification

    try:
        project = find_project()
    except AssayError:  # what is wrong with it is named where it is needed
        project = None
    if project is None:
        return verify
    files = DeclaredFiles(project)
    loaded = files.contents()

    def checked(trace: "Trace") -> Verification:
        found = verify(trace)
        changed = [Path(path).name for path in changed_files(loaded, files.contents())]
        if not changed:
            return found
        detail = (
            f"{', '.join(changed[:3])} changed after this console had loaded the declarations: restart it to use them"
        )
        return Verification((*found.checks, Finding("declarations", None, detail, required=False)))

    return checked


if __name__ == "__main__":
    from assay.asgi import serve

    serve(create_app(), int(sys.argv[1]))
