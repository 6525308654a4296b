"""Families of classes whose methods are static: what they return depends on the arguments alone."""

from __future__ import annotations

from components.workloads.assertions.generator_names import Family

STATICS: dict[str, Family] = {
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
}
