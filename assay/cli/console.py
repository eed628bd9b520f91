"""`python -m assay.cli.console PORT`: the lineage API and the governance console, for `assay up` to start."""

import sys

from assay.store import open_store


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until stopped."""
    import uvicorn

    from assay.features.embeddings.engine import Engine
    from assay.features.embeddings.model import resolve_model
    from assay.lineage.api import create_app

    store = open_store()
    # Loads the model when the first vector is verified, not before.
    engine = Engine(resolve_model(store.settings.embedding_model or None), device=store.settings.device)
    app = create_app(store.lineage_store, store.lake, embed=engine.embed)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
