"""`quart-odds completion`: scripts that let a shell complete commands, options, bookmakers and settings."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from quart_odds.cli.options import examples

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "quart-odds"
VARIABLE = "_QUART_ODDS_COMPLETE"
"""The variable by which the script asks the program for completions, as click derives it from the program's name."""


@click.command(
    "completion",
    epilog=examples(
        'eval "$(quart-odds completion bash)"      # in ~/.bashrc',
        'eval "$(quart-odds completion zsh)"       # in ~/.zshrc',
        "quart-odds completion fish > ~/.config/fish/completions/quart-odds.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print a script that lets your shell complete commands, options and bookmakers."""
    kind = get_completion_class(shell)
    assert kind is not None
    completer = kind(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE)
    # That of bash itself would first start a bash, to look at its version.
    click.echo(ShellComplete.source(completer))
