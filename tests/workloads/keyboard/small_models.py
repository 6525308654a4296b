"""A tiny keyboard with drawn weights, as a model folder, and settings to evaluate it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

from components.config_keyboard_evaluation import KeyboardBaseline, KeyboardEvaluation
from components.config_keyboard_model import KeyboardModel
from components.files import sha256_file, write_json
from components.workloads.keyboard import emoji_odds
from components.workloads.keyboard.confusions import CONFUSIONS
from components.workloads.keyboard.counts import FILES
from components.workloads.keyboard.encode import VOCABULARY
from components.workloads.keyboard.model import Keyboard, build


def model_settings(**changes: Any) -> KeyboardModel:
    """Sizes for small tests, with changes."""
    values: dict[str, Any] = {
        "width": 16, "layers": 1, "bag_width": 4, "bag_pairs": 64,
        "typed_width": 8, "screen_width": 8, "features": 8, "expert_width": 4,
        "experts_used": 5, "image": True, "correct_above": 0.3, "dropout": 0.0, "word_dropout": 0.0,
        "screen_dropout": 0.0,
        "mixture": {"use": True, "counts": 0.4, "own": [500, 10, 4], "layout": 0.4, "emoji_share": 0.5, "emoji": 0.5},
    }  # fmt: skip
    return KeyboardModel.model_validate(values | changes)


def evaluation_settings() -> KeyboardEvaluation:
    """Few draws, few words."""
    return KeyboardEvaluation(
        resamples=100, confidence=0.9, seed=3, calibration_bins=5, minimum_slice=5, typed_words=60,
        false_corrections=0.05, timed_keys=5, baseline=KeyboardBaseline(strength=1.0, minimum=2),
    )  # fmt: skip


def section_of(**changes: Any) -> Any:
    """The parts of a section that answering and evaluating look at."""
    return SimpleNamespace(
        model=model_settings(**changes),
        data=SimpleNamespace(history_messages=2, history_tokens=16),
        training=SimpleNamespace(batch_tokens=256),
        evaluation=evaluation_settings(),
    )


def drawn_model(section: Any, prepared: Path, seed: int = 1) -> Keyboard:
    """A model whose weights were drawn, none of them zero: every input has a say."""
    torch.manual_seed(seed)
    model = build(section, prepared)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()


def model_folder(model: Keyboard, prepared: Path, folder: Path) -> Path:
    """The model as training leaves it, as far as serving reads it."""
    folder.mkdir(parents=True)
    save_file(model.state_dict(), str(folder / "model.safetensors"))
    served = [name for name in (VOCABULARY, *FILES, CONFUSIONS, *emoji_odds.FILES) if (prepared / name).is_file()]
    for name in served:
        shutil.copy(prepared / name, folder / name)
    section = {
        "model": model.settings.model_dump(),
        "data": {"history_messages": 2, "history_tokens": 16},
        "training": {"batch_tokens": 256},
    }
    files = {name: sha256_file(folder / name) for name in ("model.safetensors", *served)}
    write_json(folder / "model.json", {"kind": "trm", "section": section, "files": files})
    return folder
