"""`quart-odds`, which `python -m quart_odds` runs as well."""

import signal
import sys

from quart_odds import garbage
from quart_odds.domain.bookmakers import BookmakerDeclarationError


def main() -> None:
    """Run the command line. A bookmaker that cannot be used ends it with a sentence that names its package."""
    garbage.begin()
    try:
        from quart_odds.cli import main as command
    except BookmakerDeclarationError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    command()


if __name__ == "__main__":
    main()
