"""One ASGI application out of the parts: the lineage API, and the console's pages behind it.

uvicorn --factory assay.serve:create_app --host 127.0.0.1 --port 3001, or python -m assay.serve 3001
"""

import sys
from functools import partial
from typing import TYPE_CHECKING

from assay.optional import installed
from assay.store import Store, open_store

if TYPE_CHECKING:
    from starlette.types import ASGIApp


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
    from assay.why.declared_now import declared_now
    from assay.why.shown import classes_of_lake, shown_list, shown_trace

    store = store or open_store()
    # Without torch the console verifies all but the vectors, and says so.
    verify = partial(store.verify, embed=installed("torch"))
    console = create_router(store.lineage_store, store.lake, verify=verify, declared=declared_now)
    lake = store.lake
    shown = Shown(
        trace=lambda trace: shown_trace(lake, trace, declared_now()),
        listed=lambda rows: shown_list(rows, classes_of_lake(lake, declared_now())),
    )
    return create_api(store.lineage_store, lake, console=console, shown=shown)


if __name__ == "__main__":
    from assay.asgi import serve

    serve(create_app(), int(sys.argv[1]))
