"""The governance console: pages to search the lineage, see a neighbourhood, follow a prediction and prove it.

Read-only and made on the server; the few scripts are this package's own. `create_router` gives the pages to an application.
"""

from assay.optional import require

require("starlette", "The console")

from assay.web.routes import create_router  # noqa: E402 - only where its packages are

__all__ = ["create_router"]
