"""Where templates/ and static/ are: inside the package in a wheel, beside it in a checkout.

They are looked for from `quart_odds.__file__` alone: an editable install leaves a stale copy elsewhere.
"""

from pathlib import Path

import quart_odds


def asset_folder(name: str) -> Path:
    """The folder `templates` or `static`. Raises FileNotFoundError naming the places that were tried."""
    package = Path(quart_odds.__file__).parent
    tried = (package / name, package.parent / name)
    for folder in tried:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"there is no {name}/ in {' or '.join(map(str, tried))}; install the package again")
