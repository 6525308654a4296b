"""Small conversations for tests of the data side, and the settings they are prepared with."""

from __future__ import annotations

from pathlib import Path

from components.config import ToolCallingConfig, load_config
from components.data.tokenizer import train_tokenizer
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_CALL,
    TOOL_RESPONSE,
    USER,
    Labels,
    Message,
    Parameter,
    Sample,
    Span,
    Tool,
)
from components.workloads.tool_calling.elements import KINDS, ElementTable

PARAMS = Path(__file__).parents[3] / "params.yaml"
BOOK = Tool(
    "Restaurants_1.BookTable",
    "Reserve a table",
    (
        Parameter("time", "When to eat"),
        Parameter("city", "Where the restaurant is"),
        Parameter("outdoor", "Whether to sit outside", required=False, values=("True", "False")),
    ),
)
FIND = Tool("Restaurants_1.FindPlace", "Find a place to eat", (Parameter("city", "Where the restaurant is"),))
SLOTS = {"city": "Where the restaurant is", "party": "How many people"}
INTENTS = {"book": "Reserve a table", "find": "Find a place to eat", "none": ""}
HISTORY = (
    Message(USER, "Book me a table for two in San José please"),
    Message(ASSISTANT, "At what time?"),
    Message(USER, "11:30 am 🍽️ please"),
    Message(TOOL_CALL, "Restaurants_1.BookTable city=San José, time=11:30 am"),
    Message(TOOL_RESPONSE, "address=377 Santana Row, rating=4.5, phone=408-247-8880, price=high, live_music=False"),
    Message(ASSISTANT, "Your table is booked."),
    Message(USER, "Thank you!"),
)


def section(**data) -> ToolCallingConfig:
    """The section of params.yaml with other data settings."""
    loaded = load_config(PARAMS).tool_calling
    return loaded.model_copy(update={"data": loaded.data.model_copy(update=data)})


def span(turn: int, text: str, history: tuple[Message, ...] = HISTORY) -> Span:
    start = history[turn].content.index(text)
    return Span(turn, start, start + len(text))


def conversation(name: str = "c1", history: tuple[Message, ...] = HISTORY) -> list[Sample]:
    """Three decisions: ask for the time, book, say good-bye."""
    city = {"city": "San José"}
    labels = {
        1: Labels(0, intent="book", slots={**city, "party": "2"}, slot_spans={"city": span(0, "San José")}),
        3: Labels(
            1,
            BOOK.name,
            "book",
            {**city, "time": "11:30 am", "outdoor": "False"},
            {"city": span(0, "San José"), "time": span(2, "11:30 am")},
        ),
        7: Labels(0, intent="none"),
    }
    return [sample(f"{name}/{n}", history[:n], label, name) for n, label in labels.items()]


def sample(name: str, history: tuple[Message, ...], labels: Labels | None = None, conversation: str = "c") -> Sample:
    return Sample(name, conversation, (FIND, BOOK), history, SLOTS, INTENTS, "Restaurants_1", labels)


def table(samples: list[Sample], vocabulary: int = 600) -> ElementTable:
    """An empty element table with a tokenizer trained on the samples' messages."""
    texts = [message.content for one in samples for message in one.history]
    return ElementTable(train_tokenizer(texts * 3, vocabulary), dict.fromkeys(KINDS, ()))
