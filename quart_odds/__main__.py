"""`python -m quart_odds` runs `quart-odds`."""

from quart_odds.cli import main

if __name__ == "__main__":
    main()
