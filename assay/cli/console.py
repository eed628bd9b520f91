"""`python -m assay.cli.console PORT`: the lineage API and the governance console, for `assay up` to start."""

import sys

from assay.asgi import serve
from assay.serve import create_app

if __name__ == "__main__":
    serve(create_app(), int(sys.argv[1]))
