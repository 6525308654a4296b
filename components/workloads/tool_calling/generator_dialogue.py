"""One generated conversation: a state machine of a user with a goal and an assistant who follows the rules."""

from __future__ import annotations

import random
import string
from typing import Any

from components.workloads.tool_calling import generator_words as words
from components.workloads.tool_calling.generator_domains import HANDED_ON, SERVICES, Service, Slot
from components.workloads.tool_calling.text_spans import find_span_in_text

MAX_DECISIONS = 6
TYPO_SHARE = 0.15  # of the user's messages
TWO_GOALS = 0.4  # of the conversations: both are named at once, the second is taken up after the first is done
SWITCHES = 0.15  # of the assistant's questions are answered by another wish that keeps what was said


def converse(goal: Service, offered: list[Service], chance: random.Random) -> list[dict[str, Any]]:
    """The decisions of one conversation, in order, as lines without `tools` and `conversation`."""
    talk = Conversation(goal, offered, chance)
    if chance.random() < 0.08:
        talk.say(chance.choice(words.GREETINGS))
        talk.answer("small_talk", chance.choice(words.CHATS))
    talk.open_request()
    while not talk.over:
        talk.step()
    return talk.decisions[:MAX_DECISIONS]


class Conversation:
    """The state of a conversation: what was said, what is known of the present goal, what was decided.

    Attributes:
        later: the goal named at the beginning and put off.
        known: values of the present goal's parameters, as last said.
        used: every value said so far, which no other may repeat.
    """

    def __init__(self, goal: Service, offered: list[Service], chance: random.Random) -> None:
        self.goal = goal
        self.later: Service | None = None
        self.offered = offered
        self.chance = chance
        self.history: list[dict[str, str]] = []
        self.decisions: list[dict[str, Any]] = []
        self.known: dict[str, str] = {}
        self.used: list[str] = []
        self.confirmed = False
        self.over = False

    # --- what is said and decided ---

    def say(self, text: str, values: tuple[str, ...] = ()) -> None:
        """A user's message, with typing errors outside the values."""
        if self.chance.random() < TYPO_SHARE:
            text = _misspell(text, values, self.chance)
        if self.chance.random() < 0.1:
            text = text[:1].upper() + text[1:]
        self.history.append({"role": "user", "content": text})

    def _decide(self, intent: str, decision: str, tool: dict[str, Any] | None, content: str) -> None:
        self.decisions.append(
            {
                "history": list(self.history),
                "decision": decision,
                "slots": dict(self.known),
                "tool": tool,
                "content": content,
                "intent": intent,
                "service": self.goal.thing,
            }
        )
        self.over = self.over or len(self.decisions) >= MAX_DECISIONS

    def answer(self, intent: str, text: str) -> None:
        self._decide(intent, "direct_answer", None, text)
        self.history.append({"role": "assistant", "content": text})

    def call(self) -> None:
        """Calls the goal's tool: unsaid optional values take their defaults now and then."""
        arguments = {slot.name: self.known[slot.name] for slot in self.goal.slots if slot.name in self.known}
        for slot in self.goal.slots:
            if slot.default and slot.name not in arguments and self.chance.random() < 0.3:
                arguments[slot.name] = slot.default
        tool = {"name": self.goal.name, "arguments": arguments}
        self._decide(self.goal.intent, "tool_call", tool, "")
        found = ""
        if self.goal.found in HANDED_ON:
            found = self._value(self.goal.found)
        result = f"{self.goal.found} {found or self.chance.randint(100, 999)}"
        pairs = ", ".join(f"{name}={value}" for name, value in arguments.items())
        self.history.append({"role": "tool_call", "content": f"{self.goal.name} {pairs}"})
        self.history.append({"role": "tool_response", "content": f"{result}, rating {self.chance.randint(1, 5)}"})
        report = words.DONE if self.goal.transactional else words.FOUND
        text = self.chance.choice(report).format(r=f"the {found}" if found else result)
        offer = self._offer()
        more = self.chance.choice(words.OFFER).format(offer=offer.offer) if offer else self.chance.choice(words.MORE)
        self.history.append({"role": "assistant", "content": text + more})
        self._follow_up(found, offer)

    # --- the user's moves ---

    def open_request(self) -> None:
        """The user states the goal, or two of them, with some of the first one's values, sometimes all."""
        request = self.chance.choice(self.goal.requests)
        others = [service for service in self.offered if service is not self.goal]
        if self.chance.random() < TWO_GOALS:
            self.later = self.chance.choice(others)
            later = self.chance.choice(self.later.requests)
            request = self.chance.choice(words.BOTH).format(now=request, later=later)
        self._request(request, self._told(0.45))

    def _told(self, share: float) -> list[Slot]:
        """The slots that the user fills unasked: all required ones now and then, else about a share of them."""
        required = [slot for slot in self.goal.slots if slot.required and slot.name not in self.known]
        told = required if self.chance.random() < 0.25 else [s for s in required if self.chance.random() < share]
        return told + [s for s in self.goal.slots if not s.required and self.chance.random() < 0.3]

    def _request(self, request: str, told: list[Slot]) -> None:
        for slot in told:
            self.known[slot.name] = self._slot_value(slot)
        clauses = [self._clause(slot) for slot in self.chance.sample(told, len(told))]
        parts = [request, *clauses]
        if clauses and self.chance.random() < 0.2:
            parts = [*clauses, request]
        if self.chance.random() < 0.08:
            aside = self.chance.choice(words.ASIDES).format(v=self._value("city"))
            parts.insert(self.chance.choice((0, len(parts))), aside)
        before = self.chance.choice(words.BEFORE) if not self.decisions else ""
        text = before + self.chance.choice((" ", ", ")).join(parts)
        self.say(text + self.chance.choice(words.AFTER), (*self.known.values(), *self.used))

    def _change_goal(self, goal: Service, share: float, request: str) -> None:
        """Another goal, which keeps the values its parameters share with the one before."""
        self.goal = goal
        self.confirmed = False
        self.known = {s.name: self.known[s.name] for s in goal.slots if s.name in self.known}
        self._request(request, self._told(share))

    def step(self) -> None:
        """The assistant's next decision and the user's reaction to it."""
        missing = [slot for slot in self.goal.slots if slot.required and slot.name not in self.known]
        if missing:
            self._ask(missing)
        elif self.goal.transactional and not self.confirmed:
            self._confirm()
        else:
            self.confirmed = False
            self.call()

    def _ask(self, missing: list[Slot]) -> None:
        missing = self.chance.sample(missing, len(missing))
        slot = missing[0]
        self.answer(self.goal.intent, self.chance.choice(slot.asks))
        roll = self.chance.random()
        if roll < 0.10:
            self.say(self.chance.choice(words.QUESTIONS).format(n=_spoken(slot.name)))
            self.answer(self.goal.intent, f"{self.chance.choice(words.ANSWER)} {self.chance.choice(slot.asks)}")
        elif roll < 0.15:
            self._quit()
            return
        elif roll < 0.30 and self.known:
            self._correct(self.chance.choice(sorted(self.known)), and_then=slot)
            return
        elif roll < 0.30 + SWITCHES:
            self._switch()
            return
        told = [slot]
        if len(missing) > 1 and self.chance.random() < 0.35:
            told.append(missing[1])
        for each in told:
            self.known[each.name] = self._slot_value(each)
        text = self.chance.choice(words.ANSWERS).format(c=self._clause(slot), v=self.known[slot.name])
        text += "".join(f", {self._clause(each)}" for each in told[1:])
        if self.chance.random() < 0.08:
            text += ". " + self.chance.choice(words.REPEATS).format(v=self.known[slot.name])
        self.say(text, tuple(self.known.values()))

    def _confirm(self) -> None:
        details = ", ".join(f"{_spoken(name)} {value}" for name, value in self.known.items())
        details = self.chance.choice(words.DETAILS).format(d=details) if self.chance.random() < 0.3 else ""
        open_question = self.chance.random() < 0.5
        forms = words.CONFIRM_OPEN if open_question else words.CONFIRM
        self.answer(self.goal.intent, details + self.chance.choice(forms))
        roll, short = self.chance.random(), self.chance.random() < 0.75
        if roll < 0.5:
            fine = (
                (words.NO if short else words.NOTHING_MORE) if open_question else words.YES if short else words.GO_AHEAD
            )
            self.say(self.chance.choice(fine))
            self.confirmed = True
        elif roll < 0.82:
            if self.chance.random() < 0.8:
                wrong = (words.YES if short else words.SOMETHING_MORE) if open_question else words.NO
                self.say(self.chance.choice(wrong if open_question or short else words.NOT_RIGHT))
                self.answer(self.goal.intent, self.chance.choice(words.WHAT_CHANGE))
            self._correct(self.chance.choice(sorted(self.known)))
        elif roll < 0.92:
            self.say(self.chance.choice(words.WAITS))
            self.answer(self.goal.intent, self.chance.choice(words.WAITING))
            self.say(self.chance.choice(words.BACK))
            self.confirmed = True
        else:
            self._quit()

    def _switch(self) -> None:
        """The user would rather have something else: another action on the same thing, or the same on another."""
        near = [s for s in self.offered if s is not self.goal and self.goal.thing == s.thing]
        near += [s for s in self.offered if s is not self.goal and self.goal.action == s.action]
        goal = self.chance.choice(near or [s for s in self.offered if s is not self.goal])
        form = self.chance.choice(words.INSTEAD)
        self._change_goal(goal, 0.3, form.format(request=self.chance.choice(goal.requests)))

    def _correct(self, name: str, and_then: Slot | None = None) -> None:
        slot = next(slot for slot in self.goal.slots if slot.name == name)
        self.known[name] = self._slot_value(slot)
        alone = sum(s.kind == slot.kind for s in self.goal.slots) == 1
        forms = words.FIXES if alone and self.chance.random() < 0.5 else words.CORRECTIONS
        text = self.chance.choice(forms).format(v=self.known[name], n=_spoken(name))
        if and_then is not None and and_then.name != name and self.chance.random() < 0.5:
            self.known[and_then.name] = self._slot_value(and_then)
            text += f", and {self._clause(and_then)}"
        self.say(text, tuple(self.known.values()))

    def _quit(self) -> None:
        self.say(self.chance.choice(words.QUITS))
        self.answer("give_up", self.chance.choice(words.CANCELLED))
        self._close()

    def _offer(self) -> Service | None:
        """What the assistant proposes after a call: something else on offer, mostly with the thing just found."""
        others = [s for s in self.offered if s is not self.goal and s.action != "cancel"]
        if self.later is not None or not others or self.chance.random() < 0.55:
            return None
        return next((s for s in others if s.thing == self.goal.thing), self.chance.choice(others))

    def _follow_up(self, found: str, offer: Service | None) -> None:
        """After a call: the goal put off, the offer, the same for another value, chat, the impossible, or the end."""
        roll = self.chance.random()
        if self.later is not None and roll < 0.85:
            goal, self.later, self.known = self.later, None, {}
            self._change_goal(goal, 0.7, self.chance.choice(words.THE_OTHER))
        elif offer is not None and roll < 0.75:
            if roll < 0.45:
                self._keep_found(offer, found)
                self._change_goal(offer, 0.4, self.chance.choice(words.YES))
            else:
                self.say(self.chance.choice(words.NO))
                self.answer("leave", self.chance.choice(words.CLOSING))
                self.over = True
        elif roll < 0.45 and not self.goal.transactional and (booking := self._booking()) is not None:
            self._keep_found(booking, found)
            request = self.chance.choice(words.TAKE_FOUND).format(request=self.chance.choice(booking.requests))
            self._change_goal(booking, 0.4, request)
        elif roll < 0.65 and not self.goal.transactional:
            self._again()
        elif roll < 0.75:
            self.say(self.chance.choice(words.ABOUT_RESULT))
            self.answer(self.goal.intent, self.chance.choice(words.ANSWER))
            if self.goal.transactional or self.chance.random() < 0.5:
                self._close()
            else:
                self._again()
        elif roll < 0.82:
            self.say(self.chance.choice(words.CHIT_CHAT))
            self.answer("small_talk", self.chance.choice(words.CHATS))
            self._close()
        elif roll < 0.9:
            self._ask_for_more_than_offered()
        else:
            self._close()

    def _booking(self) -> Service | None:
        """The offered tool that books what was just searched."""
        return next((s for s in self.offered if s.thing == self.goal.thing and s.action == "book"), None)

    def _keep_found(self, goal: Service, found: str) -> None:
        """What a search found is the value of the booking's parameter of that kind."""
        if found and goal.thing == self.goal.thing:
            self.known |= {slot.name: found for slot in goal.slots if slot.kind == self.goal.found}

    def _again(self) -> None:
        """The same search for another value."""
        slot = self.chance.choice([slot for slot in self.goal.slots if slot.required])
        if self.over or slot.values:
            self._close()
            return
        self.known[slot.name] = self._slot_value(slot)
        form = self.chance.choice(words.AGAIN if self.chance.random() < 0.6 else words.CORRECTIONS)
        text = form.format(c=self._clause(slot), v=self.known[slot.name], n=_spoken(slot.name))
        self.say(text, tuple(self.known.values()))

    def _ask_for_more_than_offered(self) -> None:
        absent = [service for service in SERVICES if service not in self.offered and not service.test_only]
        self.known = {}
        request = self.chance.choice(self.chance.choice(absent).requests)
        self.say(self.chance.choice(words.NOT_OFFERED).format(request=request))
        self.answer("something_else", self.chance.choice(words.DECLINED))
        self._close()

    def _close(self) -> None:
        if not self.over:
            self.say(self.chance.choice(words.THANKS))
            self.answer("leave", self.chance.choice(words.CLOSING))
        self.over = True

    # --- values ---

    def _clause(self, slot: Slot) -> str:
        return self.chance.choice(slot.clauses).format(v=self.known[slot.name])

    def _slot_value(self, slot: Slot) -> str:
        if not slot.values:
            return self._value(slot.kind)
        others = [value for value in slot.values if value != self.known.get(slot.name)]
        return self.chance.choice(others)

    def _value(self, kind: str) -> str:
        """A value that no earlier text holds and no used value is part of, so that its first mention is its own."""
        said = "\n".join(message["content"] for message in self.history) + "\n" + "\n".join(self.used)
        value = self._draw(kind)
        for _ in range(100):
            if not find_span_in_text(said, value) and not any(find_span_in_text(value, old) for old in self.used):
                break
            value = self._draw(kind)
        self.used.append(value)
        return value

    def _draw(self, kind: str) -> str:
        choice, roll = self.chance.choice, self.chance.random()
        if kind == "city":
            return choice(words.CITIES) if roll < 0.4 else f"{choice(words.PLACES)} {choice(words.NAMES)}"
        if kind == "date":
            day, month = self.chance.randint(1, 30), choice(words.MONTHS)
            return choice(words.DAYS) if roll < 0.35 else f"the {_ordinal(day)} of {month}"
        if kind == "time":
            clock = f"{self.chance.randint(1, 12)}:{choice(('00', '15', '30', '45'))} {choice(('am', 'pm'))}"
            return choice(words.TIMES) if roll < 0.3 else clock
        if kind == "person":
            return f"{choice(words.FIRST)} {choice(words.LAST)}"
        if kind in HANDED_ON:
            return f"{choice(words.ADJECTIVES)} {choice(words.NOUNS)}"
        return choice(words.VALUES[kind])


def _ordinal(day: int) -> str:
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _misspell(text: str, values: tuple[str, ...], chance: random.Random) -> str:
    """One or two slips in words that are not part of a value: a dropped, doubled, swapped or wrong letter."""
    taken = [span for value in values if (span := find_span_in_text(text, value))]
    places = [
        index
        for index in range(1, len(text) - 1)
        if text[index - 1 : index + 2].isalpha() and not any(start - 1 <= index <= end for start, end in taken)
    ]
    for index in sorted(chance.sample(places, min(len(places), chance.randint(1, 2))), reverse=True):
        letter, after = text[index], text[index + 1]
        slip = chance.choice(("", letter + letter, after + letter, chance.choice(string.ascii_lowercase)))
        tail = index + 2 if slip == after + letter else index + 1
        text = text[:index] + slip + text[tail:]
    return text
