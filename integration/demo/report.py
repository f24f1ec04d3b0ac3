"""Figures of two runs side by side, and whether they are good enough."""
import math
from dataclasses import dataclass

from .rereader import Verdicts

READ_HIT_RATE_MIN = 0.7
# A page counts as slower if its median is above the direct one by more than this, and the 99 %
# confidence intervals of the two medians do not overlap: two runs on one machine are never equal.
NOISE_SHARE = 0.10
NOISE_SECONDS = 0.0005
# The median of fewer requests says nothing.
SAMPLES_MIN = 15
CHECKED_SHARE_MIN = 0.05


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_interval(values):
    """99 % confidence interval of the median, from the ranks alone."""
    ordered = sorted(values)
    half = 2.576 * math.sqrt(len(ordered)) / 2
    low = math.floor(len(ordered) / 2 - half)
    high = math.ceil(len(ordered) / 2 + half)
    return ordered[max(0, low)], ordered[min(len(ordered) - 1, high)]


@dataclass
class Run:
    """The outcomes of one run, put together, and what PostgreSQL and pgrecall counted during it."""

    outcomes: list
    queries: int
    stats_before: dict
    stats_after: dict

    def read_hit_rate(self):
        """Hits of all reads, as /api/stats counts them."""
        before, after = self.stats_before, self.stats_after
        return (after.hits - before.hits) / max(1, after.reads - before.reads)

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

    def total(self, name):
        return sum(getattr(outcome, name) for outcome in self.outcomes)

    def examples(self):
        return [text for outcome in self.outcomes for text in outcome.examples + outcome.verdicts.examples]


def is_slower(before, after):
    """Of two lists of latencies."""
    limit = percentile(before, 0.5) * (1 + NOISE_SHARE) + NOISE_SECONDS
    return percentile(after, 0.5) > limit and median_interval(after)[0] > median_interval(before)[1]


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
        elif is_slower(before[page], after[page]):
            slower.append(page)
            note = "  SLOWER"
        b50, b99, a50, a99 = (1000 * seconds for seconds in figures)
        lines.append(f"{page:22}{len(after[page]):8,}  {b50:7.1f} {b99:8.1f}  {a50:7.1f} {a99:8.1f}  "
                     f"{b50 / a50:5.1f}x{note}")
    return lines, slower


def verdicts(checked):
    """Of several runs together."""
    total = Verdicts()
    for run in checked:
        for outcome in run.outcomes:
            total.add(outcome.verdicts)
    return total


def checker_lines(checked, found):
    total = verdicts(checked)
    lines = [f"checker: {total.checked:,} of {total.answers:,} answers re-read from PostgreSQL "
             f"({100 * total.checked / max(1, total.answers):.1f} %), {total.undecided:,} undecided"]
    if found:
        lines.append(f"version test: {found.reads:,} reads against {found.writes:,} acknowledged writes")
    examples = [text for run in checked for text in run.examples()] + (found.examples if found else [])
    lines += [f"  {text}" for text in examples[:6]]
    return lines


def not_hits_line(before, after):
    """What the reads were that no hit answered."""
    reasons = {reason: count - before["bypasses"].get(reason, 0)
               for reason, count in after["bypasses"].items()}
    listed = ", ".join(f"{count:,} {reason}" for reason, count in
                       sorted(reasons.items(), key=lambda item: -item[1]) if count)
    return (f"other reads: {after.misses - before.misses:,} misses, "
            f"{sum(reasons.values()):,} bypasses" + (f" ({listed})" if listed else ""))


def stale_answers(checked, found):
    return (verdicts(checked).stale + sum(run.total("own_stale") for run in checked)
            + (found.stale if found else 0))
