"""Values from GLiNER2: offsets back to messages, what is refused, a real extractor where the package is there."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch

from components.config import ToolCallingModel, load_config, parse_config, read_yaml
from components.data.tokenizer import TextTokenizer, train_tokenizer
from components.errors import EquipoiseError
from components.workloads.tool_calling import gliner_spans, predict, workload
from components.workloads.tool_calling.dialogues import (
    ASSISTANT,
    TOOL_CALL,
    TOOL_RESPONSE,
    USER,
    Message,
    Parameter,
    Sample,
    Tool,
)
from components.workloads.tool_calling.elements import ElementTable
from components.workloads.tool_calling.encode import encode_rows
from components.workloads.tool_calling.gliner_spans import GlinerSpans, Part, in_message, seen_parts
from components.workloads.tool_calling.model import Sizes, TinyRecursiveModel
from components.workloads.tool_calling.predict import TrmPredictor

SHIPPED = Path(__file__).parents[3] / "params.yaml"
CONFIG = load_config(SHIPPED).tool_calling
WINDOW = CONFIG.data.model_copy(update={"window": 64})
TOOL = Tool("find_table", "find a table", (Parameter("city", "where"), Parameter("seats", "how many")))
HISTORY = (
    Message(USER, "a table in Lyon"),
    Message(TOOL_CALL, '{"city": "Lyon"}'),
    Message(TOOL_RESPONSE, "Lyon: none"),
    Message(ASSISTANT, "none in Lyon. elsewhere?"),
    Message(USER, "yes, in  Nice"),
)
SAMPLE = Sample("a/5", "a", (TOOL,), HISTORY, {"genre": "kind of food"})


class StandIn:
    """A stand-in for GLiNER2's extractor, no model: finds fixed words and answers in the package's documented format,
    full stop included: like the package, it appends one to a text without a final mark and may count it in."""

    def __init__(self, **words: tuple[str, ...]) -> None:
        self.words = words
        self.asked: list[tuple[str, dict[str, str]]] = []

    def extract_entities(self, text, entity_types, *, include_confidence, include_spans):
        assert include_confidence and include_spans
        self.asked.append((text, dict(entity_types)))
        text = text if text.endswith((".", "!", "?")) else text + "."
        found = {name: [] for name in entity_types}
        for name in entity_types:
            for word in self.words.get(name, ()):
                at = text.find(word)
                while at >= 0:
                    mention = {"text": word, "confidence": 0.9, "start": at, "end": at + len(word)}
                    found[name].insert(0, mention)
                    at = text.find(word, at + 1)
        return {"entities": found}


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return train_tokenizer([m.content for m in HISTORY] * 3, 320)


def predictor(tokenizer: TextTokenizer, extractor: GlinerSpans | None) -> TrmPredictor:
    small = {"width": 16, "layers": 1, "attention_heads": 2, "dropout": 0.0}
    settings = CONFIG.model.model_copy(update=small)
    torch.manual_seed(3)
    model = TinyRecursiveModel(settings, Sizes(CONFIG.data.vocabulary, 1, 3, 1, 16)).eval()
    vocabulary = {"tool": ["find_table"], "slot": ["city", "genre", "seats"], "intent": []}
    return TrmPredictor(model, tokenizer, vocabulary, CONFIG.data, settings, 4000, extractor)


def test_the_latest_mention_is_taken_from_what_user_and_assistant_said(tokenizer):
    stand_in = StandIn(city=("Lyon", "Nice"), seats=("table",), genre=("Lyon",))
    (found,) = predictor(tokenizer, GlinerSpans(stand_in, "stand-in")).predict([SAMPLE])
    text = "a table in Lyon\nnone in Lyon. elsewhere?\nyes, in  Nice"
    assert stand_in.asked == [(text, {"genre": "kind of food"}), (text, {"city": "where", "seats": "how many"})]
    places = {name: (s.text, s.turn, s.start, s.end) for name, s in found.arguments.items()}
    assert places == {"city": ("Nice", 4, 9, 13), "seats": ("table", 0, 2, 7)}
    assert [(s.text, s.turn, s.start, s.end, s.confidence) for s in found.slots.values()] == [("Lyon", 3, 8, 12, 0.9)]
    assert found.given_arguments == found.arguments


def test_everything_but_the_values_is_the_models_own(tokenizer):
    (with_it,) = predictor(tokenizer, GlinerSpans(StandIn(), "stand-in")).predict([SAMPLE], ["find_table"])
    (without,) = predictor(tokenizer, None).predict([SAMPLE], ["find_table"])
    assert with_it.decision_probability == without.decision_probability
    assert (with_it.tool, with_it.tool_confidence, with_it.steps) == (without.tool, without.tool_confidence, 1)
    assert with_it.arguments == with_it.slots == {}


def test_a_span_over_two_messages_is_none_and_an_earlier_mention_stands(tokenizer):
    stand_in = StandIn(city=("elsewhere?\nyes", "Lyon"), seats=("Nice.", "\n"))
    (found,) = predictor(tokenizer, GlinerSpans(stand_in, "stand-in")).predict([SAMPLE])
    assert (found.arguments["city"].turn, found.arguments["city"].start) == (3, 8)
    assert found.arguments["seats"].text == "Nice"  # without the full stop that nobody wrote


def test_a_text_too_long_for_the_extractor_is_read_in_passages_and_the_latest_mention_still_stands(tokenizer):
    stand_in = StandIn(city=("Lyon", "Nice"), seats=("table",), genre=("Lyon",))
    four_words = lambda text, labels: len(text.split()) <= 4  # noqa: E731
    (found,) = predictor(tokenizer, GlinerSpans(stand_in, "stand-in", four_words)).predict([SAMPLE])
    (whole,) = predictor(tokenizer, GlinerSpans(stand_in, "stand-in")).predict([SAMPLE])
    assert (found.arguments, found.slots) == (whole.arguments, whole.slots)
    long = Sample("b/1", "b", (TOOL,), (Message(USER, "Lyon then Nice or Lyon or else Nice. table for one"),), {})
    parts = [Part(0, 0, len(long.history[0].content), 0)]
    stand_in.asked.clear()
    found = GlinerSpans(stand_in, "stand-in", four_words).find(long, parts, {"city": "where"})
    assert [text for text, _ in stand_in.asked] == ["table for one", "or else Nice. ", "Nice or Lyon ", "Lyon then "]
    assert (found["city"].start, found["city"].text) == (31, "Nice")
    nothing = GlinerSpans(stand_in, "stand-in", lambda text, labels: False)  # labels too long: asked as it is
    stand_in.asked.clear()
    assert nothing.find(long, parts, {"city": "where"}) == found and len(stand_in.asked) == 1


def test_offsets_by_hand():
    parts = [Part(0, 2, 7, 0), Part(4, 0, 13, 6)]  # "table", newline, "yes, in  Nice"
    place = lambda start, end: in_message(SAMPLE, parts, start, end, 0.5)  # noqa: E731
    assert [(s.text, s.turn, s.start, s.end) for s in [place(0, 5), place(13, 19), place(6, 20)] if s] == [
        ("table", 0, 2, 7),
        ("in  Nice"[4:], 4, 9, 13),
        ("yes, in  Nice", 4, 0, 13),
    ]
    assert place(0, 6) is place(3, 8) is place(5, 6) is place(19, 20) is place(4, 4) is None


def test_only_what_the_window_shows_is_read(tokenizer):
    long = Message(USER, "Nice " * 200 + "and Lyon")
    sample = Sample("b/2", "b", (TOOL,), (HISTORY[0], HISTORY[1], long), {})
    rows = encode_rows([sample], ElementTable(tokenizer, {"tool": [], "slot": [], "intent": []}), WINDOW)
    (part,) = seen_parts(rows, 0, sample)
    assert part.turn == 2 and part.end == len(long.content) and 0 < part.start < 1000
    stand_in = StandIn(city=("Lyon",))
    found = GlinerSpans(stand_in, "stand-in").find(sample, [part], {"city": "where"})
    assert long.content[found["city"].start :] == "Lyon" == found["city"].text
    assert stand_in.asked[0][0] == long.content[part.start :]


def test_answers_are_asked_for_once_and_marks_of_the_package_are_no_labels():
    stand_in = StandIn(**{"(E)": ("Nice",)})
    spans, parts = GlinerSpans(stand_in, "stand-in"), [Part(4, 0, 13, 0)]
    for _ in range(2):
        found = spans.find(SAMPLE, parts, {"[E]": "x", "(E)": "y"})
        assert set(found) == {"(E)"}
    assert [labels for _, labels in stand_in.asked] == [{"(E)": "y", "(E)'": "x"}]
    assert spans.find(SAMPLE, [], {"city": ""}) == spans.find(SAMPLE, parts, {}) == {}


@pytest.mark.parametrize("answer", [{"entities": {"city": [{"text": "Nice"}]}}, [], None])
def test_an_answer_of_another_format_is_an_error_and_not_no_value(answer):
    class Other:
        def extract_entities(self, *_, **__):
            return answer

    with pytest.raises(EquipoiseError, match="E_GLINER2 somewhere: the extractor must answer") as caught:
        GlinerSpans(Other(), "somewhere").find(SAMPLE, [Part(4, 0, 13, 0)], {"city": "where"})
    assert caught.value.exit_code == 65


def test_without_a_folder_the_choice_is_refused():
    values = read_yaml(SHIPPED)
    values["tool_calling"]["model"]["spans"] = "gliner2"
    with pytest.raises(EquipoiseError, match=r"E_CONFIG .*tool_calling\.model: spans: gliner2 needs") as caught:
        parse_config(values)
    assert caught.value.exit_code == 78
    values["tool_calling"]["model"]["gliner2_folder"] = "weights"
    assert parse_config(values).tool_calling.model.gliner2_folder == "weights"
    values["tool_calling"]["model"]["spans"] = "gliner"
    with pytest.raises(EquipoiseError, match=r"tool_calling\.model\.spans"):
        parse_config(values)


def weights(folder: Path, **changes: object) -> Path:
    """A folder with the files of an extractor, none of which holds a model."""
    (folder / "encoder_config").mkdir(parents=True)
    for name in gliner_spans.FILES:
        (folder / name).write_text("{}")
    (folder / "config.json").write_text(json.dumps({"model_type": "extractor", **changes}))
    return folder


def test_the_package_is_asked_for_by_name_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(gliner_spans, "PACKAGES", ("torch", "a-package-nobody-has"))
    section = CONFIG.model_copy(
        update={"model": CONFIG.model.model_copy(update={"spans": "gliner2", "gliner2_folder": str(tmp_path)})}
    )
    assert workload.facts(CONFIG) == {}
    for ask in (lambda: workload.facts(section), lambda: gliner_spans.load(tmp_path)):
        with pytest.raises(EquipoiseError, match=r"E_GLINER2 .*no a-package-nobody-has.* Install the extra") as caught:
            ask()
        assert caught.value.exit_code == 78


def test_an_absent_or_incomplete_folder_is_missing(tmp_path):
    with pytest.raises(EquipoiseError, match=r"E_MISSING .*must be a folder") as caught:
        gliner_spans.check_folder(tmp_path / "none")
    assert caught.value.exit_code == 66
    for name in gliner_spans.FILES:
        folder = weights(tmp_path / name.replace("/", "-"))
        assert set(gliner_spans.check_folder(folder)) == set(gliner_spans.FILES)
        (folder / name).unlink()
        with pytest.raises(EquipoiseError, match=f"E_MISSING .*{name}: ") as caught:
            gliner_spans.check_folder(folder)
        assert caught.value.exit_code == 66


def test_another_kind_of_model_and_code_in_the_folder_are_refused(tmp_path):
    other = weights(tmp_path / "bert", model_type="bert")
    coded = weights(tmp_path / "coded")
    (coded / "encoder_config" / "config.json").write_text('{"auto_map": {"AutoModel": "someone/some--file.Class"}}')
    broken = weights(tmp_path / "broken")
    (broken / "tokenizer_config.json").write_text("[1]")
    for folder, rule in ((other, "model_type"), (coded, "code of their own"), (broken, "JSON object")):
        with pytest.raises(EquipoiseError, match=f"E_GLINER2 .*{rule}") as caught:
            gliner_spans.check_folder(folder)
        assert caught.value.exit_code == 65


def extractor_folder(folder: Path) -> Path:
    """A tiny real extractor with random weights, saved by the package itself."""
    from gliner2 import AutoExtractor, ExtractorConfig  # pyright: ignore[reportMissingImports]
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, PreTrainedTokenizerFast  # pyright: ignore[reportMissingImports]

    pieces = Tokenizer(models.BPE(unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=marks, initial_alphabet=alphabet)
    pieces.train_from_iterator([m.content for m in HISTORY], trainer)
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **named)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    encoder = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **sizes)
    torch.manual_seed(0)
    made = AutoExtractor.from_config(ExtractorConfig(max_width=3), encoder_config=encoder, tokenizer=tokenizer)
    made.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    pytest.importorskip("gliner2", reason="the extra gliner2 is not installed")
    return extractor_folder(tmp_path_factory.mktemp("weights") / "extractor")


def test_a_real_extractor_loads_without_network_and_finds_text_of_single_messages(real, tokenizer, monkeypatch):
    def refuse(*_):
        raise AssertionError("loading local weights must not connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    spans = gliner_spans.load(real)
    assert torch.equal(before, torch.random.get_rng_state())  # training goes on as if nothing had been loaded
    assert gliner_spans.load(real) is spans
    samples = [Sample(f"a/{n}", "a", (TOOL,), HISTORY[:n], {"genre": "kind of food"}) for n in (1, 4, 5)]
    found = predictor(tokenizer, spans).predict(samples)
    values = [
        (s, span) for s, p in zip(samples, found, strict=True) for span in (*p.arguments.values(), *p.slots.values())
    ]
    assert values  # random weights find something: scores lie about the threshold of a half
    for sample, span in values:
        assert sample.history[span.turn].role in (USER, ASSISTANT)
        assert sample.history[span.turn].content[span.start : span.end] == span.text == span.text.strip() != ""
        assert span.confidence >= 0.5


def test_a_real_extractor_reads_a_dialogue_longer_than_its_encoder_takes(real, tokenizer):
    history = tuple(
        Message(USER if i % 2 == 0 else ASSISTANT, f"a table in Lyon or in Nice, number {i}") for i in range(40)
    )
    (prediction,) = predictor(tokenizer, gliner_spans.load(real)).predict([Sample("a/1", "a", (TOOL,), history, {})])
    for span in prediction.arguments.values():
        assert history[span.turn].content[span.start : span.end] == span.text
    endless = (Parameter("city", "where " * 600),)  # a description alone is longer: nothing to divide
    with pytest.raises(EquipoiseError, match=r"E_GLINER2 .* Shorten the text or the descriptions of city") as caught:
        gliner_spans.load(real).find(SAMPLE, [Part(0, 0, 5, 0)], {p.name: p.description for p in endless})
    assert caught.value.exit_code == 65


def test_a_model_names_the_package_and_the_bytes_and_takes_no_others(real, monkeypatch, tmp_path):
    import gliner2  # pyright: ignore[reportMissingImports]

    about = gliner_spans.facts(real)
    assert about["gliner2"]["version"] == about["packages"]["gliner2"] == gliner2.__version__
    folder, files = about["gliner2"]["folder"], about["gliner2"]["files"]
    assert gliner_spans.load_pinned(folder, files) is gliner_spans.load(real)
    other = extractor_folder(tmp_path / "moved")
    monkeypatch.setenv(gliner_spans.ELSEWHERE, str(other))
    gliner_spans.load_pinned("gone", files)
    described = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(described | {"max_len": 100}))
    with pytest.raises(EquipoiseError, match=r"E_MODEL .*config\.json: must have the SHA-256") as caught:
        gliner_spans.load_pinned("gone", files)
    assert caught.value.exit_code == 65


def test_weights_that_cannot_be_loaded_name_their_folder(real, tmp_path):
    folder = extractor_folder(tmp_path / "cut")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    with pytest.raises(EquipoiseError, match=rf"E_GLINER2 {folder}: must load") as caught:
        gliner_spans.load(folder)
    assert caught.value.exit_code == 65


def test_the_card_of_a_model_from_before_the_choice_means_its_heads():
    before = {name: v for name, v in CONFIG.model.model_dump().items() if name not in ("spans", "gliner2_folder")}
    read = ToolCallingModel.model_validate(predict.HEADS | before)
    assert (read.spans, read.gliner2_folder, read.width) == ("heads", None, CONFIG.model.width)
