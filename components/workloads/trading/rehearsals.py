"""Where the walk-forward's prepared data lie, and the section that each was prepared with."""

from __future__ import annotations

from pathlib import Path

from components.config_trading import TradingConfig
from components.data.manifest import read_manifest

FOLDER = "rehearsals"  # of a prepared folder


def rehearsals(section: TradingConfig, prepared: Path) -> dict[str, tuple[TradingConfig, Path]]:
    """Number of the walk-forward's block -> section and prepared folder whose hold-out is that block, first to last;
    none where `training.walk_forward` is false.

    Raises:
        EquipoiseError: E_MISSING (66) without prepared data, E_MANIFEST (65) when a manifest is none.
    """
    return dict(blocks(section, prepared)) if section.training.walk_forward else {}


def blocks(section: TradingConfig, prepared: Path) -> list[tuple[str, tuple[TradingConfig, Path]]]:
    """`rehearsals` whatever `training.walk_forward` says."""
    folders = (prepared / FOLDER).iterdir() if (prepared / FOLDER).is_dir() else ()
    return [(folder.name, (_as_of(section, folder), folder)) for folder in sorted(folders, key=lambda f: int(f.name))]


def _as_of(section: TradingConfig, folder: Path) -> TradingConfig:
    held_out = read_manifest(folder)["settings"]["holdout_from"]
    return section.model_copy(update={"data": section.data.model_copy(update={"holdout_from": held_out})})
