"""A small prepared data set of assertions and sections that fit it, for tests of model, loss and teacher."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from components.config_assertions import AssertionsConfig
from components.workloads.assertions.data import prepare
from tests.training.toy import STATIC

NOUNS = ("Total", "Count", "Width", "Label", "Index", "Price", "Score", "Depth")
ALWAYS = [[0.0, 1.0]]


def rows(number: int, seed: int = 3) -> list[dict[str, Any]]:
    """Tests of getters: the assertion can be written by copying names and a number from the prefix."""
    draw = random.Random(seed)
    made = []
    for i in range(number):
        noun, value, kind = draw.choice(NOUNS), draw.randint(0, 9), draw.choice("ETF")
        thing = draw.choice(("Box", "Cart", "Shape"))
        focal = f"public int get{noun}() {{ return {noun.lower()}; }}"
        prefix = f"{thing} it{i % 7} = new {thing}({value}); it{i % 7}.set{noun}({value});"
        written = {
            "E": f"assertEquals({value}, it{i % 7}.get{noun}());",
            "T": f"assertTrue(it{i % 7}.has{noun}());",
            "F": f"assertFalse(it{i % 7}.isEmpty());",
        }[kind]
        if kind == "F":
            prefix += f" it{i % 7}.clear();"
        if kind == "T":
            prefix += f" it{i % 7}.add({value});"
        made.append(
            {
                "project": f"p{i % 6}",
                "path": f"src/{thing}Test.java",
                "test_class": f"{thing}Test",
                "test_name": f"test{noun}{i}",
                "focal_class": thing,
                "focal_method": f"get{noun}",
                "focal_code": focal,
                "test_prefix": prefix,
                "assertion": written,
            }
        )
    return made


def training(**other: Any) -> dict[str, Any]:
    base = {
        "seed": 1, "epochs": 2, "batch_tokens": 4096, "accumulate": 1, "learning_rate": 3e-3, "warmup_share": 0.1,
        "weight_decay": 0.01, "clip_norm": 1.0, "ema": 0.9, "precision": "fp32", "compile": False,
        "checkpoint_every": 1000, "report_every": 5, "patience": 9, "threads": 1, "balancer": STATIC,
    }  # fmt: skip
    return base | other


def model(**other: Any) -> dict[str, Any]:
    base = {
        "width": 32, "encoder_layers": 1, "decoder_layers": 1, "attention_heads": 2, "copy_width": 16, "dropout": 0.0,
        "beams": 1, "max_tokens": 40,
    }  # fmt: skip
    return base | other


def loss(**weights: float) -> dict[str, Any]:
    """The loss section with those weights, all others 0."""
    numbers: dict[str, dict[str, Any]] = {
        "focal": {"alpha": 0.25, "gamma": 2.0, "syntax_penalty": 0.0},
        "jsd": {"temperature": 2.0},
        "semantic": {"pieces": "cooccurrence", "width": 8},
        "ce": {"syntax_penalty": 0.0},
        "kl": {"temperature": 2.0},
        "pans": {"decay": 0.1, "n_max": 4},
        "hidden": {},
        "sequence": {},
        "on_policy": {"temperature": 2.0},
    }
    terms = {name: {"weight": weights.get(name, 0.0), "schedule": ALWAYS, **own} for name, own in numbers.items()}
    return {"normalise": True, "online": False, **terms}


def section(source: Path, **other: Any) -> AssertionsConfig:
    """A whole section for tiny models over the rows in `source`."""
    plain = {"weight": 1.0, "schedule": ALWAYS, "syntax_penalty": 0.0}
    values: dict[str, Any] = {
        "data": {
            "source": str(source), "format": "auto", "split": "project", "validation_projects": [],
            "test_projects": [], "validation_share": 0.2, "test_share": 0.2, "seed": 5, "embedded_projects": 6,
            "embedded_rows": 600, "extracted_rows": 100, "rows_per_test": 2,
            "earlier_assertions": False, "vocabulary": 380, "name_tokens": 16, "focal_tokens": 48,
            "prefix_tokens": 64, "assertion_tokens": 32, "retrieval_rows": 1000, "retrieval_minimum": 1,
            "kind_signs": 256, "kind_strength": 0.5,
        },
        "model": model(),
        "teacher": {
            "top": 8, "sequences": 1, "model": model(width=48), "training": training(),
            "loss": {"focal": plain | {"weight": 0.0, "alpha": 0.25, "gamma": 2.0}, "ce": plain},
        },
        "loss": loss(focal=0.5, jsd=0.3, semantic=0.2),
        "training": training(),
        "evaluation": {
            "resamples": 50, "confidence": 0.95, "seed": 1, "calibration_bins": 5, "minimum_slice": 5,
            "baseline": {"strength": 0.1},
        },
        "gate": {
            "policy": "improve", "alpha": 0.05, "resamples": 200, "seed": 1, "cluster": "test",
            "heads": [
                {"head": "similarity", "metric": "tokens", "role": "primary", "margin": 0.1, "direction": "higher"}
            ],
        },
        "tuning": {
            "candidates": 2, "epochs": 1, "seed": 1, "sampler": "tpe", "objectives": ["objective"],
            "engine": "processes", "wave": 1, "screen": None, "closing": {"candidates": 1, "seeds": 3},
            "space": {"jsd.weight": [0.01, 1.0]},
        },
        "study": {
            "seeds": [1, 2, 3], "epochs": 1, "reference": "trident", "leave_one_out": True,
            "metrics": ["similarity/tokens"], "settings": {"trident": {}},
        },
        "schedule": {
            "cron": "0 0 * * *", "actor": "schedule", "policy": "always", "age_days": 30,
            "drift": {"alpha": 0.01, "effect": 0.1},
        },
    }  # fmt: skip
    for key, value in other.items():
        values[key] = values[key] | value if isinstance(value, dict) and key != "loss" else value
    return AssertionsConfig.model_validate(values)


def made(folder: Path, number: int = 240, **other: Any) -> tuple[AssertionsConfig, Path]:
    """(section, prepared folder) of `number` rows."""
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows(number)))
    chosen = section(source, **other)
    prepared = folder / "data" / "prepared" / "assertions"
    prepare(chosen, prepared)
    return chosen, prepared
