"""Which engine a campaign takes, how many candidates at once, and the CPU time that is left."""

from types import SimpleNamespace

import pytest

from components.errors import EquipoiseError
from components.tuning.engines import Engine, choose, cpu_left
from components.tuning.space import screened as screen_of
from tests.training import toy
from tests.tuning.toy_campaign import screened, section


def chosen(prepared, settings, total=10, **training):
    values = settings.model_dump(mode="json")
    values["training"] |= training
    settings, lines = type(settings).model_validate(values), []
    work = SimpleNamespace(
        workload=toy.WORKLOAD, section=settings, screen=screen_of("toy", settings), prepared=prepared, device="cpu",
        say=lines.append,
    )  # fmt: skip
    return choose(work, total), lines


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return toy.prepare(section(), tmp_path_factory.mktemp("toy") / "prepared")


def test_the_toy_is_stacked_half_a_campaign_at_a_time(prepared):
    assert chosen(prepared, screened("auto")) == (Engine(batched=True, wave=1, processes=1), [])
    assert chosen(prepared, section(engine="auto", wave="auto"), 9)[0] == Engine(True, 5, 1)
    assert chosen(prepared, section(engine="batched", wave=3))[0] == Engine(True, 3, 1)


def test_what_cannot_be_stacked_trains_in_processes_and_says_why(prepared):
    balancer = {**toy.STATIC, "method": "equal"}
    engine, lines = chosen(prepared, section(engine="auto", wave=3), balancer=balancer)
    assert engine == Engine(batched=False, wave=1, processes=3)
    assert len(lines) == 1 and "equal" in lines[0]
    with pytest.raises(EquipoiseError) as refused:
        chosen(prepared, section(engine="batched"), balancer=balancer)
    assert (refused.value.code, int(refused.value.exit_code)) == ("E_CONFIG", 78)


def test_processes_are_as_many_as_threads_allow(prepared, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert chosen(prepared, section(engine="processes", wave="auto"))[0] == Engine(False, 1, 8)
    assert chosen(prepared, section(engine="processes", wave="auto"), threads=3)[0] == Engine(False, 1, 2)


def test_cpu_time_left_by_hand():
    """Two candidates took 3 s each, so the 8 others of 10 take 24. At full length, 4 epochs to 2, each takes 6: the
    default and 3 more, then (2 + 1) contestants with 3 seeds, 13 in all: 78."""
    screen = SimpleNamespace(epochs=2, full=3)
    settings = SimpleNamespace(epochs=4, screen=screen, closing=SimpleNamespace(candidates=2, seeds=3))
    assert cpu_left(settings, [2.0, 4.0], 10) == 24 + 78
    settings.screen = None
    assert cpu_left(settings, [2.0, 4.0], 10) == 24 + 27
    assert cpu_left(settings, [3.0] * 12, 10) == 27, "more than were asked for"
