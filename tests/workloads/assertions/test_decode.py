"""Searching: greedy and beams with a cache against plain search without one, limits of length and syntax."""

from __future__ import annotations

import pytest
import torch

from components.config_distillation import AssertionsModel
from components.workloads.assertions.decode import LENGTH_POWER, Leaning, write
from components.workloads.assertions.encode import BOS, EOS, SPECIALS
from components.workloads.assertions.grammar import Grammar
from components.workloads.assertions.java_tokens import defect
from components.workloads.assertions.model import AssertionWriter
from components.workloads.assertions.pairs import ASSERT_TYPES
from tests.workloads.assertions.small import model as sizes

PIECES = [*SPECIALS, *(chr(c) for c in range(33, 127)), "assert", "Equals", "True"]


def writer(seed: int) -> AssertionWriter:
    torch.manual_seed(seed)
    model = AssertionWriter(AssertionsModel.model_validate(sizes()), len(PIECES)).eval()
    torch.nn.init.normal_(model.tokens.weight, std=3.0)  # so that its answers differ from each other
    return model


def sources(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    make = torch.Generator().manual_seed(5)
    source = torch.randint(5, len(PIECES), (rows, 12), generator=make)
    source[0, 8:] = 0
    return source, (source > 0).long()


def told_after(model, source, segments, pieces):
    target = torch.tensor([[BOS, *pieces]])
    return model.write(target, model.read(source, segments))[0][0, -1]


@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_the_likeliest_piece_again_and_again(seed):
    model, (source, segments) = writer(seed), sources(3)
    found = write(model, source, segments, None, beams=1, most=9)
    for row in range(3):
        pieces: list[int] = []
        total = 0.0
        while len(pieces) < 9 and EOS not in pieces:
            told = told_after(model, source[row : row + 1], segments[row : row + 1], pieces)
            pieces.append(int(told.argmax()))
            total += float(told.max())
        best = found[row][0]
        assert list(best.pieces) == [p for p in pieces if p != EOS]
        assert best.log_probability == pytest.approx(total, abs=1e-3)


def plain_beams(model, source, segments, beams, most):
    """Beam search without cache or batch."""
    front, done = [((), 0.0)], []
    for position in range(most):
        grown = []
        for pieces, total in front:
            told = told_after(model, source, segments, pieces)
            grown += [((*pieces, piece), total + float(told[piece])) for piece in range(len(told))]
        grown.sort(key=lambda each: -each[1])
        front = []
        for pieces, total in grown[: 2 * beams]:
            if pieces[-1] == EOS:
                done.append((pieces[:-1], total))
            elif len(front) < beams:
                front.append((pieces, total))
        if position == most - 1:
            done += front
    return max(done, key=lambda each: each[1] / (len(each[0]) + 1) ** LENGTH_POWER)


@pytest.mark.parametrize("seed", range(3))
def test_beams_find_what_plain_beams_find(seed):
    model, (source, segments) = writer(seed), sources(2)
    found = write(model, source, segments, None, beams=3, most=5)
    for row in range(2):
        pieces, total = plain_beams(model, source[row : row + 1], segments[row : row + 1], 3, 5)
        assert found[row][0].pieces == pieces
        assert found[row][0].log_probability == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_within_the_grammar_even_noise_ends_as_a_statement(seed, beams):
    model, (source, segments) = writer(seed), sources(4)
    found = write(model, source, segments, Grammar(PIECES), beams=beams, most=30)
    for texts in found:
        assert 1 <= len(texts) <= beams
        assert [t.score for t in texts] == sorted((t.score for t in texts), reverse=True)
        for text in texts:
            assert len(text.pieces) < 30
            spelt = "".join(PIECES[p] for p in text.pieces)
            assert spelt.startswith("assert")
            assert spelt.endswith(");")
            assert spelt.count("(") >= 1


@pytest.mark.parametrize("seed", range(4))
def test_every_hypothesis_has_the_kind_that_is_likeliest_by_itself(seed):
    model, (source, segments) = writer(seed), sources(4)
    alone = write(model, source, segments, Grammar(PIECES), beams=1, most=30)
    several = write(model, source, segments, Grammar(PIECES), beams=4, most=30)
    for (one, *_), texts in zip(alone, several, strict=True):
        kind = "".join(PIECES[p] for p in one.pieces).partition("(")[0]
        assert kind in ASSERT_TYPES
        assert {"".join(PIECES[p] for p in text.pieces).partition("(")[0] for text in texts} == {kind}


def kinds_in(found):
    return [{"".join(PIECES[p] for p in text.pieces).partition("(")[0] for text in texts} for texts in found]


@pytest.mark.parametrize("beams", [1, 4])
def test_the_kind_that_others_hold_for_certain_is_written_where_they_weigh_most(beams):
    model, (source, segments) = writer(2), sources(4)
    wanted = ("assertNotNull", "assertIterableEquals", "assertFalse", "assertSame")
    shares = [[float(kind == each) for kind in ASSERT_TYPES] for each in wanted]
    led = write(model, source, segments, Grammar(PIECES), beams, 30, Leaning(shares, 0.99))
    assert kinds_in(led) == [{each} for each in wanted]
    alone = [
        write(model, source, segments, Grammar(PIECES), beams, 30, Leaning(s, 0.0)) for s in (shares, shares[::-1])
    ]
    assert kinds_in(alone[0]) == kinds_in(alone[1]) != kinds_in(led)


def test_the_probability_of_a_text_stays_the_models_own():
    model, (source, segments) = writer(2), sources(1)
    shares = [[float(kind == "assertNotNull") for kind in ASSERT_TYPES]]
    ((text, *_),) = write(model, source, segments, Grammar(PIECES), 2, 30, Leaning(shares, 0.99))
    total = 0.0
    for i, piece in enumerate((*text.pieces, EOS)):
        total += float(told_after(model, source[:, :8], segments[:, :8], text.pieces[:i])[piece])
    assert text.log_probability == pytest.approx(total, abs=1e-2)


def test_a_batch_answers_as_its_samples_alone():
    model, (source, segments) = writer(1), sources(4)
    together = write(model, source, segments, Grammar(PIECES), beams=3, most=30)
    for row in range(4):
        width = 8 if row == 0 else 12
        (alone,) = write(model, source[row : row + 1, :width], segments[row : row + 1, :width], Grammar(PIECES), 3, 30)
        assert [t.pieces for t in together[row]] == [t.pieces for t in alone]


@pytest.mark.parametrize("seed", range(4))
def test_the_shortest_length_still_ends_with_all_brackets_closed(seed):
    model, (source, segments) = writer(seed), sources(2)
    for texts in write(model, source, segments, Grammar(PIECES), beams=2, most=16):
        spelt = "".join(PIECES[p] for p in texts[0].pieces)
        assert spelt.startswith("assert") and spelt.endswith(");")
        assert defect(spelt) is None
