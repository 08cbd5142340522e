"""``pellucid explore RUN…``: a local page on which a person looks at what models see."""

from pathlib import Path
from typing import Annotated

import typer

from pellucid.errors import BadInput


def explore(
    runs: Annotated[list[Path], typer.Argument(help="Run directories made by pellucid train.", metavar="RUN…")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need 0.0.0.0.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8001,
) -> None:
    """Look at models in the browser: pick or upload an image, add noise or attacks, watch the maps. Ctrl-C stops it."""
    try:
        from pellucid.explore.server import serve
        from pellucid.study.web.server import Place
    except ImportError as error:
        raise BadInput("explore needs the study extra: pip install 'pellucid[study]'") from error
    from pellucid.explore.gallery import open_gallery

    serve(open_gallery(runs), Place(host, port), lambda url: typer.echo(f"page: {url}"))
