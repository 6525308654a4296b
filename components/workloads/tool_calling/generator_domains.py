"""The small world of the embedded dialogues: tools, their parameters, and how people ask for them.

A tool is an action on a kind of thing (`trains.book`, `hotels.cancel`), so that tools share words with each other and a
tool of the test split is a new combination of an action and a thing that training showed apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.workloads.tool_calling.generator_words import OTHER_INTENTS


@dataclass(frozen=True)
class Slot:
    """A parameter with its way of speaking. `clauses` state the value inside a request; `asks` are the assistant's
    questions. `values` closes the set; `default` is what the service assumes when nobody says anything."""

    name: str
    description: str
    kind: str
    clauses: tuple[str, ...]
    asks: tuple[str, ...]
    required: bool = True
    values: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True)
class Service:
    """A tool. `transactional` ones are confirmed before they are called; `found` is what a result names; `offer` is
    what the assistant says when it proposes to use it."""

    name: str
    description: str
    requests: tuple[str, ...]
    slots: tuple[Slot, ...]
    transactional: bool
    found: str
    offer: str
    test_only: bool = False

    @property
    def thing(self) -> str:
        return self.name.split(".")[0]

    @property
    def intent(self) -> str:
        return f"{self.action}_{self.thing}"

    @property
    def action(self) -> str:
        return self.name.split(".")[1]


_ORIGIN = Slot(
    "origin",
    "City where the journey starts",
    "city",
    ("from {v}", "leaving from {v}"),
    ("Where do you leave from?", "From which city?"),
)
_DESTINATION = Slot(
    "destination",
    "City where the journey ends",
    "city",
    ("to {v}", "going to {v}"),
    ("Where do you want to go?", "To which city?"),
)
_CITY = Slot(
    "city",
    "City to search in",
    "city",
    ("in {v}", "near {v}"),
    ("In which city?", "Where should that be?"),
)
_DATE = Slot(
    "date",
    "Day on which it takes place",
    "date",
    ("on {v}", "let us say {v}"),
    ("Which day?", "On what date?"),
)
_TIME = Slot(
    "time",
    "Time of the day",
    "time",
    ("at {v}", "not later than {v}"),
    ("At what time?", "Which time suits you?"),
)
_NAME = Slot(
    "name",
    "Person the booking is made out to",
    "person",
    ("under the name {v}", "the name is {v}"),
    ("Under which name?", "What name was it?"),
)
_LEVEL = Slot(
    "price_level",
    "How expensive it may be",
    "closed",
    ("something {v}", "{v} prices"),
    (),
    required=False,
    values=("cheap", "moderate", "fancy"),
    default="moderate",
)


def _count(name: str, description: str, clauses: tuple[str, ...], asks: tuple[str, ...]) -> Slot:
    return Slot(name, description, "count", clauses, asks)


_PEOPLE = _count(
    "people",
    "Number of people",
    ("for {v} people", "{v} of us"),
    ("For how many people?", "How many of you will come?"),
)
_NIGHTS = _count(
    "nights",
    "Length of the stay in nights",
    ("for {v} nights", "staying {v} nights"),
    ("How many nights?", "How long will you stay?"),
)


def _named(name: str, description: str, kind: str, thing: str) -> Slot:
    clauses = ("at the {v}", "in the {v}")
    return Slot(name, description, kind, clauses, (f"Which {thing}?", f"What is the {thing} called?"))


_CUISINE = Slot(
    "cuisine",
    "Kind of food",
    "cuisine",
    ("with {v} food", "{v} cuisine"),
    ("What kind of food?", "Which cuisine?"),
)
_HOTEL = _named("house", "Name of the house to stay in", "house", "house")
_RESTAURANT = _named("restaurant", "Name of the restaurant", "restaurant", "restaurant")

TRIP = {"search": (_ORIGIN, _DESTINATION, _DATE), "book": (_ORIGIN, _DESTINATION, _DATE, _PEOPLE)}
STAY = {"search": (_CITY, _DATE, _LEVEL), "book": (_HOTEL, _DATE, _NIGHTS)}
MEAL = {"search": (_CITY, _CUISINE, _LEVEL), "book": (_RESTAURANT, _PEOPLE, _TIME)}
SHOW = {"search": (_CITY, _DATE), "book": (_CITY, _DATE, _PEOPLE)}
VISIT = {"search": (_CITY, _TIME), "book": (_CITY, _DATE, _TIME)}

# thing: (one of it, many of it, the word of a booking, what a result names, slots by action)
THINGS = {
    "flights": ("a flight", "flights", "flight", "flight", TRIP),
    "trains": ("a train", "trains", "train", "train", TRIP),
    "buses": ("a bus", "buses", "bus", "bus", TRIP),
    "hotels": ("a hotel", "hotels", "hotel", "house", STAY),
    "hostels": ("a hostel", "hostels", "hostel", "house", STAY),
    "restaurants": ("a restaurant", "restaurants", "restaurant", "restaurant", MEAL),
    "concerts": ("a concert", "concerts", "concert", "concert", SHOW),
    "doctors": ("a doctor", "doctors", "doctor", "doctor", VISIT),
}
ACTIONS = {
    "search": ("Find {many}", ("find me {one}", "look up {many}", "show me {many}")),
    "book": ("Book {one}", ("book {one}", "reserve {one}", "I want to book {one}")),
    "cancel": ("Cancel {one}", ("cancel my {word}", "call off my {word}", "I must cancel {one}")),
}
OFFERS = {"search": "look up {many}", "book": "book {one}", "cancel": "cancel the {word}"}
TEST_ONLY = frozenset({"buses.cancel", "hostels.search", "concerts.book", "doctors.cancel"})


def _service(thing: str, action: str) -> Service:
    one, many, word, found, slots = THINGS[thing]
    description, requests = ACTIONS[action]
    name, forms = f"{thing}.{action}", {"one": one, "many": many, "word": word}
    wanted = slots.get(action, (_NAME, _DATE))
    return Service(
        name,
        description.format(**forms),
        tuple(request.format(**forms) for request in requests),
        wanted,
        action != "search",
        found if action == "search" else f"{word} number",
        OFFERS[action].format(**forms),
        name in TEST_ONLY,
    )


SERVICES = tuple(_service(thing, action) for thing in THINGS for action in ACTIONS)
# What a search finds and a booking takes: the booking's slot that holds the name of what was found.
HANDED_ON = {"house", "restaurant"}
INTENTS = {service.intent: service.description.lower() for service in SERVICES} | OTHER_INTENTS
