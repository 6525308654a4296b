"""Families of classes with a state that a test changes before it asserts: collections, counters, ranges."""

from __future__ import annotations

from components.workloads.assertions.generator_names import Family

OBJECTS: dict[str, Family] = {
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
}
