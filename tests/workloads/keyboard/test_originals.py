"""The public originals: formats, keys, traps; where they are beside the project, also the numbers of their page."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from components.workloads.keyboard import chinese, emoji, spelling
from components.workloads.keyboard.events import Task
from components.workloads.keyboard.originals import Originals
from components.workloads.keyboard.readings import CONFUSIONS
from components.workloads.keyboard.sms import read_sms
from components.workloads.keyboard.splits import split_of

REAL = Path("../shared/data/keyboard")
real = pytest.mark.skipif(not REAL.is_dir(), reason="the public keyboard files are not beside the project")


def sms(number: str, text: str, user: str = "9", collector: str = "c") -> str:
    return (
        f'<message id="{number}"><text>{text}</text><source><srcNumber>{user}</srcNumber><userProfile><userID>{user}'
        f'</userID></userProfile></source><collectionMethod collector="{collector}" method="m" time="t"/></message>\r\n'
    )


def corpus(*messages: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><smsCorpus date="d">\r\n{"".join(messages)}</smsCorpus>'.encode()


MESSAGES = corpus(
    sms("1", "hi &lt;#&gt; you"),
    sms("1", "two\nlines", collector="d"),
    sms("1", "twice"),
    sms("2", "from nobody", user="0"),
    sms("3", "ü &amp; 我", user="8"),
    sms("4", "last"),
    sms("5", " "),
)


@pytest.mark.parametrize("kind", ["plain", "gzip", "zip"])
def test_sms(tmp_path, kind):
    path = tmp_path / {"plain": "a.xml", "gzip": "a.xml.gz", "zip": "a.zip"}[kind]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.xml", MESSAGES)
    else:
        path.write_bytes(MESSAGES if kind == "plain" else gzip.compress(MESSAGES))
    left_out = Counter()
    found = list(read_sms(path, "en", "nus_en", left_out))
    assert [message.text for message in found] == ["hi <#> you", "two lines", "from nobody", "ü & 我", "last"]
    assert [message.user for message in found] == ["nus/9", "nus/9", "", "nus/8", "nus/9"]
    assert [message.history for message in found] == [(), ("hi <#> you",), (), (), ("hi <#> you", "two lines")]
    assert left_out == {"messages with the id and collector of another": 1, "nothing to type": 1}
    assert split_of(found[2], 7, (0.4, 0.4)) == "train"


def test_sms_of_many_chunks(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(corpus(*(sms(str(i), f"number {i} 我们", str(i % 3 + 1)) for i in range(2000))))
    found = list(read_sms(path, "zh", "nus_zh", Counter()))
    assert [message.text for message in found] == [f"number {i} 我们" for i in range(2000)]


def test_crosswoz(tmp_path):
    said = [("usr", "你好"), ("sys", "您好"), ("usr", "再见")]
    value = {"7": {"sys-usr": [1, 2], "messages": [{"role": role, "content": text} for role, text in said]}}
    with zipfile.ZipFile(tmp_path / "val.json.zip", "w") as archive:
        archive.writestr("val.json", json.dumps(value))
    found = list(chinese.read_crosswoz(tmp_path, Counter()))
    assert [(m.user, m.text) for m in found] == [("crosswoz/2", "你好"), ("crosswoz/2", "再见")]
    assert [m.history for m in found] == [(), ("你好", "您好")]


ESSAY = """<ESSAY title="t">
<TEXT>
<PASSAGE id="A2-1-1">有一點事情阿！</PASSAGE>
<PASSAGE id="A2-1-2">沒有錯。</PASSAGE>
<PASSAGE id="A2-1-3">不對的話。</PASSAGE>
</TEXT>
<MISTAKE id="A2-1-1" location="6">
<WRONG>事情阿</WRONG>
<CORRECTION>事情啊</CORRECTION>
</MISTAKE>
<MISTAKE id="A2-1-3" location="2">
<WRONG>沒有</WRONG>
<CORRECTION>没有</CORRECTION>
</MISTAKE>
</ESSAY>
"""


def test_sighan(tmp_path):
    for year, name in chinese.ESSAYS:
        path = tmp_path / year / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ESSAY if "A2" in name else "", encoding="utf-8")
    left_out = Counter()
    (found,) = chinese.read_sighan(tmp_path, left_out)
    assert (found.text, found.user) == ("有一點事情啊！", "sighan/A2-1")
    wrong, clean = found.given
    assert (wrong.task, wrong.start, wrong.typed) == (Task.ERROR, 5, "阿")
    assert (clean.task, clean.start, clean.typed) == (Task.COMPLETION, 5, "啊")
    assert left_out == {"mistakes that do not match their passage": 1}


def test_confusions(tmp_path):
    year, name = chinese.SOUND
    path = tmp_path / chinese.RELEASES[year] / name
    path.parent.mkdir(parents=True)
    path.write_text("漢字\t同音同調\t同音異調\n夔\t葵魁\t虧\t\t\n在\t載\t\t\t\n", encoding="utf-8")
    found = chinese.confusions(tmp_path, CONFUSIONS)
    assert found["夔"] == "葵魁虧" and found["在"] == CONFUSIONS["在"]


def test_tweets_lose_their_orphaned_selectors(tmp_path):
    (tmp_path / "mapping.txt").write_text("0\t❤\t_red_\t\n1\t🇺🇸\t_flag_\t\n", encoding="utf-8")
    for name in ("train", "val"):
        (tmp_path / f"{name}_text.txt").write_text(
            "love ️ ️ it @user \n\u2028go\x85 team\n️\n", encoding="utf-8", newline=""
        )
        (tmp_path / f"{name}_labels.txt").write_text("0\n1\n0\n")
    left_out = Counter()
    found = list(emoji.read_tweets(tmp_path, left_out))
    assert [m.text for m in found][:2] == ["love   it @user ❤", "go  team 🇺🇸"] and left_out["nothing to type"] == 2
    assert {m.split for m in found[:2]} <= {"train", "validation"} and {m.split for m in found[2:]} == {"test"}
    for message in found:
        (only,) = message.given
        assert message.text[only.start : only.end] in ("❤", "🇺🇸") and only.task is Task.SUGGESTION


def test_spelling(tmp_path):
    text = "teh->the\nhte->the\nbeleive->believe\nabotu->about, abbot,\nalot->a lot\n"
    (tmp_path / "dictionary.txt").write_text(text)
    known = spelling.misspellings(tmp_path)
    assert known == {"the": ["teh", "hte"], "believe": ["beleive"]}
    (tmp_path / "spell-testset1.txt").write_text("the: teh ther\n")
    found = list(spelling.read_test_set(tmp_path, known))
    assert [(m.source, m.given[0].typed) for m in found] == [("spelling_known", "teh"), ("spelling", "ther")]
    assert {m.split for m in found} == {"test"}


@real
@pytest.mark.real_data
def test_the_real_messages():
    left_out = Counter()
    originals = Originals(REAL, left_out)
    english = list(originals.messages(["nus_en"]))
    assert len(english) == 47_853 and len({m.user for m in english if m.user}) == 286
    assert sum(not m.user for m in english) == 4_754 and len({m.id for m in english}) == 47_853
    assert sum("<#>" in m.text for m in english) > 2_500 and not left_out


@real
@pytest.mark.real_data
def test_the_other_real_originals():
    left_out = Counter()
    originals = Originals(REAL, left_out)
    found = Counter(m.source for m in originals.messages(["crosswoz", "cldr", "sighan", "spelling"]))
    assert found["spelling"] + found["spelling_known"] == 270 and 100 <= found["spelling_known"] <= 120
    assert found["crosswoz"] > 4_000 and found["cldr"] > 250 and found["sighan"] > 5_500
    assert left_out["mistakes that do not match their passage"] <= 31
    wrong = originals.misspellings()
    assert sum(map(len, wrong.values())) > 50_000 and "teh" in wrong["the"]


@pytest.mark.parametrize("apart", [False, True], ids=["in one folder", "as fetched"])
def test_names_of_emoji(tmp_path, apart):
    for language, name in (("en", "red heart"), ("zh", "红心")):
        for kind, key in (("annotations", "❤"), ("annotationsDerived", "🇺🇸")):
            home = "cldr-derived" if apart and kind == "annotationsDerived" else "cldr"
            path = tmp_path / home / kind / language / "annotations.json"
            path.parent.mkdir(parents=True)
            entries = {key: {"default": ["love", name], "tts": [name]}, "☎": {"default": [], "tts": ["phone"]}}
            path.write_text(json.dumps({kind: {"annotations": entries}}), encoding="utf-8")
    (tmp_path / "tweeteval_emoji").mkdir()
    (tmp_path / "tweeteval_emoji" / "mapping.txt").write_text("0\t❤\t_a_\t\n1\t🇺🇸\t_b_\t\n", encoding="utf-8")
    found = list(Originals(tmp_path, Counter()).messages(["cldr"]))
    assert [m.text for m in found if m.language == "zh"] == ["红心 ❤", "love ❤", "红心 🇺🇸", "love 🇺🇸"]
    assert len(found) == 8 and {m.split for m in found} == {"train"}
