"""Optional: a teacher from outside writes the texts of sequence-level distillation (Kim and Rush 2016).

Any encoder-decoder or causal model of the package `transformers` (extra `teacher`), from a folder on this machine:
nothing is ever downloaded, weights are safetensors, and no code out of the folder is run. Its vocabulary is not the
student's, so that only what it writes can be learned from, never its distributions.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from components.errors import EquipoiseError, Exit, bad_data, missing
from components.files import sha256_tree
from components.workloads.assertions.data import samples_file
from components.workloads.assertions.encode import load_codec
from components.workloads.assertions.java_syntax import is_call
from components.workloads.assertions.java_tokens import canonical, defect
from components.workloads.assertions.pairs import ASSERT_TYPES, Pair, assert_type, prior_assertions
from components.workloads.assertions.samples import read_samples

PLACE = "params.yaml: assertions.teacher.external"
NEEDED = ("config.json", "tokenizer_config.json")
WEIGHTS = "*.safetensors"
TOGETHER = 16  # samples written at a time
BEGUN = "assert"  # what a causal model continues


@dataclass(frozen=True)
class External:
    """A loaded model with its tokenizer, of `transformers`; `causal`: it continues a text instead of answering it."""

    model: Any
    tokenizer: Any
    causal: bool
    folder: Path


def digest_of(folder: Path) -> str:
    """SHA-256 over names and contents of the folder's files, after it was found to hold a model that can be loaded.

    Raises:
        EquipoiseError: E_TEACHER: (78) without the package, (66) without the folder, its description or its weights,
            (65) when they name code of their own.
    """
    if importlib.util.find_spec("transformers") is None:
        raise _not_installed("transformers is not installed")
    lacking = next((name for name in NEEDED if not (folder / name).is_file()), None)
    if lacking is None and not any(folder.glob(WEIGHTS)):
        lacking = WEIGHTS
    if lacking is not None:
        raise missing(
            PLACE,
            f"must be a folder with a model of transformers: {', '.join(NEEDED)}, {WEIGHTS}",
            got=f"no {lacking} in {folder}" if folder.is_dir() else f"no folder {folder}",
            hint="Put there what save_pretrained writes of model and tokenizer: nothing is downloaded",
            code="TEACHER",
        )
    for path in sorted(folder.glob("*config.json")):
        if "auto_map" in _description(path):  # names code to be fetched and run
            raise _refused(path, "weights must not name code of their own", "auto_map")
    return sha256_tree(folder)


def load(folder: Path, device: torch.device) -> External:
    """The model in the folder, for inference.

    Raises:
        EquipoiseError: as `digest_of`, and E_TEACHER (65) when the files do not load as a model that writes text.
    """
    digest_of(folder)
    try:
        package = importlib.import_module("transformers")
        config = package.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        causal = not config.is_encoder_decoder
        auto = package.AutoModelForCausalLM if causal else package.AutoModelForSeq2SeqLM
        model = auto.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        side = "left" if causal else "right"  # a text to continue must end where the model goes on, and keep its end
        tokenizer = package.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, padding_side=side, truncation_side="left"
        )
    except ImportError as error:
        raise _not_installed(str(error)) from error
    except Exception as error:  # whatever the files provoke in three packages, a person needs to hear which folder
        got = f"{type(error).__name__}: {error}"
        raise _refused(folder, "must load as a model of transformers that writes text", got) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise _refused(folder, "the tokenizer must have a mark to pad with, or one for the end", "neither")
    return External(model.to(device).eval(), tokenizer, causal, folder)


def prompt(pair: Pair, causal: bool) -> str:
    """The method, then the test as far as it goes; a causal model is to continue `assert`."""
    body = "\n".join(f"    {line}" for line in pair.test_prefix.splitlines())
    text = f"{pair.focal_code}\n\n@Test\npublic void {pair.test_name or 'test'}() {{\n{body}\n"
    return f"{text}    {BEGUN}" if causal else text


def texts(folder: Path, prepared: Path, beams: int, pieces: int, device: torch.device) -> list[tuple[int, ...] | None]:
    """What the model in the folder writes for every sample of the training split, in the pieces of the prepared data;
    None where that is no assertion.

    Raises:
        EquipoiseError: as `load`, and E_TEACHER (65) when it writes not one assertion.
    """
    external = load(folder, device)
    pairs = list(read_samples(samples_file(prepared, "train")))
    codec = load_codec(prepared)
    written = [None if text is None else tuple(codec.encode_all([text])[0].tolist())
               for text in assertions(external, pairs, beams, pieces)]  # fmt: skip
    if not any(written):
        rule = "must write assertions of Java tests for the training split"
        raise _refused(folder, rule, f"none of {len(pairs)} texts holds one")
    return written


@torch.inference_mode()
def assertions(external: External, pairs: Sequence[Pair], beams: int, pieces: int) -> Iterator[str | None]:
    """The assertion that the model writes for each pair, in canonical spacing; None where it writes none.

    Args:
        beams: hypotheses of the search, 1 is greedy; nothing is drawn by chance.
        pieces: of its own vocabulary that it may write for one.
    """
    tokenizer, model = external.tokenizer, external.model
    longest = _longest(external, pieces)
    for start in range(0, len(pairs), TOGETHER):
        chosen = pairs[start : start + TOGETHER]
        asked = tokenizer(
            [prompt(pair, external.causal) for pair in chosen],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=longest,
        ).to(model.device)
        written = model.generate(
            input_ids=asked["input_ids"],
            attention_mask=asked["attention_mask"],
            num_beams=beams,
            do_sample=False,
            max_new_tokens=pieces,
            pad_token_id=tokenizer.pad_token_id,
        )
        if external.causal:
            written = written[:, asked["input_ids"].shape[1] :]
        for text in tokenizer.batch_decode(written, skip_special_tokens=True):
            yield first_assertion(BEGUN + text if external.causal else text)


def first_assertion(text: str) -> str | None:
    """The first assertion of a known kind among the statements of a text, in canonical spacing; None without one.

    A missing `;` at the end is forgiven, because models that answer leave it out.
    """
    for found in prior_assertions(f"{text};"):
        if assert_type(found) in ASSERT_TYPES and defect(found) is None and is_call(found):
            return canonical(found)
    return None


def _longest(external: External, pieces: int) -> int:
    """Pieces of a prompt that model and tokenizer take; a causal model needs room for what it writes as well."""
    places = getattr(external.model.config, "max_position_embeddings", None)
    longest = min(external.tokenizer.model_max_length, places if isinstance(places, int) else 4096, 4096)
    room = longest - pieces if external.causal else longest
    if room < 1:
        rule = f"must take more than the {pieces} pieces of an assertion"
        raise _refused(external.folder, rule, f"{longest} pieces")
    return room


def _description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, "must be JSON", str(error)) from error
    if not isinstance(found, dict):
        raise _refused(path, "must describe a model", type(found).__name__)
    return found


def _refused(path: Path, rule: str, got: str) -> EquipoiseError:
    return bad_data(str(path), rule, got=got, hint="Name the folder of another model, or null", code="TEACHER")


def _not_installed(got: str) -> EquipoiseError:
    return EquipoiseError(
        "TEACHER",
        PLACE,
        "a teacher from outside needs the extra `teacher`",
        got=got,
        hint="Run pip install 'equipoise[teacher]', or set teacher.external to null",
        exit_code=Exit.CONFIGURATION,
    )
