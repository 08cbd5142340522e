"""``pellucid study …``: build, serve, simulate and analyse a human study."""

import typer

app = typer.Typer(
    help="Ask people, blind, which explanations they find sufficient and trustworthy.", no_args_is_help=True
)
