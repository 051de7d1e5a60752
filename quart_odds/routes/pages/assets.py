"""Location of templates/ and static/: inside the package in a wheel, beside it in a checkout.

The search starts only from `quart_odds.__file__`, because an editable install leaves a stale copy elsewhere.
"""

from pathlib import Path

import quart_odds


def asset_folder(name: str) -> Path:
    """Return the folder `templates` or `static`. Raises FileNotFoundError that names the places tried."""
    package = Path(quart_odds.__file__).parent
    tried = (package / name, package.parent / name)
    for folder in tried:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"there is no {name}/ in {' or '.join(map(str, tried))}; install the package again")
