"""Figures of two runs side by side, and whether they are good enough."""
from dataclasses import dataclass

from .rereader import Verdicts

READ_HIT_RATE_MIN = 0.7
# Two runs of the same program on a shared machine differ by this much: a page counts as slower only
# beyond it. Stated in the output.
NOISE_SHARE = 0.10
NOISE_SECONDS = 0.0005
# The median of fewer requests says nothing.
SAMPLES_MIN = 15
CHECKED_SHARE_MIN = 0.05


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Run:
    """The outcomes of one run, put together, and what PostgreSQL counted during it."""

    outcomes: list
    queries: int

    def pages(self):
        """Page name to its latencies in seconds."""
        merged = {}
        for outcome in self.outcomes:
            for page, seconds in outcome.seconds.items():
                merged.setdefault(page, []).extend(seconds)
        return merged

    def requests(self):
        return sum(len(seconds) for seconds in self.pages().values())

    def requests_per_second(self):
        """Of all clients together; what their checkers took does not count."""
        return sum(sum(map(len, outcome.seconds.values())) / outcome.busy_seconds
                   for outcome in self.outcomes)

    def verdicts(self):
        total = Verdicts()
        for outcome in self.outcomes:
            total.add(outcome.verdicts)
        return total

    def total(self, name):
        return sum(getattr(outcome, name) for outcome in self.outcomes)

    def examples(self):
        return [text for outcome in self.outcomes for text in outcome.examples + outcome.verdicts.examples]


def is_slower(before, after):
    return after > before * (1 + NOISE_SHARE) + NOISE_SECONDS


def page_table(direct, proxied):
    """Lines of the before and after table, and the pages that got slower."""
    lines = [f"{'':22}{'':>8}  {'direct (ms)':^16}  {'pgrecall (ms)':^16}  {'p50':>6}",
             f"{'page':22}{'requests':>8}  {'p50':>7} {'p99':>8}  {'p50':>7} {'p99':>8}  {'faster':>6}"]
    slower = []
    before, after = direct.pages(), proxied.pages()
    for page in sorted(after, key=lambda name: (name.endswith("(POST)"), -len(after[name]))):
        if page not in before:
            continue
        figures = [percentile(run[page], share) for run in (before, after) for share in (0.5, 0.99)]
        note = ""
        if min(len(before[page]), len(after[page])) < SAMPLES_MIN:
            note = "  (few)"
        elif is_slower(figures[0], figures[2]):
            slower.append(page)
            note = "  SLOWER"
        b50, b99, a50, a99 = (1000 * seconds for seconds in figures)
        lines.append(f"{page:22}{len(after[page]):8,}  {b50:7.1f} {b99:8.1f}  {a50:7.1f} {a99:8.1f}  "
                     f"{b50 / a50:5.1f}x{note}")
    return lines, slower


def checker_lines(run, found):
    verdicts = run.verdicts()
    lines = [f"checker: {verdicts.checked:,} of {verdicts.answers:,} answers re-read from PostgreSQL "
             f"({100 * verdicts.checked / max(1, verdicts.answers):.1f} %), {verdicts.undecided:,} undecided"]
    if found:
        lines.append(f"version test: {found.reads:,} reads against {found.writes:,} acknowledged writes")
    lines += [f"  {text}" for text in (run.examples() + (found.examples if found else []))[:6]]
    return lines


def stale_answers(run, found):
    return run.verdicts().stale + run.total("own_stale") + (found.stale if found else 0)
