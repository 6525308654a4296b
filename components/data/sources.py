"""Where a user gets the public originals: repository, commit, licence, and the SHA-256 of every file."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from components.data.source_digests import DIGESTS
from components.errors import EquipoiseError, Exit


@dataclass(frozen=True)
class SourceFile:
    """One file: its path in the data set, its digest, its size in bytes (0 when unknown).

    `java`: the digest is `fetching.java_digest`, of the names and contents of the Java files in an archive: one that a
    server packs anew has other bytes and the same contents.
    """

    path: str
    sha256: str
    size: int
    java: bool = False


@dataclass(frozen=True)
class Source:
    """A public data set at one commit. `url` is a template that `{commit}` and `{path}` are put into."""

    name: str
    title: str
    workload: str
    licence: str
    repository: str
    commit: str
    url: str
    files: tuple[SourceFile, ...]

    def url_of(self, file: SourceFile) -> str:
        """Where a file of the original is fetched from, at the commit that is named."""
        return self.url.format(commit=self.commit, path=quote(file.path))


def _github(
    name: str, title: str, licence: str, repository: str, commit: str, folder: str = "", workload: str = "tool_calling"
) -> Source:
    rows = (row.split(" ", 2) for row in DIGESTS[name].strip().splitlines())
    return Source(
        name=name,
        title=title,
        workload=workload,
        licence=licence,
        repository=f"https://github.com/{repository}",
        commit=commit,
        url=f"https://raw.githubusercontent.com/{repository}/{{commit}}/{folder}{{path}}",
        files=tuple(SourceFile(path, digest, int(size)) for digest, size, path in rows),
    )


def _java(repository: str, commit: str, sha256: str, licence: str = "Apache-2.0") -> Source:
    name = repository.split("/")[1]
    return Source(
        name=name,
        title=f"{name}: Java sources with unit tests (folder of such archives: assertions.data.source)",
        workload="assertions",
        licence=licence,
        repository=f"https://github.com/{repository}",
        commit=commit,
        url=f"https://codeload.github.com/{repository}/tar.gz/{{commit}}",
        files=(SourceFile(f"{name}.tar.gz", sha256, 0, java=True),),
    )


_CATALOGUE = (
    _github(
        "sgd",
        "Schema-Guided Dialogue (Rastogi et al. 2020): 40 training files, 17 development files, schemas",
        "CC-BY-SA-4.0",
        "google-research-datasets/dstc8-schema-guided-dialogue",
        "e852981ae34990f4358979625854259302feaa78",
    ),
    _github(
        "clinc150",
        "CLINC150 (Larson et al. 2019): 150 intents and out of scope",
        "CC-BY-3.0",
        "clinc/oos-eval",
        "828f8093932c8fe6ca7936c3d2e52903b1c523de",
    ),
    _github(
        "banking77",
        "BANKING77 (Casanueva et al. 2020): 77 fine-grained intents",
        "CC-BY-4.0",
        "PolyAI-LDN/task-specific-datasets",
        "57ec275d8078af65b7731c2a98be812d844a6d6b",
    ),
    _github(
        "snips",
        "SNIPS custom intents (Coucke et al. 2018): 7 intents with slots",
        "CC0-1.0",
        "sonos/nlu-benchmark",
        "b86ac7f1577868c42158d0dec77db50956046696",
        "2017-06-custom-intent-engines/",
    ),
    _github(
        "bfcl",
        "Berkeley Function-Calling Leaderboard v4: questions and function definitions, for evaluation only",
        "Apache-2.0",
        "ShishirPatil/gorilla",
        "6ea57973c7a6097fd7c5915698c54c17c5b1b6c8",
        "berkeley-function-call-leaderboard/bfcl_eval/data/",
    ),
    _github(
        "lean",
        "LEAN sample data: US equities and ETFs 1998-2021 as zipped raw bars, factor and map files",
        "Apache-2.0 (repository; prices are their vendors')",
        "QuantConnect/Lean",
        "24863901deffa9ec7985e21ef8fbdb0258efb9e4",
        "Data/",
        "trading",
    ),
    _github(
        "etf",
        "SPY, TLT, BIL, IEF, AGG as total-return indices 1970-2022 (folder etf/ of the trading data)",
        "AGPL-3.0 (repository; prices are their vendors')",
        "fbertram/TuringTrader",
        "0a7dc60ed9df6f94920b13b6233cd0d0926f2528",
        "Data/backfills/",
        "trading",
    ),
    _github(
        "rates",
        "US Treasury yields of 3 months, 10, 20 and 30 years, FRED (folder rates/ of the trading data)",
        "public domain (Federal Reserve H.15; the repository states none)",
        "toanpro24/project_yield",
        "11e48df15ff2d27bb88a2286defc2f6afdcfce5e",
        "data/",
        "trading",
    ),
    _github(
        "vix",
        "CBOE VIX, daily from 1990 on (folder vix/ of the trading data)",
        "ODC-PDDL-1.0",
        "datasets/finance-vix",
        "6f56e2760520824b787cf6b85945c62186d38bc6",
        "data/",
        "trading",
    ),
    _github(
        "skfolio",
        "20 US stocks and the S&P 500 1990-2022, five factor funds 2014-2022, one column a symbol",
        "BSD-3-Clause (repository; prices are their vendors')",
        "skfolio/skfolio",
        "c06db8406385cf4bce83577d0f0710ee5a27e67e",
        "src/skfolio/datasets/data/",
        "trading",
    ),
    _github(
        "nus_sms",
        "NUS SMS corpus (Chen and Kan 2013): English and Chinese text messages (a folder nus_sms of the keyboard data)",
        "made public for research; no licence file",
        "kite1988/nus-sms-corpus",
        "bf0a365170d324e61e4025edf363d400f1edd1a6",
        workload="keyboard",
    ),
    _github(
        "crosswoz",
        "CrossWOZ: 500 Chinese dialogues (a folder crosswoz of the keyboard data)",
        "Apache-2.0",
        "thu-coai/CrossWOZ",
        "df82c9fdff91b9b130f2d6b89110d3870ba6260e",
        "data/crosswoz/",
        "keyboard",
    ),
    _github(
        "codespell",
        "codespell's dictionary of English misspellings (a folder codespell of the keyboard data)",
        "CC-BY-SA-3.0",
        "codespell-project/codespell",
        "b69d26d50765ba513dbd009fce882d4de338037c",
        "codespell_lib/data/",
        "keyboard",
    ),
    _github(
        "spell_testset",
        "270 misspellings, development set of Norvig's corrector (a folder spell_testset of the keyboard data)",
        "none stated",
        "fastai/course-nlp",
        "46af22136467d78e46b1a0871b921029f6a0c3ac",
        workload="keyboard",
    ),
    _github(
        "tweeteval_emoji",
        "TweetEval emoji (SemEval 2018 task 2): tweets and the emoji they carried (a folder tweeteval_emoji)",
        "without restrictions; texts under Twitter's rules",
        "cardiffnlp/tweeteval",
        "4fbd22cd78421f05b1ecdb4fc5725bc7a7bd8f66",
        "datasets/emoji/",
        "keyboard",
    ),
    _github(
        "cldr",
        "Unicode CLDR: names and keywords of emoji in English and Chinese (a folder cldr of the keyboard data)",
        "Unicode-3.0",
        "unicode-org/cldr-json",
        "b08a82b582f1120d630d623f9e5073316741574d",
        "cldr-json/cldr-annotations-full/",
        "keyboard",
    ),
    _github(
        "cldr-derived",
        "Unicode CLDR: names of flags and of emoji with skin tones (a folder cldr-derived of the keyboard data)",
        "Unicode-3.0",
        "unicode-org/cldr-json",
        "b08a82b582f1120d630d623f9e5073316741574d",
        "cldr-json/cldr-annotations-derived-full/",
        "keyboard",
    ),
    _github(
        "sighan",
        "SIGHAN: Chinese spelling errors of learners and confusion sets (a folder sighan of the keyboard data)",
        "academic use; (c) the organisers of the bake-offs",
        "onebula/sighan_raw",
        "ed8d5260ae68af47572474867f97064297b8985f",
        "raw_data/",
        "keyboard",
    ),
    _java(
        "apache/commons-lang",
        "d15939ef46f0bd4144994df8be95cf5a7f91eb52",
        "3fb818516a055f39c3fde3306dd826ec616e7bbc56604fe4e9c9b94283ba7353",
    ),
    _java(
        "apache/commons-text",
        "5a23e10056646febd4d43527a8c5b930ea540c78",
        "b2a74d0ecbb93eb4fec51b4e5b84abde52f1199a8485219dc02f7c374b598501",
    ),
    _java(
        "apache/commons-collections",
        "cf36204c913a268681f9e7786f48383d6a464ed4",
        "97393a680d0da567cffd7b031057a305b99c8c9a9e3e8ab6f8ab76978d9fb8ef",
    ),
    _java(
        "apache/commons-math",
        "d9fd8324cb346f55d197f90442a6e1eedeff11a0",
        "e1d9406b0961623bf85f8e2c34c4044cf4603166743d6aad633cb202e4c71d17",
    ),
    _java(
        "apache/commons-numbers",
        "da227b0534b990451409f81d6ac15990c0915ffb",
        "81bbada806086a97ed5232b520849f065f5405355b2c570ddbb056917d03b20d",
    ),
    _java(
        "apache/commons-rng",
        "af5a5a52078c1e8d707f7b5b9deb94d9f37dac46",
        "fc627a9515f8677677846a064eee1854b09de39e313bd30ad50f94751d5df2bb",
    ),
    _java(
        "dromara/hutool",
        "2959e8351b805d1c667323d204334c028fe26589",
        "f9e1e5affd43c3470e68f6628cd18a9736102e5464ce652ab1507238fa8944a3",
        "MulanPSL-2.0",
    ),
    _java(
        "apache/commons-io",
        "d83aeb6f4774aee75d857b29fb6cd89132c9a91b",
        "9debbb168b881f2eeb7550d67ca54e2295a850c3e73548f2f29ed7be63b4e0a4",
    ),
    _java(
        "apache/commons-jexl",
        "bcd5079648a31d0b40153591d5cbca891484f74c",
        "4ab74bc536799e2130a92b4de3216e821452332e1812d76b910101092bbd374e",
    ),
    _java(
        "apache/commons-compress",
        "6862beae76a90e09e182f975a538ea9b2723e2b9",
        "13947ee21edb455ba0b15725ddc5c3ec56b924fed76e7fbb3ebfbfdba9f04cf2",
    ),
    _java(
        "apache/commons-validator",
        "4dc42506f0714ebb74705347eb15c8cc79d26bb1",
        "7dc6f4d3748b019f8e529099a431744236482f31a83012f9b395b7f59d746730",
    ),
    _java(
        "apache/commons-beanutils",
        "d8c622f37a311a368be58d1efeef19a208acfcc8",
        "a15ba7e6d11a2b5ebc8700051e94e42be350575cf5e1c424825f44aa23ddf24f",
    ),
    _java(
        "apache/commons-bcel",
        "8cc1024e515331d40c73cbdd65d1e0082cdee614",
        "0f4d8c58e560fbf0918d6258b062607eca0964965c2b846f5c30aaef34f36d3b",
    ),
)


def catalogue() -> tuple[Source, ...]:
    """Every known source, in the order in which they are listed to users."""
    return _CATALOGUE


def source(name: str) -> Source:
    """The source of that name.

    Raises:
        EquipoiseError: E_SOURCE (2) for another name.
    """
    for entry in _CATALOGUE:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in _CATALOGUE)
    raise EquipoiseError(
        "SOURCE", "sources", f"must be one of {names}", got=name, hint="Name one of them", exit_code=Exit.USAGE
    )
