"""A teacher from outside: what it is asked, which of its texts are taken, and what is said where it cannot be had."""

from __future__ import annotations

import importlib.util
import json
from functools import partial

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from components.data.manifest import read_manifest
from components.errors import EquipoiseError
from components.training.loop import train
from components.workloads.assertions import external_teacher
from components.workloads.assertions.batches import open_split
from components.workloads.assertions.data import samples
from components.workloads.assertions.encode import load_codec
from components.workloads.assertions.external_teacher import digest_of, first_assertion, prompt, texts
from components.workloads.assertions.lessons import ANSWERS, teacher_folder
from components.workloads.assertions.pairs import Pair
from components.workloads.assertions.teacher import teach_into
from components.workloads.assertions.workload import WORKLOAD
from tests.workloads.assertions.small import made, model, training

INSTALLED = importlib.util.find_spec("transformers") is not None
needs_transformers = pytest.mark.skipif(not INSTALLED, reason="transformers, of the extra `teacher`, is not installed")
CPU = torch.device("cpu")


def pair(**other):
    names = dict.fromkeys(("project", "path", "test_class", "focal_class", "focal_method"), "p")
    values = {"id": "x", **names, "test_name": "testSum", "focal_code": "int sum() { return 3; }",
              "test_prefix": "Sum s = new Sum();\ns.add(3);", "assertion": None, "assert_type": None,
              "n_prior_asserts": 0}  # fmt: skip
    return Pair(**(values | other))


# --- texts ------------------------------------------------------------------------------------------------------------


def test_a_prompt_is_the_method_and_the_test_so_far():
    text = "int sum() { return 3; }\n\n@Test\npublic void testSum() {\n    Sum s = new Sum();\n    s.add(3);\n"
    assert prompt(pair(), causal=False) == text
    assert prompt(pair(), causal=True) == text + "    assert"
    assert "void test() {" in prompt(pair(test_name=""), causal=False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assertEquals(3, s.sum());", "assertEquals(3, s.sum());"),
        ("assertEquals( 3,s . sum( ) )", "assertEquals(3, s.sum());"),
        ("Assertions.assertTrue(s.isFull());\n    }\n}", "assertTrue(s.isFull());"),
        ("int x = s.sum(); assertEquals(3, x); assertTrue(x > 2);", "assertEquals(3, x);"),
        ("assertThat(s).isNotNull(); assertNotNull(s);", "assertNotNull(s);"),
        ('assertEquals("a;b", s.name());', 'assertEquals("a;b", s.name());'),
        ("assertThrows(E.class, () -> s.sum());", None),
        ("assertEquals(3, s.sum(;", None),
        ("assertEquals(3, s.sum(", None),
        ('assertEquals("3, s.sum());', None),
        ("assertTrue(s.isFull()) && x;", None),
        ("the sum is three", None),
        ("", None),
    ],
)
def test_of_what_is_written_the_first_whole_assertion_is_taken(text, found):
    assert first_assertion(text) == found


# --- where it cannot be had -------------------------------------------------------------------------------------------


def folder_of(path, **files):
    path.mkdir(parents=True)
    for name in ("config.json", "tokenizer_config.json", "model.safetensors"):
        (path / name).write_text(files.get(name, "{}"))
    return path


@pytest.fixture
def pretended(monkeypatch):
    """As if the package were there: what a folder must hold is said without loading anything."""
    monkeypatch.setattr(external_teacher.importlib.util, "find_spec", lambda name: object())


@pytest.mark.skipif(INSTALLED, reason="transformers is installed")
def test_without_the_package_one_is_told_what_to_install(tmp_path):
    with pytest.raises(EquipoiseError, match=r"equipoise\[teacher\]") as caught:
        digest_of(folder_of(tmp_path / "model"))
    assert (caught.value.code, caught.value.exit_code) == ("E_TEACHER", 78)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_without_weights_one_is_told_that_nothing_is_downloaded(tmp_path, pretended, name):
    folder = folder_of(tmp_path / "model")
    (folder / name).unlink()
    for place in (folder, tmp_path / "nowhere"):
        with pytest.raises(EquipoiseError, match="nothing is downloaded") as caught:
            digest_of(place)
        assert (caught.value.code, caught.value.exit_code) == ("E_TEACHER", 66)
    assert "no folder" in str(caught.value)


@pytest.mark.parametrize("content", ['{"auto_map": {"AutoModel": "evil.Model"}}', "[]", "{", "[" * 100_000])
def test_a_folder_that_names_code_or_is_no_description_is_refused(tmp_path, pretended, content):
    for name in ("config.json", "tokenizer_config.json"):
        with pytest.raises(EquipoiseError, match=name) as caught:
            digest_of(folder_of(tmp_path / name, **{name: content}))
        assert (caught.value.code, caught.value.exit_code) == ("E_TEACHER", 65)


def test_other_weights_are_another_teacher(tmp_path, pretended):
    folder = folder_of(tmp_path / "model")
    before = digest_of(folder)
    assert before == digest_of(folder_of(tmp_path / "copy"))
    (folder / "model.safetensors").write_text("other weights")
    assert digest_of(folder) != before


def test_it_is_asked_for_before_anything_is_trained(tmp_path):
    section, prepared = made(tmp_path, 60, teacher={"external": str(tmp_path / "nowhere")})
    with pytest.raises(EquipoiseError) as caught:
        teach_into(WORKLOAD, section, prepared, teacher_folder(prepared), partial(train, device="cpu"), "cpu")
    assert caught.value.code == "E_TEACHER"
    assert not teacher_folder(prepared).exists()


def test_it_must_be_asked_for_texts(tmp_path):
    with pytest.raises(ValidationError, match="sequences must be 1 or more"):
        made(tmp_path, 60, teacher={"external": "somewhere", "sequences": 0})


# --- with the package -------------------------------------------------------------------------------------------------


def tiny(folder, kind):
    """A randomly initialised model of transformers with a tokenizer of single bytes, as save_pretrained writes them."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(["<pad>", "</s>", *alphabet])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    marks = {"eos_token": "</s>"} | ({"pad_token": "<pad>"} if kind == "t5" else {})
    own = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=300, **marks)
    torch.manual_seed(5)
    size = len(alphabet) + 2
    if kind == "t5":
        config = transformers.T5Config(vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
                                       decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)  # fmt: skip
        made = transformers.T5ForConditionalGeneration(config)
    else:
        config = transformers.GPT2Config(vocab_size=size, n_positions=256, n_embd=16, n_layer=1, n_head=2,
                                         bos_token_id=1, eos_token_id=1)  # fmt: skip
        made = transformers.GPT2LMHeadModel(config)
    made.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def learned(folder, kind, text, pairs):
    """The tiny model after it has learned to write one text, whatever it is asked."""
    found = external_teacher.load(tiny(folder, kind), CPU)
    wanted = torch.tensor([found.tokenizer(text)["input_ids"] + [1]])
    rate = torch.optim.Adam(found.model.parameters(), 0.02)
    for step in range(120):
        question = prompt(pairs[step % len(pairs)], found.causal)
        asked = found.tokenizer(question, return_tensors="pt", truncation=True, max_length=200)["input_ids"]
        if found.causal:
            ignored = torch.full_like(asked, -100)
            loss = found.model(torch.cat([asked, wanted], 1), labels=torch.cat([ignored, wanted], 1)).loss
        else:
            loss = found.model(asked, labels=wanted).loss
        rate.zero_grad()
        loss.backward()
        rate.step()
    found.model.save_pretrained(folder)
    return folder


@needs_transformers
@pytest.mark.parametrize(("kind", "said"), [("t5", "Assert.assertNull(it)"), ("gpt2", "Null(it);}")])
def test_what_a_teacher_from_outside_writes_is_what_a_student_reads(tmp_path, kind, said):
    folder, own = tmp_path / kind, {"model": model(width=32), "training": training(epochs=1)}
    section, prepared = made(tmp_path, 60, teacher={"external": str(folder), **own})
    learned(folder, kind, said, list(samples(prepared, "train")))
    learn = partial(train, device="cpu")
    done = teach_into(WORKLOAD, section, prepared, teacher_folder(prepared), learn, "cpu")
    assert done["answered"]
    answers = teacher_folder(prepared) / ANSWERS
    assert read_manifest(answers)["external"] == digest_of(folder)
    offsets, data = np.load(answers / "sequence_offsets.npy"), open_split(prepared, "train")
    assert len(offsets) == data.samples + 1
    codec = load_codec(prepared)
    found = [codec.decode(each.tolist()) for each in np.split(np.load(answers / "sequence.npy"), offsets[1:-1])]
    labels = [codec.decode(each.tolist()) for each in np.split(data.target, data.target_offsets[1:-1])]
    own = [text for text, label in zip(found, labels, strict=True) if text != label]
    assert own and set(own) == {"assertNull(it);"}
    again = teach_into(WORKLOAD, section, prepared, teacher_folder(prepared), learn, "cpu")
    assert not again["trained"] and not again["answered"]
    itself = section.model_copy(update={"teacher": section.teacher.model_copy(update={"external": None})})
    assert teach_into(WORKLOAD, itself, prepared, teacher_folder(prepared), learn, "cpu")["answered"]


@needs_transformers
@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_a_teacher_that_writes_no_assertion_is_refused(tmp_path, kind):
    _, prepared = made(tmp_path, 60)
    with pytest.raises(EquipoiseError, match=r"none of .* texts holds one") as caught:
        texts(tiny(tmp_path / kind, kind), prepared, 2, 30, CPU)
    assert (caught.value.code, caught.value.exit_code) == ("E_TEACHER", 65)


@needs_transformers
def test_answers_do_not_depend_on_their_neighbours(tmp_path):
    found = external_teacher.load(tiny(tmp_path / "gpt2", "gpt2"), CPU)
    found.tokenizer.model_max_length = 10**30  # what a tokenizer that knows no limit says
    several = [pair(), pair(test_prefix="f();"), pair(focal_code="int f() { return 1; }" * 40)]
    together = [written(found, several, i) for i in range(3)]
    assert together == [written(found, [each], 0) for each in several]
    assert len(set(together)) > 1


def written(found, pairs, index):
    kept = []
    take = external_teacher.first_assertion
    try:
        external_teacher.first_assertion = lambda text: kept.append(text) or None
        list(external_teacher.assertions(found, pairs, 1, 12))
    finally:
        external_teacher.first_assertion = take
    return kept[index]


@needs_transformers
@pytest.mark.parametrize("damage", ["weights", "kind", "tokenizer"])
def test_files_that_do_not_load_are_named(tmp_path, damage):
    folder = tiny(tmp_path / "t5", "t5")
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"\x07" * 64)
    elif damage == "kind":
        described = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(described | {"model_type": "nonesuch"}))
    else:
        (folder / "tokenizer.json").write_text("not JSON")
    with pytest.raises(EquipoiseError, match="must load as a model of transformers") as caught:
        external_teacher.load(folder, CPU)
    assert (caught.value.code, caught.value.exit_code) == ("E_TEACHER", 65)


@needs_transformers
def test_a_model_without_room_for_an_answer_is_refused(tmp_path):
    with pytest.raises(EquipoiseError, match="more than the 256 pieces"):
        list(external_teacher.assertions(external_teacher.load(tiny(tmp_path / "g", "gpt2"), CPU), [pair()], 1, 256))
