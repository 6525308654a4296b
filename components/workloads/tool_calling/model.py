"""The Tiny Recursive Model that decides, picks a tool and an intent, and points at the values.

A row is one conversation. Its elements (offered tools, their parameters and slots) stand before the tokens as one
vector each, encoded from name and description (`heads: schema`) or looked up by class (`heads: ids`); tokens attend to
them and causally to each other, so one pass scores every decision of the conversation exactly as if each stood alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from components.config import ToolCallingConfig, ToolCallingModel
from components.losses.contract import Batch, Outputs
from components.modules.attention import Block, normalise, rotary_table
from components.modules.initialise import initialise_layers
from components.modules.recursion import recurse, supervise
from components.workloads.tool_calling.dialogues import ROLES

KINDS = 3  # tool, slot or parameter, intent
DISTANCES = 12  # messages between a query and a token, the last bucket is "longer ago"


@dataclass(frozen=True)
class Sizes:
    """What the data decides about the model's shapes."""

    vocabulary: int
    tool_classes: int
    slot_classes: int
    intent_classes: int
    max_tool_args: int


class ElementEncoder(nn.Module):
    """Vectors of schema elements: from their words (schema) or from their class (ids; class 0 is "never seen")."""

    def __init__(self, settings: ToolCallingModel, sizes: Sizes, embedding: nn.Embedding) -> None:
        super().__init__()
        width = settings.width
        self.by_class = settings.heads == "ids"
        self.word_dropout = settings.word_dropout
        self.kind = nn.Embedding(KINDS, width)
        if self.by_class:
            self.class_counts = [count + 1 for count in (sizes.tool_classes, sizes.slot_classes, sizes.intent_classes)]
            self.classes = nn.ModuleList(nn.Embedding(count, width) for count in self.class_counts)
        else:
            self.embedding = embedding
            self.importance = nn.Linear(width, 1)
            self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, kinds: Tensor, classes: Tensor) -> Tensor:
        """tokens [U, W] (0 pads), kinds [U], classes [U] (-1 unseen) -> vectors [U, D]."""
        if self.by_class:
            numbers = [classes.clamp(min=-1, max=size - 2) + 1 for size in self.class_counts]
            vectors = torch.stack([table(number) for table, number in zip(self.classes, numbers, strict=True)])
            return normalise(vectors[kinds, torch.arange(len(kinds), device=kinds.device)] + self.kind(kinds))
        tokens = self._some_words(tokens)
        words = self.embedding(tokens)
        scores = self.importance(words).squeeze(-1).masked_fill(tokens == 0, float("-inf"))
        pooled = (scores.softmax(dim=-1).unsqueeze(1) @ words).squeeze(1)
        return normalise(pooled + self.mix(pooled) + self.kind(kinds))

    def _some_words(self, tokens: Tensor) -> Tensor:
        """While training, tokens [U, W] without a share of them, so that no single word names an element."""
        if not self.training or self.word_dropout == 0:
            return tokens
        kept = (torch.rand(tokens.shape, device=tokens.device) >= self.word_dropout) & (tokens != 0)
        return torch.where(kept | ~kept.any(-1, keepdim=True), tokens, 0)


class Pointer(nn.Module):
    """Scores tokens as start and end of a value, for queries made of the asking position and the element asked for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width))
        self.keys = nn.Linear(width, 2 * width, bias=False)
        self.distance = nn.Parameter(torch.zeros(2, DISTANCES, width))
        self.distance_bias = nn.Parameter(torch.zeros(2, DISTANCES))
        self.absent = nn.Linear(2 * width, 1)

    def forward(
        self, asking: Tensor, elements: Tensor, tokens: Tensor, ago: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """asking, elements [R, Q, D]; tokens [R, L, D]; ago (messages back), allowed [R, Q, L] -> two [R, L, Q]."""
        width = tokens.shape[-1]
        pair = torch.cat([asking, elements], dim=-1)
        queries = self.query(pair).view(*pair.shape[:2], 2, width).permute(2, 0, 1, 3)
        keys = self.keys(tokens).view(*tokens.shape[:2], 2, width).permute(2, 0, 3, 1)
        scores = (queries @ keys) / width**0.5  # [2, R, Q, L]
        by_distance = (
            queries @ self.distance[:, None].transpose(-1, -2) / width**0.5 + self.distance_bias[:, None, None]
        )
        scores = scores + by_distance.gather(-1, ago.expand(2, *ago.shape))
        absent = self.absent(pair)
        scores = torch.cat([scores[..., :1] + absent, scores[..., 1:]], dim=-1)
        scores = scores.float().masked_fill(~allowed, float("-inf")).transpose(-1, -2)
        return scores[0], scores[1]


class TinyRecursiveModel(nn.Module):
    """Embedding, one small network applied recursively, and a head per question asked of a decision."""

    answer_start: Tensor
    latent_start: Tensor

    def __init__(self, settings: ToolCallingModel, sizes: Sizes) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.sizes = sizes
        self.tokens = nn.Embedding(sizes.vocabulary, width, padding_idx=0)
        self.roles = nn.Embedding(len(ROLES), width)
        self.elements = ElementEncoder(settings, sizes, self.tokens)
        self.parameters_of_tool = nn.Linear(2 * width, width, bias=False)
        self.blocks = nn.ModuleList(Block(width, settings.attention_heads) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.decision = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 1))
        self.halting = nn.Linear(width, 1)
        self.ask_tool = nn.Linear(width, width)
        self.ask_intent = nn.Linear(width, width)
        self.slot_pointer = Pointer(width)
        self.argument_pointer = Pointer(width)
        self.argument_of_tool = nn.Linear(2 * width, width, bias=False)
        if settings.heads == "ids":
            self.argument_index = nn.Embedding(sizes.max_tool_args, width)
        self.register_buffer("answer_start", torch.empty(width))
        self.register_buffer("latent_start", torch.empty(width))
        self._initialise()

    def _initialise(self) -> None:
        nn.init.trunc_normal_(self.answer_start, std=1.0)
        nn.init.trunc_normal_(self.latent_start, std=1.0)
        initialise_layers(self)
        with torch.no_grad():
            self.tokens.weight[0].zero_()
        nn.init.zeros_(self.halting.weight)  # q starts at ln 2: it knows nothing

    def embed(self, batch: Batch) -> Tensor:
        """Element vectors followed by token vectors, [R, P + L, D]."""
        vectors = self.elements(batch["element_tokens"], batch["element_kinds"], batch["element_classes"])
        tools, slots = vectors[batch["tools"].clamp(min=0)], vectors[batch["slots"].clamp(min=0)]
        roles = batch["tool_parameters"]  # [R, T, P]: 0 not a parameter, 1 optional, 2 required
        share = [(roles == code).to(tools.dtype) for code in (1, 2)]
        means = [weights @ slots / weights.sum(-1, keepdim=True).clamp(min=1) for weights in share]
        tools = normalise(tools + self.parameters_of_tool(torch.cat(means, dim=-1)))
        words = normalise(self.tokens(batch["tokens"]) + self.roles(batch["roles"]))
        return self.dropout(torch.cat([tools, slots, words], dim=1))

    def forward(self, batch: Batch) -> Iterator[Outputs]:
        """One Outputs per supervision step that gives a loss; the last one has the span logits."""
        settings = self.settings
        network = self.network(batch)
        shape = self.embedding_shape(batch)
        answers = supervise(
            network,
            lambda: self.embed(batch),
            self.answer_start.expand(shape),
            self.latent_start.expand(shape),
            latent_updates=settings.latent_updates,
            recursions=settings.recursions,
            steps=settings.supervision_steps,
            no_gradient_steps=settings.no_gradient_steps,
        )
        last = settings.supervision_steps - settings.no_gradient_steps - 1
        for step, answer in enumerate(answers):
            outputs = self.decide(answer, batch)
            if step == last:
                outputs |= self.point(answer, batch)
            yield outputs

    def embedding_shape(self, batch: Batch) -> tuple[int, int, int]:
        """(R, P + L, D) of this batch's states."""
        rows, length = batch["tokens"].shape
        return rows, batch["tools"].shape[1] + batch["slots"].shape[1] + length, self.settings.width

    def network(self, batch: Batch, rows: Tensor | slice = slice(None)) -> Callable[[Tensor], Tensor]:
        """The one small network, bound to the masks and positions of the batch's (chosen) rows."""
        prefix, length = batch["tools"].shape[1] + batch["slots"].shape[1], batch["tokens"].shape[1]
        mask = attention_mask(batch)[rows]
        cosine, sine = positions(prefix, length, self.settings.width // self.settings.attention_heads, mask.device)

        def apply(x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x, cosine, sine, mask)
            return x

        return apply

    @torch.inference_mode()
    def infer(self, batch: Batch, threshold: float) -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
        """Thinks until each sample is sure: rows whose samples all halted leave the recursion.

        A sample halts at the first supervision step where sigmoid(q) > threshold, or at the last one.

        Returns:
            The outputs of `decide`, each sample's from its own halting step; steps [S] taken; the answers after every
            step (a row's stays as it was when it left).
        """
        settings = self.settings
        x = self.embed(batch)
        y, z = (start.expand(x.shape).clone() for start in (self.answer_start, self.latent_start))
        steps = torch.zeros(len(batch["sample_row"]), dtype=torch.long, device=x.device)
        final: dict[str, Tensor] = {}
        answers: list[Tensor] = []
        for step in range(1, settings.supervision_steps + 1):
            active = batch["sample_row"][steps == 0].unique()
            improved = recurse(
                self.network(batch, active),
                x[active],
                y[active],
                z[active],
                settings.latent_updates,
                settings.recursions,
            )
            y[active], z[active] = improved[0].to(y.dtype), improved[1].to(z.dtype)
            outputs = self.decide(y, batch)
            sure = outputs["q_logits"].sigmoid() > threshold
            halting = (steps == 0) & (sure if step < settings.supervision_steps else torch.ones_like(sure))
            final = {
                name: torch.where(halting.view(-1, *[1] * (value.dim() - 1)), value, final.get(name, value))
                for name, value in outputs.items()
            }
            steps[halting] = step
            answers.append(y.clone())
            if not bool((steps == 0).any()):
                break
        return final, steps, answers

    def decide(self, answer: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Decision, halting, tool and intent logits of every sample, from the answer at its position."""
        tools, _, words = split(answer, batch)
        state = words[batch["sample_row"], batch["sample_position"]]  # [S, D]
        offered = batch["tools"][batch["sample_row"]] >= 0
        ask = self.ask_tool(state)
        tools = tools[batch["sample_row"]]
        tool_logits = (tools @ ask.unsqueeze(-1)).squeeze(-1).float() / ask.shape[-1] ** 0.5
        tool_logits = tool_logits.masked_fill(~offered, float("-inf"))
        weights = tool_logits.masked_fill(~offered.any(-1, keepdim=True), 0.0).softmax(-1).to(tools.dtype) * offered
        favourite = (weights.unsqueeze(1) @ tools).squeeze(1)
        vectors = self.elements(batch["element_tokens"], batch["element_kinds"], batch["element_classes"])
        intents = batch["intents"][batch["sample_row"]]
        intent_logits = (vectors[intents.clamp(min=0)] @ self.ask_intent(state).unsqueeze(-1)).squeeze(-1).float()
        return {
            "decision_logits": self.decision(torch.cat([state, favourite], dim=-1)).squeeze(-1).float(),
            "q_logits": self.halting(state).squeeze(-1).float(),
            "tool_logits": tool_logits,
            "intent_logits": (intent_logits / ask.shape[-1] ** 0.5).masked_fill(intents < 0, float("-inf")),
        }

    def point(self, answer: Tensor, batch: Batch, kinds: tuple[str, ...] = ("slot", "arg")) -> dict[str, Tensor]:
        """Start and end logits [R, L, Q] of slot and argument queries."""
        tools, slots, words = split(answer, batch)
        outputs: dict[str, Tensor] = {}
        for kind in kinds:
            asking = batch[f"{kind}_position"]
            elements = gather(slots, batch[f"{kind}_element"])
            pointer = self.slot_pointer
            if kind == "arg":
                pointer = self.argument_pointer
                if self.settings.heads == "ids":
                    elements = self.argument_index(batch["arg_index"].clamp(min=0, max=self.sizes.max_tool_args - 1))
                tool = gather(tools, batch["arg_tool"])
                elements = elements + self.argument_of_tool(torch.cat([elements, tool], dim=-1))
            start, end = pointer(gather(words, asking), elements, words, *reach(batch, asking))
            outputs |= {f"{kind}_start_logits": start, f"{kind}_end_logits": end}
        return outputs


def split(answer: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The answer's parts: tools [R, T, D], slots [R, P, D], tokens [R, L, D]."""
    sizes = [batch["tools"].shape[1], batch["slots"].shape[1], batch["tokens"].shape[1]]
    tools, slots, words = answer.split(sizes, dim=1)
    return tools, slots, words


def gather(states: Tensor, index: Tensor) -> Tensor:
    """states [R, N, D] at index [R, Q] (padding reads entry 0) -> [R, Q, D]."""
    return states.gather(1, index.clamp(min=0).unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def attention_mask(batch: Batch) -> Tensor:
    """[R, 1, P + L, P + L]: elements see each other, tokens see elements and earlier tokens, nobody sees padding."""
    present = torch.cat([batch["tools"] >= 0, batch["slots"] >= 0, batch["attention"]], dim=1)
    prefix = present.shape[1] - batch["attention"].shape[1]
    index = torch.arange(present.shape[1], device=present.device)
    visible = (index[None, :] < prefix) | ((index[:, None] >= prefix) & (index[None, :] <= index[:, None]))
    own = torch.eye(len(index), dtype=torch.bool, device=present.device)  # padding sees itself: no empty softmax
    return ((visible[None] & present[:, None, :]) | own[None]).unsqueeze(1)


def positions(prefix: int, length: int, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rotary tables in which all elements stand at position 0 and tokens count from 0."""
    cosine, sine = rotary_table(max(length, 1), head_width, device)
    return torch.cat([cosine[:1].expand(prefix, -1), cosine[:length]]), torch.cat(
        [sine[:1].expand(prefix, -1), sine[:length]]
    )


def reach(batch: Batch, asking: Tensor) -> tuple[Tensor, Tensor]:
    """How many messages ago each token was said, and which tokens a query may point at, both [R, Q, L].

    Token 0 means "not present" and is always allowed; the marks that end messages never are.
    """
    place = torch.arange(batch["tokens"].shape[1], device=asking.device)
    turn = batch["turns"].gather(1, asking.clamp(min=0))
    ago = (turn.unsqueeze(-1) - batch["turns"].unsqueeze(1)).clamp(min=0, max=DISTANCES - 1)
    text = batch["is_text"].unsqueeze(1) & (place <= asking.unsqueeze(-1))
    return ago, text | (place == 0)


def sizes_of(section: ToolCallingConfig, prepared: Path) -> Sizes:
    """Vocabulary and class counts from the prepared data's element table."""
    table = json.loads((prepared / "elements" / "elements.json").read_text("utf-8"))
    classes = [1 + max((e["vocabulary"] for e in table if e["kind"] == kind), default=-1) for kind in range(KINDS)]
    tools, slots, intents = classes
    return Sizes(section.data.vocabulary, tools, slots, intents, section.data.max_tool_args)


def build(section: ToolCallingConfig, prepared: Path) -> TinyRecursiveModel:
    """A freshly initialised model for the prepared data; the caller has seeded torch."""
    return TinyRecursiveModel(section.model, sizes_of(section, prepared))


def rollout(model: nn.Module, batch: Batch, section: ToolCallingConfig) -> Iterator[Outputs]:
    """The outputs of each supervision step that gives a loss, in order."""
    return model(batch)


def supervision_steps(section: ToolCallingConfig) -> int:
    """How many steps of a rollout give a loss."""
    return section.model.supervision_steps - section.model.no_gradient_steps
