"""What the embedded users write about: exchanges of a question and answers, with places to fill in.

`{day}` and the like are filled with a user's own favourites; what is filled into a question stays the same in its
answers, so that earlier messages help to foretell later ones. `{mood}` is where an emoji of the topic may stand.
"""

from __future__ import annotations

SLOTS = {
    "en": {
        "day": ("today", "tonight", "tomorrow", "monday", "tuesday", "friday", "saturday", "sunday", "next week"),
        "place": ("the station", "the library", "the new cafe", "the park", "my place", "the cinema", "the market"),
        "food": ("pizza", "noodles", "chicken rice", "dumplings", "sushi", "salad", "soup", "curry", "pancakes"),
        "person": ("Anna", "Ben", "Chloe", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jun", "mum", "dad"),
        "thing": ("the tickets", "my charger", "the keys", "an umbrella", "the notes", "some water", "the camera"),
        "subject": ("maths", "history", "biology", "english", "physics", "music", "the report", "the slides"),
        "film": ("the new film", "the concert", "the match", "the show", "the game"),
    },
    "zh": {
        "day": ("今天", "今晚", "明天", "后天", "星期一", "星期五", "周末", "下个星期"),
        "place": ("车站", "图书馆", "公园", "我家", "电影院", "学校门口", "超市"),
        "food": ("面条", "饺子", "火锅", "米饭", "蛋糕", "水果", "咖啡"),
        "person": ("小王", "小李", "老师", "妈妈", "爸爸", "姐姐", "小明"),
        "thing": ("票", "钥匙", "雨伞", "书", "手机", "水"),
        "subject": ("数学", "历史", "英语", "作业", "报告"),
        "film": ("新电影", "比赛", "音乐会", "电视"),
    },
}
"""Language -> slot -> what may fill it."""

NUMBERS = {"time": "clock", "price": "money", "count": "small", "room": "room"}
"""Slot -> the kind of number that fills it."""

MOODS = {
    "meet": ("😊", "👍", "🙂"),
    "food": ("😋", "🍕", "🍜"),
    "study": ("😅", "📚", "😴"),
    "travel": ("🚗", "✈", "🚌"),
    "film": ("🎬", "🎉", "😎"),
    "love": ("❤", "😘", "😍"),
    "sad": ("😢", "😔", "🙏"),
    "shop": ("🛒", "💰", "🎁"),
}
"""Topic -> emoji that go with it; each user prefers one of them."""

EXCHANGES = {
    "en": (
        (
            "meet",
            "are you free {day}? we could meet at {place}",
            (
                "yes, {day} is fine, see you at {place} {mood}",
                "sorry, not {day}, i have to help {person}",
                "ok, at {time}? i will wait at {place} {mood}",
            ),
        ),
        (
            "meet",
            "what time shall we meet {day}?",
            ("let us meet at {time} {mood}", "{time} is good for me", "maybe {time}, i will call you when i leave"),
        ),
        (
            "meet",
            "where are you now?",
            (
                "i am at {place} with {person}",
                "on my way to {place}, {count} minutes {mood}",
                "still at home, give me {count} minutes",
            ),
        ),
        (
            "food",
            "do you want to have {food} {day}?",
            (
                "yes, i love {food} {mood}",
                "i had {food} yesterday, how about {food2}?",
                "sure, the {food} at {place} is only ${price} {mood}",
            ),
        ),
        (
            "food",
            "what did you have for lunch?",
            (
                "i had {food} with {person} {mood}",
                "just some {food}, i was in a hurry",
                "nothing yet, want to get {food}?",
            ),
        ),
        (
            "study",
            "did you finish {subject}?",
            (
                "not yet, {subject} is so hard {mood}",
                "yes, {count} pages in one night {mood}",
                "almost, can i send you my part of {subject} {day}?",
            ),
        ),
        (
            "study",
            "which room has {subject} {day}?",
            ("room {room}, the lecture starts at {time}", "it is in room {room} {mood}", "no idea, ask {person}"),
        ),
        (
            "travel",
            "when does your train arrive?",
            (
                "it arrives at {time} {mood}",
                "at {time}, please pick me up at {place}",
                "it is late again, about {count} minutes {mood}",
            ),
        ),
        (
            "travel",
            "can you bring {thing}?",
            ("ok, i will bring {thing} {mood}", "i lost {thing}, sorry", "{thing} is in the car, do not worry"),
        ),
        (
            "film",
            "shall we watch {film} {day}?",
            (
                "great idea, i will buy {count} tickets {mood}",
                "i have seen {film} with {person} already",
                "yes, {film} starts at {time} {mood}",
            ),
        ),
        (
            "love",
            "good night, sleep well",
            (
                "good night, i miss you {mood}",
                "love you, talk to you tomorrow {mood}",
                "thank you, sweet dreams {mood}",
            ),
        ),
        (
            "love",
            "happy birthday {person}",
            (
                "thank you so much {mood}",
                "thanks, you are the best {mood}",
                "thank you, come to the party at {place} {day}",
            ),
        ),
        (
            "sad",
            "how is {person}?",
            (
                "{person} is in hospital {mood}",
                "much better, thank you for asking",
                "{person} is sick since {day} {mood}",
            ),
        ),
        (
            "sad",
            "are you ok?",
            ("i am so tired {mood}", "not really, i failed {subject} {mood}", "yes, do not worry about me"),
        ),
        (
            "shop",
            "how much was {thing}?",
            ("only ${price} {mood}", "it was ${price}, too expensive", "${price} for {count} of them {mood}"),
        ),
        (
            "shop",
            "can you send me the code?",
            ("the code is #{room} {mood}", "sure, it is {room}@shop", "use {price}% off with #{room}"),
        ),
    ),
    "zh": (
        (
            "meet",
            "{day}有空吗？我们在{place}见面",
            ("好的，{day}在{place}见{mood}", "对不起，{day}我要帮{person}", "可以，{time}点在{place}等你{mood}"),
        ),
        (
            "meet",
            "你现在在哪里？",
            ("我在{place}，和{person}在一起", "在去{place}的路上，还要{count}分钟{mood}", "还在家，等我{count}分钟"),
        ),
        (
            "food",
            "{day}想吃{food}吗？",
            (
                "好啊，我最喜欢吃{food}{mood}",
                "昨天吃过{food}了，吃{food2}吧",
                "可以，{place}的{food}只要{price}块{mood}",
            ),
        ),
        (
            "food",
            "中午吃了什么？",
            ("我和{person}吃了{food}{mood}", "还没吃，要不要一起吃{food}？", "随便吃了一点{food}"),
        ),
        (
            "study",
            "{subject}做完了吗？",
            ("还没有，{subject}太难了{mood}", "做完了，一共{count}页{mood}", "快了，{day}给你看"),
        ),
        (
            "travel",
            "你的车几点到？",
            ("{time}点到{mood}", "大概{time}点，你来{place}接我吧", "又晚了，还要{count}分钟{mood}"),
        ),
        (
            "travel",
            "你能带{thing}吗？",
            ("好的，我带{thing}{mood}", "对不起，我的{thing}不见了", "{thing}在车上，不用担心"),
        ),
        (
            "film",
            "{day}一起去看{film}吗？",
            ("好，我去买{count}张票{mood}", "我和{person}已经看过了", "{film}{time}点开始{mood}"),
        ),
        ("love", "晚安，早点睡", ("晚安，我想你{mood}", "我爱你，明天见{mood}", "谢谢，做个好梦{mood}")),
        ("sad", "你怎么了？", ("今天太累了{mood}", "{subject}没有考好{mood}", "没事，不用担心我")),
        ("shop", "{thing}多少钱？", ("只要{price}块{mood}", "{price}块，太贵了", "{count}个{price}块{mood}")),
    ),
}
"""Language -> (topic, question, answers)."""

MIXED = ("ok", "hi", "bye", "email", "app", "wifi", "sorry", "party")
"""English words that Chinese users put between."""

SHORT = {
    "you": "u",
    "are": "r",
    "tomorrow": "tmr",
    "please": "pls",
    "thanks": "thx",
    "because": "cos",
    "tonight": "2nite",
    "minutes": "mins",
}
"""How hurried users write."""

OPENERS = {
    "en": ("hey", "hi there,", "well,", "haha,", "by the way,", "oh,", "hmm,", "dear,", "so,", "listen,"),
    "zh": ("哈哈，", "对了，", "喂，", "嗯，", "亲，", "啊，", "那个，"),
}
CLOSERS = {
    "en": ("see you soon", "let me know", "talk later", "no rush", "thanks a lot", "what do you think?", "hope so"),
    "zh": ("回头见", "告诉我", "谢谢你", "你说呢？", "不急", "加油"),
}
"""What some users put before and after what they say."""
