"""Makes `python -m quart_odds.sandbox` an alias of `quart-odds sandbox`."""

from quart_odds.sandbox.command import sandbox_command

if __name__ == "__main__":
    sandbox_command(prog_name="quart-odds sandbox")
