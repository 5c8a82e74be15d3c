"""Where an installed package lies, found without importing it: some take a second to import."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from assistant.errors import EngineMissing

MEND = "Run scripts/demo again: it installs what is missing."


def folder(package: str) -> Path:
    """The folder of a package, by its import name. Raises EngineMissing."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise EngineMissing(f"The package {package.replace('_', '-')} is not installed.", MEND)
    return Path(places[0])


def unusable(package: str) -> EngineMissing:
    """The error for a package whose import failed, by the name it is installed under."""
    return EngineMissing(f"The package {package} cannot be loaded.", MEND)
