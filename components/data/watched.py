"""What prepare reads must lie where DVC looks for changes: in the file or folder that data.source names."""

from __future__ import annotations

import os
from pathlib import Path

from components.errors import misconfigured


def watched(path: Path, source: Path, parameter: str) -> Path:
    """The path, if it lies in the source's folder: DVC would not notice a change elsewhere.

    Args:
        parameter: the key in params.yaml that named it.

    Raises:
        EquipoiseError: E_CONFIG (78) for any other place.
    """
    if Path(os.path.abspath(source)) not in Path(os.path.abspath(path)).parents:
        raise misconfigured(
            parameter,
            "must lie in the folder that data.source names, where its changes are noticed",
            got=str(path),
            hint="Put all that prepare reads into one folder and name that folder with --data",
        )
    return path
