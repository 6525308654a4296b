"""Further families with a state: registries, readings, holders, cards, switches."""

from __future__ import annotations

from components.workloads.assertions.generator_names import Family

VALUES: dict[str, Family] = {
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
