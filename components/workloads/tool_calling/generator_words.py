"""The words of the embedded dialogues: values by kind, and what the two sides say."""

from __future__ import annotations

CITIES = (
    *("Lisbon", "Porto", "Madrid", "Seville", "Lyon", "Paris", "Nice", "Turin", "Rome", "Naples", "Vienna", "Graz"),
    *("Prague", "Brno", "Warsaw", "Gdansk", "Berlin", "Hamburg", "Munich", "Cologne", "Zurich", "Geneva", "Oslo"),
    *("Bergen", "Stockholm", "Malmö", "Copenhagen", "Aarhus", "Helsinki", "Turku", "Dublin", "Cork", "Glasgow"),
    *("New York", "San Diego", "Los Angeles", "São Paulo", "Buenos Aires", "Cape Town", "Abu Dhabi"),
)
DATES = (
    *("tomorrow", "tonight", "next Monday", "next Friday", "this Saturday", "Sunday", "the 3rd of May", "June 5th"),
    *("the 14th", "March 21st", "Wednesday", "the day after tomorrow", "the 27th of July", "October 9th", "Thursday"),
)
TIMES = ("noon", "half past six", "7:15 pm", "8 am", "quarter to nine", "6:30 pm", "9 o'clock", "10:45 am", "midnight")
COUNTS = ("2", "3", "4", "5", "6", "two", "three", "four", "five", "six", "eight", "11", "twelve")
FIRST = ("Ana", "Ben", "Carla", "Dmitri", "Eva", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kavya", "Luis", "Mei")
LAST = ("Almeida", "Brandt", "Costa", "Dvorak", "Eriksen", "Fischer", "Gomez", "Hansen", "Ivanova", "Jansen", "Kaya")
AMOUNTS = ("$40", "$75", "$120", "$260", "90 euros", "310 euros", "55 pounds", "$1,200", "15 euros", "800 dollars")
ADJECTIVES = ("Golden", "Silent", "Little", "Blue", "Crooked", "Old", "Hungry", "Painted", "Velvet", "Lucky", "Green")
NOUNS = ("Lantern", "Harbour", "Fig", "Kettle", "Fox", "Garden", "Anchor", "Pepper", "Bridge", "Orchard", "Spoon")
CUISINES = ("Thai", "Ethiopian", "Greek", "Korean", "vegan", "seafood", "Peruvian", "Lebanese", "ramen", "barbecue")
GENRES = ("jazz", "punk", "techno", "folk", "opera", "blues", "hip hop", "ambient", "salsa", "chamber music")
ROOMS = ("kitchen", "bedroom", "living room", "hallway", "garage", "nursery", "study", "attic", "bathroom")
DEGREES = ("17 degrees", "18.5 degrees", "19 degrees", "20 degrees", "21 degrees", "22.5 degrees", "24 degrees")
CHORES = (
    "water the plants",
    "call the plumber",
    "renew my passport",
    "pay the rent",
    "pick up the parcel",
    "feed the cat",
)
GOODS = ("oat milk", "sourdough bread", "red apples", "washing powder", "basmati rice", "dark chocolate", "light bulbs")
SPECIALTIES = ("dentist", "dermatologist", "cardiologist", "eye doctor", "physiotherapist", "allergist")
EVENTS = ("the derby", "the tango gala", "the science fair", "the comedy night", "the marathon", "the book fair")

VALUES = {
    "city": CITIES,
    "date": DATES,
    "time": TIMES,
    "count": COUNTS,
    "amount": AMOUNTS,
    "cuisine": CUISINES,
    "genre": GENRES,
    "room": ROOMS,
    "degrees": DEGREES,
    "chore": CHORES,
    "goods": GOODS,
    "specialty": SPECIALTIES,
    "event": EVENTS,
}

INTENTS = {
    "ask_value": "ask the user for a value that is still missing",
    "confirm_details": "read the details back and ask for a go-ahead",
    "look_up": "search or read something with a tool",
    "carry_out": "carry out a confirmed order with a tool",
    "answer_question": "answer a question from what is known",
    "small_talk": "chat politely",
    "cancel": "stop because the user no longer wants it",
    "wait": "wait because the user needs a moment",
    "decline": "explain that no tool can do this",
    "close": "say goodbye",
}

# --- the user ---------------------------------------------------------------------------------------------------------

GREETINGS = ("hello there", "hi, are you awake?", "good morning", "hey, how are you doing?", "hi! nice to meet you")
BEFORE = ("", "", "", "so, ", "well, ", "please ", "hi, ", "hello, ", "okay, ", "listen, ", "could you help? ")
AFTER = ("", "", "", " please", ", thanks", " if you can", ", would you?", " for me")
ANSWERS = (
    "{c}",
    "{v}",
    "{v} please",
    "{v}, I think",
    "I would say {v}",
    "{c}, thanks",
    "let me see... {v}",
    "{c} please",
)
REPEATS = ("yes, I said {v}", "as I told you, {v}", "{v}, like I said")
CORRECTIONS = (
    *("sorry, I meant {v} for the {n}", "wait, the {n} should be {v}", "actually make the {n} {v}"),
    *("no, change the {n} to {v}", "{v} instead, I mixed up the {n}", "hmm, better {v} as the {n}"),
)
# "yes" and "no" alone decide nothing: what they mean hangs on how the assistant asked.
YES = ("yes", "yep", "yes please", "sure", "yes, I do", "of course", "yes, exactly", "right")
NO = ("no", "nope", "no thanks", "no, it is not", "not really", "no no", "nothing", "no, it is fine")
GO_AHEAD = (
    *("yes please", "yes, go ahead", "sounds right, do it", "correct", "perfect, go on", "that is all right with me"),
    *("do that", "fine by me", "exactly"),
)
NOTHING_MORE = ("no, that is all", "nope, it is fine", "no changes", "no, leave it like that", "all as it should be")
SOMETHING_MORE = ("yes, one thing", "yes, I think so", "hm, there is", "yes, hold on a second", "yep, wait")
NOT_RIGHT = ("no, that is wrong", "not quite", "no, there is a mistake", "hm, no", "that is not what I said")
WAITS = (
    *("one moment, let me ask my wife", "not yet, I have to check something", "hold on a second", "give me a minute"),
    *("wait, I need to look at my calendar", "do not do it just yet"),
)
BACK = ("okay, I am back, go ahead", "alright, you can do it now", "thanks for waiting, yes", "now it is fine, do it")
QUITS = (
    *("never mind", "forget it", "no, I changed my mind", "let us leave it", "stop, I do not want it any more"),
    *("no, cancel that", "no thanks, not any more"),
)
QUESTIONS = (
    *("does it cost extra?", "is that far from the centre?", "what do you recommend?", "how long does this take?"),
    *("can I cancel it later?", "what did I say for the {n}?", "why do you need the {n}?", "do they speak English?"),
)
ABOUT_RESULT = (
    *("is it any good?", "what is the address?", "how much is it?", "do you have a phone number?"),
    *("when does it open?", "which one is the cheapest?", "is there a discount?", "what about breakfast?"),
    *("and how about parking?", "and the price?", "what about the view?", "try to describe it", "and what about pets?"),
)
AGAIN = ("and {c}?", "what about {v}?", "now the same {c}", "try {v} instead", "and how about {c}?")
TAKE_FOUND = (
    "great, {request} there",
    "I like it, {request}",
    "perfect, {request} then",
    "good, {request} at that one",
)
THANKS = (
    *("thanks", "thank you, bye", "that is all I needed", "great, thank you so much", "no, that is it", "cheers"),
    *("wonderful, have a nice day", "no thanks, I am done"),
)
CHIT_CHAT = (
    *("do you ever sleep?", "tell me a joke", "my dog is barking at you", "what a week it has been", "you are funny"),
    *("I had a terrible day", "are you a robot?"),
)
NOT_OFFERED = ("can you also {request}?", "by the way, {request}", "one more thing: {request}", "and {request} too")

# --- the assistant ----------------------------------------------------------------------------------------------------

CONFIRM = (
    *("So that is {d}. Shall I go ahead?", "To confirm: {d}. Is that right?", "I have {d}. Do you want me to do it?"),
    *("Let me repeat: {d}. All correct?",),
)
CONFIRM_OPEN = (
    *("So that is {d}. Anything to change?", "I have {d}. Do you want to change something?"),
    *("Noted: {d}. Is anything missing or wrong?", "{d}. Should I correct anything before I do it?"),
)
FOUND = ("I found {r}.", "There is {r}.", "How about {r}?", "The best match is {r}.")
DONE = ("Done: {r}.", "That is settled, {r}.", "All set: {r}.")
MORE = ("", "", " Anything else?", " Can I do something else for you?", " Do you want to know more?")
ANSWER = ("I am afraid I do not know that.", "That depends, but usually yes.", "No, not at all.", "About as usual.")
CHATS = ("Ha, I am only a program, but thank you!", "I am well. What can I do for you?", "Always at your service.")
CANCELLED = ("No problem, I dropped it.", "Fine, forgotten. Anything else?", "Understood, I will not do it.")
WAITING = ("Take your time.", "Sure, tell me when you are ready.", "No hurry.")
WHAT_CHANGE = ("What should I change?", "Tell me what to change.", "What is wrong?")
DECLINED = (
    "I am sorry, I cannot do that here.",
    "That is not something I have a tool for.",
    "I cannot help with that.",
)
CLOSING = ("You are welcome!", "Have a nice day!", "Glad to help. Goodbye!")
