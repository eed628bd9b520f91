"""The lineage service: OpenLineage events in, the graph out, over HTTP.

uvicorn --factory assay.lineage.api:create_app --host 127.0.0.1 --port 3001
"""

from assay.optional import require

require("fastapi", "The lineage service")

from assay.lineage.api.app import create_app  # noqa: E402 - only where its packages are

__all__ = ["create_app"]
