"""`python -m assay.cli.console PORT`: the lineage API and the governance console, for `assay up` to start."""

import sys

from assay.serve import create_app


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until stopped."""
    import uvicorn

    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
