"""P7: batches from prepared rows against a loader that builds each sample on its own, as the TRM specification does.

Both give the model the same tokens and labels; the loader tokenises a history, finds the tokens of its spans and pads a
shuffled batch, every epoch anew. The time is the loader's CPU per sample; padding is the share of tokens that the model
computes for nothing.

    python -m benchmarks.p7_batches
"""

from __future__ import annotations

import random
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.harness import Result, alternate, report
from components.config import ToolCallingConfig, load_config
from components.data.tokenizer import BOS, EOM, TextTokenizer, load_tokenizer
from components.workloads.tool_calling.batches import batches, open_split
from components.workloads.tool_calling.data import generate, prepare, samples
from components.workloads.tool_calling.dialogues import TOOL_CALL, TOOL_RESPONSE, Sample
from components.workloads.tool_calling.text_spans import char_span_to_token_span

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data" / "toolcall" / "sgd_dev.tar.gz"
FILES = 8  # of the real dialogues: about 1,000
COMPARED, TIMED, BATCH = 300, 256, 32


class OneByOne(Dataset):
    """Builds sample after sample from its raw dialogue."""

    def __init__(self, kept: Sequence[Sample], tokenizer: TextTokenizer, section: ToolCallingConfig) -> None:
        self.kept = kept
        self.tokenizer = tokenizer
        self.limits = {
            TOOL_CALL: section.data.tool_call_tokens,
            TOOL_RESPONSE: section.data.tool_response_tokens,
        }

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.kept[index]
        tokens, roles, places = [BOS], [0], []
        for message in sample.history:
            found = self.tokenizer.encode_with_offsets(message.content)
            limit = self.limits.get(message.role, len(found.ids))
            offsets = list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))[:limit]
            places.append((len(tokens), offsets))
            tokens += [*found.ids.tolist()[:limit], EOM]
            roles += [message.role] * (len(offsets) + 1)
        labels = sample.labels
        assert labels is not None, "prepared samples are labelled"
        spans = []
        for name in sorted(sample.slots):
            span = labels.slot_spans.get(name)
            if span is None:
                spans.append((-1, -1) if name in labels.slots else (0, 0))
                continue
            before, offsets = places[span.turn]
            first, last = char_span_to_token_span(offsets, span.start, span.end)
            spans.append((-1, -1) if first < 0 else (before + first, before + last))
        offered = sorted(tool.name for tool in sample.tools)
        tool = -1 if labels.tool is None else offered.index(labels.tool)
        return {"tokens": tokens, "roles": roles, "decision": labels.decision, "tool": tool, "spans": spans}


def pad(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The items as one batch, each padded to the longest."""
    batch = {}
    for name, filler in (("tokens", 0), ("roles", 0)):
        rows = [torch.tensor(item[name]) for item in items]
        batch[name] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filler)
    spans = [torch.tensor(item["spans"]).reshape(-1, 2) for item in items]
    batch["spans"] = torch.nn.utils.rnn.pad_sequence(spans, batch_first=True, padding_value=-1)
    for name in ("decision", "tool"):
        batch[name] = torch.tensor([item[name] for item in items])
    return batch


def prepared_data(folder: Path) -> tuple[ToolCallingConfig, str]:
    """Prepares real dialogues where they are, the embedded ones elsewhere, and says which."""
    section = load_config(ROOT / "params.yaml").tool_calling
    section = section.model_copy(update={"data": section.data.model_copy(update={"source": str(folder / "dev")})})
    if REAL.is_file():
        with tarfile.open(REAL) as archive:
            names = sorted(name for name in archive.getnames() if "dialogues" in name)[:FILES]
            for name in ("dev/schema.json", *names):
                archive.extract(name, folder, filter="data")
        source = "Schema-Guided Dialogue"
    else:
        generate(section, folder / "dev")
        source = "embedded dialogues"
    prepare(section, folder / "prepared")
    return section, source


def check(section: ToolCallingConfig, prepared: Path, loader: OneByOne) -> int:
    """That both sides say the same of samples whose history is whole; the number compared."""
    rows = open_split(prepared, "train").rows
    whole = np.flatnonzero(np.asarray(rows.row_first)[rows.sample_row] == 0)
    chosen = random.Random(0).sample(whole.tolist(), min(COMPARED, len(whole)))
    compared = 0
    for index in chosen:
        plain = loader[index]
        low = int(rows.row_offsets[rows.sample_row[index]])
        high = low + int(rows.sample_position[index]) + 1
        if len(plain["tokens"]) - 1 > section.data.window:
            continue
        mine = np.flatnonzero(rows.slot_sample == index)
        spans = list(zip(rows.slot_start[mine].tolist(), rows.slot_end[mine].tolist(), strict=True))
        assert rows.tokens[low:high].tolist() == plain["tokens"], f"tokens of sample {index} differ"
        assert rows.roles[low:high].tolist() == plain["roles"], f"roles of sample {index} differ"
        assert spans == plain["spans"], f"spans of sample {index} differ"
        assert (rows.decision[index], rows.tool[index]) == (plain["decision"], plain["tool"]), (
            f"labels of {index} differ"
        )
        compared += 1
    return compared


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        section, source = prepared_data(Path(name))
        prepared = Path(name) / "prepared"
        kept = list(samples(prepared, "train"))
        loader = OneByOne(kept, load_tokenizer(prepared / "tokenizer.json"), section)
        compared = check(section, prepared, loader)
        chosen = random.Random(1).sample(range(len(kept)), min(TIMED, len(kept)))

        def ours() -> None:
            for _ in batches(section, prepared, "train", 0):
                pass

        def theirs() -> None:
            for _ in DataLoader(loader, batch_size=BATCH, sampler=chosen, collate_fn=pad):
                pass

        mine, plain = alternate(ours, theirs, rounds=5)
        made = list(batches(section, prepared, "train", 0))
        padding = 1 - sum(int(b["attention"].sum()) for b in made) / sum(b["tokens"].numel() for b in made)
        lengths = [b["tokens"] for b in DataLoader(loader, batch_size=BATCH, sampler=chosen, collate_fn=pad)]
        wasted = 1 - sum(int((t > 0).sum()) for t in lengths) / sum(t.numel() for t in lengths)
        tokens = sum(b["tokens"].numel() for b in made) / len(kept), sum(t.numel() for t in lengths) / len(chosen)
    ours_each, theirs_each = mine.median / len(kept) * 1e6, plain.median / len(chosen) * 1e6
    report(
        Result(
            name="p7_batches",
            ratio=theirs_each / ours_each,
            goal="padding <= 6%, >= 50x a per-sample loader",
            passed=bool(padding <= 0.06 and theirs_each >= 50 * ours_each),
            ours=ours_each,
            theirs=theirs_each,
            unit="CPU microseconds a sample",
            note=f"{source}, {len(kept)} samples; tokens, roles, spans and labels of {compared} samples equal exactly",
            extra={
                "padding": padding,
                "padding_theirs": wasted,
                "tokens_per_sample": tokens[0],
                "tokens_per_sample_theirs": tokens[1],
                "first_call_s": mine.first,
            },
        )
    )


if __name__ == "__main__":
    main()
