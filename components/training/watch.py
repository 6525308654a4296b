"""Health alarms while a run goes on: the curves are judged as they grow, and each alarm is raised once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.losses.health import Rule, alarms

OFTEN = 200  # lines up to which every report is judged; later ones in proportion, so that judging stays cheap


class Watch:
    """The lines so far and the alarms they raised, as rows in the order in which they were raised.

    The rows stand in the line that raised them, so a run that goes on from a checkpoint knows them from its curves and
    raises what an uninterrupted run raises.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.raised: list[dict[str, Any]] = []
        self._lines: list[Mapping[str, Any]] = []

    def recall(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Takes in the lines that an earlier process wrote."""
        self._lines = list(lines)
        self.raised = [row for line in lines for row in line.get("alarms", ())]

    def judge(self, line: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The alarms that this line is the first to raise.

        Judging looks at all lines. A long run is therefore judged at its epochs' ends and at every so many reports: the
        time it takes grows with the run, not with its square.
        """
        self._lines.append(line)
        number = len(self._lines)
        if "validation" not in line and number % max(1, number // OFTEN):
            return []
        known = {(row["rule"], row["subject"]) for row in self.raised}
        new = [alarm.as_row() for alarm in alarms(self._lines, self.rules) if (alarm.rule, alarm.subject) not in known]
        self.raised += new
        return new
