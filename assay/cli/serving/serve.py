"""`assay serve`: feature sets of the online store over HTTP."""

import click

from assay.cli.exit_codes import EXIT_DONE
from assay.cli.output import json_option, print_json
from assay.errors import AssayError


@click.command()
@click.argument("sets", nargs=-1)
@click.option("--port", default=3003, show_default=True, help="Port of the service.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on: 0.0.0.0 for all of them.")
@click.option("--name", "names", multiple=True, help="Another host name that it answers to, such as that of a proxy.")
@click.option(
    "--most-keys", default=1000, show_default=True, type=click.IntRange(1), help="Keys that a request may have."
)
@click.option(
    "--waiting", default=64, show_default=True, type=click.IntRange(0), help="Requests that may wait; others get 503."
)
@click.option(
    "--timeout", default=2.0, show_default=True, type=click.FloatRange(0.001), help="Seconds until a request gets 503."
)
@click.option(
    "--rate",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Requests/s of one address (0: any); others get 429.",
)
@json_option
def serve(
    sets: tuple[str, ...],
    port: int,
    host: str,
    names: tuple[str, ...],
    most_keys: int,
    waiting: int,
    timeout: float,
    rate: float,
    as_json: bool,
) -> int:
    """Serve feature SETS (default: all that are materialised) over HTTP, until Ctrl-C.

    POST /features takes the names of sets and keys, and answers with values, states, versions and ages, as JSON or Arrow. New
    generations are read as soon as they are there. On other addresses than this machine's a token is needed: ASSAY_SERVE_TOKEN.

    \b
    Examples:
      assay serve
      assay serve router@2 --host 0.0.0.0 --name features.example.com
    """
    from assay.asgi import LOOPBACK
    from assay.asgi import serve as listen
    from assay.only_one import require_free
    from assay.serving.admission import Admission
    from assay.serving.app import create_feature_service
    from assay.store import open_store

    store, address = open_store(), f"http://{host}:{port}"
    if host not in LOOPBACK and not store.settings.serve_token.get_secret_value():
        raise AssayError(
            f"Everybody who reaches {host} could read features. Next: set ASSAY_SERVE_TOKEN to a long random text."
        )
    for name in sets:
        store.online_set(name)  # refuses what is not there
    admission = Admission(waiting=waiting, seconds=timeout, rate=rate)
    app = create_feature_service(store, sets, hosts=(*LOOPBACK, host, *names), most_keys=most_keys, admission=admission)
    require_free(port, host)
    if as_json:
        print_json({"features": address})
    else:
        click.echo(f"Serving features on {address}/features   (Ctrl-C stops it)")
    listen(app, port, host)
    return EXIT_DONE
