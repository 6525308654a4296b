"""The classes that the embedded tests test: templates whose names, constants and operators every project chooses anew.

`$name` is replaced by one of NAMES, `$k...` by a number of the range the family gives, `$w...` by a word of the
project. `make`, `steps` and `asks` say with which kinds of arguments a test calls what; see `generator_tests`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """One kind of class.

    Attributes:
        java: source of the class under test, first, and of those it needs.
        make: kinds of the constructor's arguments; None: all methods are static.
        steps: method -> kinds of arguments: what changes the object.
        asks: method -> kinds of arguments: what is asserted of.
        numbers: constant -> lowest and highest value.
        found: methods that return null for what is not there.
    """

    java: str
    make: str | None
    steps: dict[str, str]
    asks: dict[str, str]
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    found: frozenset[str] = frozenset()


NAMES: dict[str, tuple[str, ...]] = {
    "Stack": ("Stack", "Pile", "History", "Trail", "UndoLog"),
    "Queue": ("Queue", "WaitingLine", "Inbox", "Backlog", "JobBuffer"),
    "Counter": ("Counter", "Tally", "Meter", "HitCount", "Score"),
    "Scale": ("Scale", "Pricing", "Formula", "Estimate", "Tariff"),
    "Grade": ("Grade", "Level", "Severity", "Ranking", "Tier"),
    "Text": ("TextTools", "Strings", "Wording", "Labels", "Phrases"),
    "Account": ("Account", "Wallet", "Budget", "Purse", "Quota"),
    "Range": ("Range", "Interval", "Span", "Window", "Bounds"),
    "Registry": ("Registry", "Catalog", "Inventory", "Directory", "Ledger"),
    "Numbers": ("Numbers", "IntArrays", "Series", "Vectors", "Samples"),
    "Lists": ("Lists", "Selections", "Filters", "Sequences", "Rows"),
    "Stats": ("Stats", "Average", "Gauge", "Readings", "Summary"),
    "Holder": ("Holder", "Box", "Slot", "Reference", "Cell"),
    "Factory": ("Factory", "Shapes", "Parser", "Loader", "Creator"),
    "Card": ("Card", "Badge", "Ticket", "Tag", "Version"),
    "Switch": ("Relay", "Toggle", "Lamp", "Gate", "Flag"),
    "push": ("push", "add", "record", "append", "enter"),
    "pop": ("pop", "undo", "removeLast", "takeBack", "drop"),
    "peek": ("peek", "latest", "getLast", "top", "current"),
    "size": ("size", "length", "count", "getSize", "total"),
    "isEmpty": ("isEmpty", "hasNone", "isBlank", "isClear", "empty"),
    "contains": ("contains", "has", "includes", "holds", "knows"),
    "offer": ("offer", "enqueue", "accept", "submit", "schedule"),
    "poll": ("poll", "dequeue", "next", "takeFirst", "serve"),
    "isFull": ("isFull", "atCapacity", "isCrowded", "isClosed", "full"),
    "up": ("increment", "hit", "raise", "up", "advance"),
    "down": ("decrement", "miss", "lower", "down", "retreat"),
    "reset": ("reset", "clear", "restart", "zero", "begin"),
    "value": ("getValue", "value", "read", "points", "amount"),
    "reached": ("reached", "isAtLeast", "hasReached", "exceeds", "isOver"),
    "items": ("items", "entries", "values", "elements", "stored"),
    "apply": ("apply", "compute", "scale", "convert", "evaluate"),
    "find": ("find", "lookup", "get", "search", "resolve"),
    "put": ("put", "register", "store", "insert", "assign"),
    "remove": ("remove", "delete", "discard", "unregister", "withdraw"),
    "label": ("label", "describe", "name", "classify", "title"),
    "create": ("create", "make", "parse", "load", "build"),
    "copy": ("copy", "duplicate", "cloned", "snapshot", "replica"),
    "sum": ("sum", "total", "addAll", "combined", "overall"),
    "limit": ("limit", "bound", "threshold", "maximum", "level"),
    "text": ("text", "s", "input", "word", "value"),
    "x": ("x", "n", "number", "amount", "i"),
}

FAMILIES: dict[str, Family] = {
    "stack": Family(
        """
public class $Stack {
    private final List<String> $items = new ArrayList<>();

    public void $push(String $text) {
        $items.add($text);
    }

    public String $pop() {
        if ($items.isEmpty()) {
            return null;
        }
        return $items.remove($items.size() - 1);
    }

    public String $peek() {
        return $items.isEmpty() ? null : $items.get($items.size() - 1);
    }

    public int $size() {
        return $items.size();
    }

    public boolean $isEmpty() {
        return $items.isEmpty();
    }

    public boolean $contains(String $text) {
        for (String one : $items) {
            if (one.equals($text)) {
                return true;
            }
        }
        return false;
    }
}
""",
        "",
        {"push": "word", "pop": ""},
        {"pop": "", "peek": "", "size": "", "isEmpty": "", "contains": "word"},
        found=frozenset({"pop", "peek"}),
    ),
    "queue": Family(
        """
public class $Queue {
    private final List<Integer> $items = new ArrayList<>();

    public boolean $offer(int $x) {
        if ($items.size() >= $kroom) {
            return false;
        }
        $items.add($x);
        return true;
    }

    public Integer $poll() {
        if ($items.size() == 0) {
            return null;
        }
        Integer first = $items.get(0);
        $items.remove(0);
        return first;
    }

    public int $size() {
        return $items.size();
    }

    public boolean $isFull() {
        return $items.size() == $kroom;
    }

    public int $sum() {
        int result = 0;
        for (int one : $items) {
            result += one;
        }
        return result;
    }
}
""",
        "",
        {"offer": "int:1:12", "poll": ""},
        {"offer": "int:1:12", "poll": "", "size": "", "isFull": "", "sum": ""},
        {"kroom": (2, 4)},
        frozenset({"poll"}),
    ),
    "counter": Family(
        """
public class $Counter {
    private int $value;

    public $Counter(int start) {
        this.$value = start;
    }

    public void $up() {
        $value += $kup;
    }

    public void $down() {
        if ($value >= $kdown) {
            $value -= $kdown;
        }
    }

    public void $reset() {
        $value = 0;
    }

    public int get$Counter() {
        return $value;
    }

    public boolean $reached(int $limit) {
        return $value >= $limit;
    }

    public boolean isZero() {
        return $value == 0;
    }
}
""",
        "int:0:6",
        {"up": "", "down": "", "reset": ""},
        {"get$Counter": "", "reached": "int:1:9", "isZero": ""},
        {"kup": (1, 3), "kdown": (1, 3)},
    ),
    "scale": Family(
        """
public class $Scale {
    public static int $apply(int $x) {
        return $x * $ka + $kb;
    }

    public static int rest(int $x) {
        return $x % $kc;
    }

    public static boolean isLarge(int $x) {
        return $x > $kd;
    }

    public static int larger(int first, int second) {
        return first > second ? first : second;
    }

    public static int clamp(int $x) {
        if ($x < $kc) {
            return $kc;
        }
        if ($x > $kd) {
            return $kd;
        }
        return $x;
    }

    public static int distance(int first, int second) {
        return Math.abs(first - second);
    }
}
""",
        None,
        {},
        {
            "apply": "int:0:9",
            "rest": "int:0:20",
            "isLarge": "int:0:40",
            "larger": "int:0:50,int:0:50",
            "clamp": "int:0:40",
            "distance": "int:0:12,int:0:12",
        },
        {"ka": (2, 5), "kb": (1, 9), "kc": (3, 7), "kd": (12, 30)},
    ),
    "grade": Family(
        """
public class $Grade {
    public static String $label(int $x) {
        if ($x < $ka) {
            return "$wlow";
        }
        if ($x < $kb) {
            return "$wmiddle";
        }
        return "$whigh";
    }

    public static String $find(String $text) {
        if ($text.equals("$wlow")) {
            return "$wmiddle";
        }
        if ($text.startsWith("$wstart")) {
            return "$whigh";
        }
        return null;
    }

    public static boolean isPassed(int $x) {
        return $x >= $kb;
    }

    public static int rank(int $x) {
        int result = 0;
        if ($x >= $ka) {
            result++;
        }
        if ($x >= $kb) {
            result++;
        }
        return result;
    }
}
""",
        None,
        {},
        {"label": "int:0:60", "find": "kind", "isPassed": "int:0:60", "rank": "int:0:60"},
        {"ka": (8, 20), "kb": (25, 45)},
        frozenset({"find"}),
    ),
    "text": Family(
        """
public class $Text {
    public static String reverse(String $text) {
        return new StringBuilder($text).reverse().toString();
    }

    public static String shout(String $text) {
        return $text.toUpperCase() + "!";
    }

    public static String quote(String $text) {
        return "$wopen-" + $text + "-$wclose";
    }

    public static String repeat(String $text, int times) {
        StringBuilder result = new StringBuilder();
        for (int i = 0; i < times; i++) {
            result.append($text);
        }
        return result.toString();
    }

    public static String join(String first, String second) {
        if (first.isEmpty()) {
            return second;
        }
        return first + "$wjoin" + second;
    }

    public static String start(String $text) {
        return $text.length() <= $kcut ? $text : $text.substring(0, $kcut);
    }

    public static int width(String $text) {
        return $text.length() + $kpad;
    }

    public static boolean isLong(String $text) {
        return $text.length() > $klong;
    }

    public static boolean isMirrored(String $text) {
        return $text.equals(reverse($text));
    }

    public static String before(String $text, String mark) {
        int end = $text.indexOf(mark);
        if (end < 0) {
            return null;
        }
        return $text.substring(0, end);
    }
}
""",
        None,
        {},
        {
            "reverse": "short",
            "shout": "word",
            "quote": "word",
            "repeat": "short,int:0:3",
            "join": "word,word",
            "start": "word",
            "width": "word",
            "isLong": "word",
            "isMirrored": "mirror",
            "before": "phrase,mark",
        },
        {"kcut": (2, 4), "kpad": (1, 4), "klong": (4, 6)},
        frozenset({"before"}),
    ),
    "account": Family(
        """
public class $Account {
    private int balance;

    public $Account(int balance) {
        this.balance = balance;
    }

    public boolean deposit(int $x) {
        if ($x <= 0) {
            return false;
        }
        balance += $x;
        return true;
    }

    public boolean $remove(int $x) {
        if ($x > balance) {
            return false;
        }
        balance -= $x + $kfee;
        return true;
    }

    public int getBalance() {
        return balance;
    }

    public boolean canPay(int price) {
        return balance - $kfee >= price;
    }

    public boolean isOverdrawn() {
        return balance < 0;
    }
}
""",
        "int:0:40",
        {"deposit": "int:-2:20", "remove": "int:1:30"},
        {"deposit": "int:-4:9", "remove": "int:1:40", "getBalance": "", "canPay": "int:1:40", "isOverdrawn": ""},
        {"kfee": (0, 3)},
    ),
    "range": Family(
        """
public class $Range {
    private final int low;
    private final int high;

    public $Range(int low, int high) {
        this.low = low;
        this.high = high;
    }

    public boolean $contains(int $x) {
        return $x >= low && $x < high;
    }

    public int $size() {
        return high > low ? high - low : 0;
    }

    public int clamp(int $x) {
        return Math.max(low, Math.min(high, $x));
    }

    public boolean $isEmpty() {
        return low >= high;
    }

    public boolean overlaps($Range other) {
        return low < other.high && other.low < high;
    }

    public $Range moved(int $x) {
        return $x == 0 ? this : new $Range(low + $x, high + $x);
    }

    public int getLow() {
        return low;
    }
}
""",
        "int:0:12,int:4:25",
        {},
        {
            "contains": "int:0:25",
            "size": "",
            "clamp": "int:0:30",
            "isEmpty": "",
            "overlaps": "self",
            "moved": "int:0:2",
            "getLow": "",
        },
    ),
    "registry": Family(
        """
public class $Registry {
    private final Map<String, Integer> $items = new HashMap<>();

    public void $put(String key, int $x) {
        if ($x > $kleast) {
            $items.put(key, $x);
        }
    }

    public Integer $find(String key) {
        return $items.get(key);
    }

    public Integer $remove(String key) {
        return $items.remove(key);
    }

    public boolean $contains(String key) {
        return $items.containsKey(key);
    }

    public int $size() {
        return $items.size();
    }

    public int orElse(String key) {
        return $items.getOrDefault(key, $kelse);
    }
}
""",
        "",
        {"put": "word,int:0:30", "remove": "word"},
        {"find": "word", "remove": "word", "contains": "word", "size": "", "orElse": "word"},
        {"kleast": (-1, 4), "kelse": (0, 9)},
        frozenset({"find", "remove"}),
    ),
    "numbers": Family(
        """
public class $Numbers {
    public static int $sum(int[] values) {
        int result = $kstart;
        for (int value : values) {
            result += value;
        }
        return result;
    }

    public static int largest(int[] values) {
        int best = values[0];
        for (int i = 1; i < values.length; i++) {
            if (values[i] > best) {
                best = values[i];
            }
        }
        return best;
    }

    public static int[] reversed(int[] values) {
        int[] result = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = values[values.length - 1 - i];
        }
        return result;
    }

    public static int[] shifted(int[] values) {
        int[] result = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = values[i] + $kshift;
        }
        return result;
    }

    public static int indexOf(int[] values, int wanted) {
        for (int i = 0; i < values.length; i++) {
            if (values[i] == wanted) {
                return i;
            }
        }
        return -1;
    }

    public static boolean isRising(int[] values) {
        for (int i = 1; i < values.length; i++) {
            if (values[i] <= values[i - 1]) {
                return false;
            }
        }
        return true;
    }

    public static int above(int[] values, int $limit) {
        int found = 0;
        for (int value : values) {
            if (value > $limit) {
                found++;
            }
        }
        return found;
    }
}
""",
        None,
        {},
        {
            "sum": "ints",
            "largest": "ints",
            "reversed": "ints",
            "shifted": "ints",
            "indexOf": "ints,int:0:9",
            "isRising": "rising",
            "above": "ints,int:0:9",
        },
        {"kstart": (0, 2), "kshift": (1, 3)},
    ),
    "lists": Family(
        """
public class $Lists {
    public static List<String> without(List<String> values, String unwanted) {
        List<String> result = new ArrayList<>();
        for (String value : values) {
            if (!value.equals(unwanted)) {
                result.add(value);
            }
        }
        return result;
    }

    public static List<String> longOnes(List<String> values) {
        List<String> result = new ArrayList<>();
        for (String value : values) {
            if (value.length() >= $klong) {
                result.add(value);
            }
        }
        return result;
    }

    public static String last(List<String> values) {
        return values.get(values.size() - 1);
    }

    public static String shortest(List<String> values) {
        String best = values.get(0);
        for (String value : values) {
            if (value.length() < best.length()) {
                best = value;
            }
        }
        return best;
    }

    public static List<Integer> upTo(int $x) {
        List<Integer> result = new ArrayList<>();
        for (int i = $kfirst; i <= $x; i++) {
            result.add(i);
        }
        return result;
    }
}
""",
        None,
        {},
        {"without": "words,word", "longOnes": "words", "last": "words", "shortest": "words", "upTo": "int:1:5"},
        {"klong": (4, 6), "kfirst": (0, 2)},
    ),
    "stats": Family(
        """
public class $Stats {
    private double sum;
    private int count;
    private double best;

    public void $push(double $x) {
        sum += $x;
        count++;
        if (count == 1 || $x > best) {
            best = $x;
        }
    }

    public double mean() {
        return count == 0 ? 0 : sum / count;
    }

    public double highest() {
        return best;
    }

    public double $sum() {
        return sum;
    }

    public int $size() {
        return count;
    }

    public double weighted() {
        return sum * 0.5 + $kbase;
    }
}
""",
        "",
        {"push": "double"},
        {"mean": "", "highest": "", "sum": "", "size": "", "weighted": ""},
        {"kbase": (1, 4)},
    ),
    "holder": Family(
        """
public class $Holder {
    private Object content;
    private int changes;

    public $Holder(Object content) {
        this.content = content;
    }

    public void set(Object content) {
        if (this.content != content) {
            changes++;
        }
        this.content = content;
    }

    public void $reset() {
        content = null;
    }

    public Object get() {
        return content;
    }

    public int getChanges() {
        return changes;
    }

    public $Holder $copy() {
        return new $Holder(content);
    }

    public $Holder self() {
        return this;
    }

    public boolean isSet() {
        return content != null;
    }
}
""",
        "object",
        {"set": "object", "reset": ""},
        {"get": "", "getChanges": "", "copy": "", "self": "", "isSet": ""},
    ),
    "factory": Family(
        """
public class $Factory {
    public static Part $create(String $text) {
        if ($text.equals("$wlow")) {
            return new First$Factory();
        }
        if ($text.endsWith("$whigh")) {
            return new Second$Factory();
        }
        return null;
    }

    public static Part orDefault(String $text) {
        Part found = $create($text);
        return found == null ? new Default$Factory() : found;
    }

    public static boolean isKnown(String $text) {
        return $create($text) != null;
    }
}

class Part {
}

class First$Factory extends Part {
}

class Second$Factory extends Part {
}

class Default$Factory extends Part {
}
""",
        None,
        {},
        {"create": "kind", "orDefault": "kind", "isKnown": "kind"},
    ),
    "card": Family(
        """
public class $Card {
    private final String owner;
    private int number;

    public $Card(String owner, int number) {
        this.owner = owner;
        this.number = number;
    }

    public String $label() {
        return owner + "$wjoin" + number;
    }

    public int compareTo($Card other) {
        if (number == other.number) {
            return 0;
        }
        return number < other.number ? -1 : 1;
    }

    public boolean isSame($Card other) {
        return owner.equals(other.owner) && number == other.number;
    }

    public void $up() {
        number += $kstep;
    }

    public String getOwner() {
        return owner;
    }

    public int getNumber() {
        return number;
    }
}
""",
        "word,int:1:6",
        {"up": ""},
        {"label": "", "compareTo": "self", "isSame": "self", "getOwner": "", "getNumber": ""},
        {"kstep": (1, 3)},
    ),
    "switch": Family(
        """
public class $Switch {
    private boolean on;
    private int flips;

    public $Switch(boolean on) {
        this.on = on;
    }

    public void toggle() {
        on = !on;
        flips++;
    }

    public void turnOff() {
        if (on) {
            flips++;
        }
        on = false;
    }

    public boolean isOn() {
        return on;
    }

    public int getFlips() {
        return flips;
    }

    public boolean isWorn() {
        return flips >= $kworn;
    }

    public String state() {
        return on ? "$whigh" : "$wlow";
    }
}
""",
        "boolean",
        {"toggle": "", "turnOff": ""},
        {"isOn": "", "getFlips": "", "isWorn": "", "state": ""},
        {"kworn": (2, 4)},
    ),
}
