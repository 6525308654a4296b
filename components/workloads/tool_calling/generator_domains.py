"""The small world of the embedded dialogues: tools, their parameters, and how people ask for them."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A tool. `transactional` ones are confirmed before they are called; `found` is what a result names."""

    name: str
    description: str
    requests: tuple[str, ...]
    slots: tuple[Slot, ...]
    transactional: bool
    found: str = "place"
    test_only: bool = False


def _city(name: str, description: str, clauses: tuple[str, ...], asks: tuple[str, ...]) -> Slot:
    return Slot(name, description, "city", clauses, asks)


_ORIGIN = _city(
    "origin",
    "City where the journey starts",
    ("from {v}", "leaving from {v}", "starting in {v}", "out of {v}"),
    ("Where do you leave from?", "Which city do you start in?", "And the departure city?"),
)
_DESTINATION = _city(
    "destination",
    "City where the journey ends",
    ("to {v}", "going to {v}", "bound for {v}", "heading for {v}"),
    ("Where do you want to go?", "What is your destination?", "And where to?"),
)
_CITY = _city(
    "city",
    "City to search in",
    ("in {v}", "around {v}", "near {v}", "over in {v}"),
    ("In which city?", "Which city should I look in?", "Where should that be?"),
)
_DATE = Slot(
    "date",
    "Day on which it takes place",
    "date",
    ("for {v}", "{v}", "if possible {v}", "let us say {v}"),
    ("Which day?", "On what date?", "When should that be?"),
)
_TIME = Slot(
    "time",
    "Time of the day",
    "time",
    ("at {v}", "around {v}", "not later than {v}"),
    ("At what time?", "Which time suits you?", "What time should I note?"),
)
_GUESTS = Slot(
    "party_size",
    "Number of people",
    "count",
    ("for {v} people", "we are {v}", "{v} of us"),
    ("For how many people?", "How many of you will come?", "What is the size of the party?"),
)
_NIGHTS = Slot(
    "nights",
    "Length of the stay in nights",
    "count",
    ("for {v} nights", "staying {v} nights", "{v} nights"),
    ("How many nights?", "How long will you stay?", "For how long?"),
)
_CABIN = Slot(
    "cabin",
    "Class of travel",
    "closed",
    ("in {v} class", "{v} class", "flying {v}"),
    (),
    required=False,
    values=("economy", "business", "first"),
    default="economy",
)
_ACCOUNT = Slot(
    "account",
    "Bank account to use",
    "closed",
    ("my {v} account", "from the {v} account", "using {v}"),
    (),
    required=False,
    values=("checking", "savings"),
    default="checking",
)
_LOUDNESS = Slot(
    "volume",
    "Loudness from 1 to 12",
    "count",
    ("volume {v}", "with the volume at {v}", "loudness {v}"),
    ("How loud?", "At what volume?", "Which volume?"),
)
_LEVEL = Slot(
    "price_level",
    "How expensive it may be",
    "closed",
    ("something {v}", "{v} prices", "rather {v}"),
    (),
    required=False,
    values=("cheap", "moderate", "fancy"),
    default="moderate",
)


SERVICES = (
    Service(
        "flights.search",
        "Find flights between two cities",
        ("I need a flight", "find me a plane ticket", "can you look up flights", "I want to fly"),
        (_ORIGIN, _DESTINATION, _DATE, _CABIN),
        False,
        "flight",
    ),
    Service(
        "trains.search",
        "Find train connections between two cities",
        ("I need a train", "look up a rail connection", "which trains are there", "I would rather take the train"),
        (_ORIGIN, _DESTINATION, _DATE),
        False,
        "train",
    ),
    Service(
        "hotels.search",
        "Find hotels in a city",
        ("find me a hotel", "I am looking for a place to sleep", "which hotels are there", "search hotels"),
        (_CITY, _LEVEL, _DATE),
        False,
        "hotel",
    ),
    Service(
        "hotels.book",
        "Book a room in a hotel that is named",
        ("book a room", "reserve a hotel room", "I want to stay", "get me a room"),
        (
            Slot(
                "hotel",
                "Name of the hotel",
                "hotel",
                ("at the {v}", "in the {v}", "the {v} it is"),
                ("Which hotel?", "What is the name of the hotel?", "At which house?"),
            ),
            _DATE,
            _NIGHTS,
        ),
        True,
        "hotel",
    ),
    Service(
        "restaurants.search",
        "Find restaurants by city and cuisine",
        ("I am hungry", "find a restaurant", "where can we eat", "suggest somewhere to dine"),
        (
            _CITY,
            Slot(
                "cuisine",
                "Kind of food",
                "cuisine",
                ("serving {v} food", "{v} cuisine", "something {v}"),
                ("What kind of food?", "Which cuisine do you fancy?", "What would you like to eat?"),
            ),
            _LEVEL,
            _GUESTS,
        ),
        False,
        "restaurant",
    ),
    Service(
        "restaurants.reserve",
        "Reserve a table at a restaurant that is named",
        ("reserve a table", "book us a table", "I want a table", "we would like to have dinner"),
        (
            Slot(
                "restaurant",
                "Name of the restaurant",
                "restaurant",
                ("at the {v}", "the {v} would be great", "in the {v}"),
                ("Which restaurant?", "At which place?", "What is the restaurant called?"),
            ),
            _GUESTS,
            _TIME,
        ),
        True,
        "restaurant",
    ),
    Service(
        "bank.transfer",
        "Send money to a person",
        ("send some money", "make a transfer", "I have to pay somebody back", "wire money"),
        (
            Slot(
                "amount",
                "Sum of money to send",
                "amount",
                ("{v}", "an amount of {v}", "{v} in total"),
                ("How much?", "What amount?", "Which sum shall I send?"),
            ),
            Slot(
                "recipient",
                "Person who gets the money",
                "person",
                ("to {v}", "{v} should get it", "for {v}"),
                ("To whom?", "Who is the recipient?", "Who should get it?"),
            ),
            _ACCOUNT,
        ),
        True,
        "transfer",
    ),
    Service(
        "bank.balance",
        "Tell how much money is in an account",
        ("how much money do I have", "check my balance", "what is left in the bank", "tell me my balance"),
        (
            Slot(
                "account",
                "Bank account to use",
                "closed",
                ("in {v}", "my {v} account", "the {v} one"),
                ("Which account?", "Checking or savings?", "For which of your accounts?"),
                values=("checking", "savings"),
            ),
        ),
        False,
        "balance",
    ),
    Service(
        "home.thermostat",
        "Set the temperature of a room",
        ("I am freezing", "change the heating", "set the thermostat", "adjust the temperature"),
        (
            Slot(
                "room",
                "Room of the house",
                "room",
                ("in the {v}", "the {v} please", "for the {v}"),
                ("Which room?", "In what room?", "Where in the house?"),
            ),
            Slot(
                "temperature",
                "Target temperature",
                "degrees",
                ("to {v}", "make it {v}", "{v} would be good"),
                ("How warm?", "What temperature?", "To how many degrees?"),
            ),
            _TIME,
        ),
        False,
        "setting",
    ),
    Service(
        "music.play",
        "Play music of a genre in a room",
        ("play some music", "I want to hear something", "put on a record", "start the music"),
        (
            Slot(
                "genre",
                "Style of the music",
                "genre",
                ("some {v}", "{v} please", "I am in the mood for {v}"),
                ("Which style?", "What genre?", "What would you like to hear?"),
            ),
            Slot(
                "room",
                "Room of the house",
                "room",
                ("in the {v}", "over the speakers of the {v}", "for the {v}"),
                ("Which room?", "In what room?", "Where in the house?"),
            ),
            _LOUDNESS,
        ),
        False,
        "playlist",
    ),
    Service(
        "calendar.remind",
        "Set a reminder for a task",
        ("remind me", "set a reminder", "I must not forget something", "note a reminder"),
        (
            Slot(
                "task",
                "What to be reminded of",
                "chore",
                ("to {v}", "that I have to {v}", "I need to {v}"),
                ("What about?", "What should I remind you of?", "Which task?"),
            ),
            _DATE,
            _TIME,
        ),
        True,
        "reminder",
    ),
    Service(
        "weather.forecast",
        "Give the weather forecast of a city",
        ("what will the weather be", "do I need an umbrella", "give me the forecast", "is it going to rain"),
        (_CITY, _DATE, _TIME),
        False,
        "forecast",
    ),
    Service(
        "ferries.search",
        "Find ferries between two cities",
        ("I need a ferry", "look for a boat", "which ferries are sailing", "I want to go by ship"),
        (_ORIGIN, _DESTINATION, _DATE),
        False,
        "ferry",
        test_only=True,
    ),
    Service(
        "doctors.book",
        "Make an appointment with a doctor",
        ("I need to see a doctor", "make an appointment", "get me a medical appointment", "I do not feel well"),
        (
            Slot(
                "specialty",
                "Kind of doctor",
                "specialty",
                ("with a {v}", "a {v}", "preferably a {v}"),
                ("What kind of doctor?", "Which specialty?", "Whom do you need to see?"),
            ),
            _CITY,
            _DATE,
        ),
        True,
        "appointment",
        test_only=True,
    ),
    Service(
        "groceries.order",
        "Order groceries for delivery",
        ("order groceries", "we ran out of something", "put in a grocery order", "I need a delivery from the shop"),
        (
            Slot(
                "item",
                "Article to order",
                "goods",
                ("some {v}", "{v}", "we need {v}"),
                ("What do you need?", "Which article?", "What shall I order?"),
            ),
            Slot(
                "quantity",
                "Number of packs",
                "count",
                ("{v} packs", "{v} of them", "make that {v}"),
                ("How many?", "What quantity?", "How many packs?"),
            ),
            _DATE,
        ),
        True,
        "order",
        test_only=True,
    ),
    Service(
        "events.tickets",
        "Buy tickets for an event",
        ("get tickets", "I want to go to an event", "buy tickets", "we want to see something"),
        (
            Slot(
                "event",
                "Name of the event",
                "event",
                ("for {v}", "to see {v}", "{v}"),
                ("Which event?", "What would you like to see?", "For which event?"),
            ),
            Slot(
                "tickets",
                "Number of tickets",
                "count",
                ("{v} tickets", "{v} seats", "for {v}"),
                ("How many tickets?", "How many seats?", "For how many?"),
            ),
        ),
        True,
        "ticket",
        test_only=True,
    ),
)

# A search whose result is then booked: (search, booking, the booking's slot that takes the name found).
CHAINS = {"hotels.search": ("hotels.book", "hotel"), "restaurants.search": ("restaurants.reserve", "restaurant")}
