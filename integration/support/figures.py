"""Every figure of the admin port, found in what it says: a figure that nobody has heard of is found, too."""
import json
import re

#: Labels that say of whom a sample is, not what it counts.
WHOSE = {"database", "user", "table", "reason", "version", "le"}


def leaves(value, path):
    """(path, value) of each figure; the rows of a list share their paths. An empty list or object is a
    figure itself: nothing was in it."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for part in value:
            yield from leaves(part, f"{path}[]")
    else:
        yield path, value


def samples(text):
    """(name with its labels, value) of each metric."""
    announced = re.findall(r"^# TYPE (\S+)", text, re.M)
    for name in announced:
        if not re.search(rf"^{name}[{{ _]", text, re.M):
            yield f"/metrics {name}", 0
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line).groups()
        kept = [f'{key}="{label}"' for key, label in re.findall(r'(\w+)="((?:\\.|[^"\\])*)"', labels or "")
                if key not in WHOSE]
        yield f"/metrics {name}{{{','.join(kept)}}}", float(value)


class Figures:
    """What each figure of some proxies has been away from zero, empty, false and null at some look."""

    def __init__(self):
        self.moved = {}

    def note(self, found):
        for path, value in found:
            self.moved[path] = self.moved.get(path, False) or bool(value)

    def look(self, proxy):
        """Looks at everything the proxy shows; returns its /api/stats."""
        for path in ("/api/stats", "/api/fingerprints"):
            status, text = proxy.get(path)
            assert status == 200, f"{path}: {status}"
            answer = json.loads(text)
            self.note(leaves(answer, path))
            if path == "/api/stats":
                stats = answer
        status, text = proxy.get("/metrics")
        assert status == 200, f"/metrics: {status}"
        self.note(samples(text))
        return stats

    def untouched(self, part=""):
        """Those that never moved. An empty list whose rows were seen elsewhere has moved."""
        return sorted(path for path, moved in self.moved.items()
                      if part in path and not moved
                      and not any(other.startswith((path + "[]", path + ".", path + "{")) for other in self.moved))
