"""The words of the embedded dialogues: values by kind, and what the two sides say."""

from __future__ import annotations

CITIES = (
    *("Lisbon", "Porto", "Madrid", "Lyon", "Paris", "Turin", "Rome", "Naples", "Vienna", "Prague", "Warsaw", "Berlin"),
    *("Munich", "Zurich", "Oslo", "Stockholm", "Malmö", "Dublin", "Glasgow", "New York", "San Diego", "São Paulo"),
)
PLACES = ("Port", "Saint", "North", "East", "New", "Upper", "Old", "Fort", "Lake", "Mount", "West", "Little", "Santa")
NAMES = (
    *("Anselm", "Haven", "Elmo", "Bridge", "Marten", "Lucia", "Valley", "Hollow", "Ambrose", "Cross", "Mill", "Falls"),
    *("Rosa", "Field", "Clement", "Ridge", "Aston", "Harbour", "Springs", "Vale", "Meadow", "Oak", "Dover", "Clara"),
)
DAYS = ("tomorrow", "tonight", "next Monday", "next Friday", "this Saturday", "Sunday", "Wednesday", "Thursday")
MONTHS = ("January", "March", "April", "May", "June", "July", "August", "September", "October", "December")
TIMES = ("noon", "half past six", "quarter to nine", "9 o'clock", "midnight")
COUNTS = ("2", "3", "4", "5", "6", "two", "three", "four", "five", "six", "eight", "11", "twelve")
FIRST = (
    *("Ana", "Ben", "Carla", "Dmitri", "Eva", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kavya", "Luis", "Mei"),
    *("Nora", "Omar", "Paula", "Quentin", "Rita", "Samir", "Tess", "Ugo", "Vera", "Walter", "Yara"),
)
LAST = (
    *("Almeida", "Brandt", "Costa", "Dvorak", "Eriksen", "Fischer", "Gomez", "Hansen", "Ivanova", "Jansen", "Kaya"),
    *("Larsen", "Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Varga", "Weber"),
)
ADJECTIVES = (
    *("Golden", "Silent", "Blue", "Crooked", "Hungry", "Painted", "Velvet", "Lucky", "Green", "Copper", "Merry"),
    *("Quiet", "Royal", "Rusty", "Sleepy", "Twin", "White", "Wild", "Proud", "Ivory"),
)
NOUNS = (
    *("Lantern", "Fig", "Kettle", "Fox", "Garden", "Anchor", "Pepper", "Orchard", "Spoon", "Bell", "Crown", "Heron"),
    *("Lion", "Olive", "Pear", "Rose", "Swan", "Table", "Wheel", "Willow"),
)
CUISINES = ("Thai", "Ethiopian", "Greek", "Korean", "vegan", "seafood", "Peruvian", "Lebanese", "ramen", "barbecue")

VALUES = {"count": COUNTS, "cuisine": CUISINES}

# What the user wants when it is none of the tools' doings.
OTHER_INTENTS = {
    "small_talk": "chat politely",
    "give_up": "no longer want it",
    "something_else": "want what no tool here can do",
    "leave": "be done and say goodbye",
}

# --- the user ---------------------------------------------------------------------------------------------------------

GREETINGS = ("hello there", "hi, are you awake?", "good morning", "hey, how are you doing?", "hi! nice to meet you")
BEFORE = ("", "", "", "", "please ", "so, ")
AFTER = ("", "", "", "", " please", ", thanks")
ANSWERS = ("{c}", "{v}", "{v} please", "{v}, I think", "{c}, thanks")
FIXES = ("no, make it {v}", "sorry, {v} of course")
REPEATS = ("yes, I said {v}", "as I told you, {v}", "{v}, like I said")
CORRECTIONS = ("sorry, I meant {v} for the {n}", "no, change the {n} to {v}", "actually make the {n} {v}")
# "yes" and "no" alone decide nothing: what they mean hangs on how the assistant asked.
YES = ("yes", "yep", "yes please", "sure", "yes, I do", "of course")
NO = ("no", "nope", "no thanks", "not really", "no no", "no, it is fine")
GO_AHEAD = ("yes, go ahead", "sounds right, do it", "perfect, go on")
NOTHING_MORE = ("no, that is all", "no changes", "no, leave it like that")
SOMETHING_MORE = ("yes, one thing", "yes, hold on a second", "yep, wait")
NOT_RIGHT = ("no, that is wrong", "not quite", "no, there is a mistake")
WAITS = ("one moment, let me ask my wife", "not yet, I have to check something", "give me a minute")
BACK = ("okay, I am back, go ahead", "thanks for waiting, yes", "now it is fine, do it")
QUITS = ("never mind", "forget it", "stop, I do not want it any more", "no thanks, not any more")
QUESTIONS = ("does it cost extra?", "what do you recommend?", "how long does this take?", "why do you need the {n}?")
ABOUT_RESULT = ("is it any good?", "what is the address?", "how much is it?", "is there a discount?")
AGAIN = ("and {c}?", "what about {v}?", "now the same {c}", "try {v} instead", "and how about {c}?")
TAKE_FOUND = ("great, {request} there", "I like it, {request}", "good, {request} then")
THANKS = ("thanks", "thank you, bye", "that is all I needed", "no, that is it", "no thanks, I am done")
CHIT_CHAT = ("do you ever sleep?", "tell me a joke", "you are funny", "I had a terrible day", "are you a robot?")
BOTH = (
    *("first {now}, and after that {later}", "two wishes: {now}, and then {later}", "{now} and later {later}"),
    *("{later}, but first {now}", "{later}, though before that {now}", "later {later}, now {now}"),
)
THE_OTHER = ("now the other thing", "okay, and the second wish", "next please")
INSTEAD = ("no, rather {request}", "{request} instead", "forget that, {request}", "I changed my mind: {request}")
ASIDES = (
    *("my sister lives in {v}", "last year I was in {v}", "my boss is from {v}", "I am calling from {v}"),
    *("we just came back from {v}", "everybody talks about {v}"),
)
NOT_OFFERED = ("can you also {request}?", "by the way, {request}", "one more thing: {request}", "and {request} too")

# --- the assistant ----------------------------------------------------------------------------------------------------

CONFIRM = ("Shall I go ahead?", "Is that right?", "All correct?")
CONFIRM_OPEN = ("Anything to change?", "Is anything wrong?", "Anything to correct?")
DETAILS = ("I have {d}. ", "Noted: {d}. ")
FOUND = ("I found {r}.", "There is {r}.", "How about {r}?")
DONE = ("Done: {r}.", "That is settled, {r}.", "All set: {r}.")
OFFER = (" Shall I {offer} as well?", " Do you also want me to {offer}?", " Should I {offer} too?")
MORE = ("", "", " Anything else?")
ANSWER = ("I do not know that.", "Usually yes.", "Not at all.")
CHATS = ("Ha, I am only a program, but thank you!", "I am well. What can I do for you?", "Always at your service.")
CANCELLED = ("No problem, I dropped it.", "Fine, forgotten. Anything else?", "Understood, I will not do it.")
WAITING = ("Take your time.", "No hurry.")
WHAT_CHANGE = ("What should I change?", "Tell me what to change.", "What is wrong?")
DECLINED = (
    "I am sorry, I cannot do that here.",
    "That is not something I have a tool for.",
    "I cannot help with that.",
)
CLOSING = ("You are welcome!", "Have a nice day!", "Glad to help. Goodbye!")
