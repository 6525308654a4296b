"""The evaluation part of the keyboard section of params.yaml."""

from __future__ import annotations

from components.config_parts import Count, EvaluationConfig, Positive, Section, Share


class KeyboardBaseline(Section):
    """The cheap keyboard. `strength`: inverse of the L2 regularisation of the machines that rank emoji; `minimum`:
    times a word must stand in training to be corrected to."""

    strength: Positive
    minimum: Count


class KeyboardEvaluation(EvaluationConfig):
    """`typed_words`: words of the test split that are typed key by key, to count the keys saved. `false_corrections`:
    share of right words that may be corrected; the threshold that keeps to it is chosen on validation. `timed_keys`:
    keys that answering is timed on."""

    typed_words: Count
    false_corrections: Share
    timed_keys: Count
    baseline: KeyboardBaseline
