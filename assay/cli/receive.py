"""`assay receive`: the service that upstreams send records to."""

import click

from assay.cli.exit_codes import EXIT_DONE
from assay.cli.output import json_option, print_json


@click.command()
@click.option("--port", default=3002, show_default=True, help="Port of the service.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on: 0.0.0.0 for all of them.")
@click.option("--name", "names", multiple=True, help="Another host name that it answers to, such as that of a proxy.")
@json_option
def receive(port: int, host: str, names: tuple[str, ...], as_json: bool) -> int:
    """Take in records that upstreams send over HTTP, until Ctrl-C.

    Each source that is declared as Pushed is at http://HOST:PORT/push/SOURCE and has a token, ASSAY_PUSH_TOKENS__SOURCE. What is
    acknowledged is on disk; files are cut into the landing folder as the source declares. Over one ASSAY_HOME one receiver runs.

    \b
    Examples:
      assay receive
      assay receive --host 0.0.0.0 --name data.example.com
    """
    from assay.asgi import LOOPBACK, serve
    from assay.only_one import only_one, require_free
    from assay.receiver import create_receiver
    from assay.settings import Settings

    settings, address = Settings(), f"http://{host}:{port}"
    app = create_receiver(settings, hosts=(*LOOPBACK, host, *names))
    with only_one(settings.home / "receive.lock", "A receiver runs", address):
        require_free(port, host)
        if as_json:
            print_json({"receiver": address})
        else:
            click.echo(f"Receiving on {address}/push/…   (Ctrl-C stops it)")
        serve(app, port, host)
    return EXIT_DONE
