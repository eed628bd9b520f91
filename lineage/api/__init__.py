"""The lineage service: OpenLineage events in, the graph out, over HTTP.

uvicorn --factory assay.lineage.api:create_app --host 127.0.0.1 --port 3001
"""

from assay.lineage.api.app import create_app

__all__ = ["create_app"]
