"""Figures of two runs side by side, and whether they are good enough."""
import math
from dataclasses import dataclass

from .journal import due_share
from .rereader import Verdicts

# Of the reads that were due as hits, this share must have been hits: two clients may meet, and a read
# that is under way when a write commits is not stored.
HITS_OF_DUE_MIN = 0.9
# PostgreSQL works at least this many times less for a page that is bound by it once the page is warm.
GAIN_MIN = 10
# Statements of the journey that reach PostgreSQL: at least this many times fewer.
FEWER_QUERIES_MIN = 2
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


@dataclass(frozen=True)
class Cost:
    """Of one page: seconds that the site waited for each statement, seconds of all the rest, how many
    hits there were, and seconds that PostgreSQL was executing by its own count."""

    statements: tuple
    rest: float
    hits: int
    executing: float = 0.0

    @property
    def database(self):
        return sum(self.statements)

    @property
    def page(self):
        return self.database + self.rest

    @property
    def share(self):
        """Of the page's time, what is spent in the database."""
        return self.database / self.page


def least(costs):
    """One cost of several of the same page: of each statement, and of the rest, the least seen. So what
    other programs of the machine took is not in it, on either way to the database."""
    return Cost(tuple(min(each) for each in zip(*(cost.statements for cost in costs))),
                min(cost.rest for cost in costs), min(cost.hits for cost in costs))


@dataclass(frozen=True)
class PageCosts:
    """Of one page, direct and warm. `bound`: PostgreSQL has most of the work."""

    name: str
    bound: bool
    direct: Cost
    warm: Cost

    def gains(self):
        """PostgreSQL has far less work with it. Its own count is free of what a busy machine adds to
        every statement, hit or not: the turns of other programs."""
        return 0 < self.direct.executing >= GAIN_MIN * self.warm.executing


@dataclass
class Run:
    """The outcomes of one run, put together, and what PostgreSQL and pgrecall counted during it."""

    outcomes: list
    queries: int
    stats_before: dict
    stats_after: dict

    def read_hit_rate(self):
        """Hits of all reads, as /api/stats counts them."""
        return self.hits() / max(1, self.stats_after.reads - self.stats_before.reads)

    def hits(self):
        return self.stats_after.hits - self.stats_before.hits

    def due_rate(self):
        """The share of its reads that was due as hits, whatever the speed; see journal.py."""
        return due_share([each for outcome in self.outcomes for each in outcome.statements])

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


def first_look_lines(costs):
    """Of [(name, Cost)]."""
    lines = [f"{'':22}{'statements':>10} {'hits':>6} {'PostgreSQL asked':>18} {'database (ms)':>15} {'page (ms)':>11}"]
    for name, cost in costs:
        count = len(cost.statements)
        lines.append(f"{name:22}{count:10} {cost.hits:6} {count - cost.hits:18} {1000 * cost.database:15.1f} "
                     f"{1000 * cost.page:11.1f}")
    return lines


def cost_lines(pages):
    """The table of PageCosts, and what it says about Django."""
    lines = [f"{'':17}{'hits of':>10} {'PostgreSQL works':^18} {'site waits for it':^18} {'whole page':^16} {'':>6}  "
             f"{'waiting':^13}",
             f"{'page (ms)':17}{'statements':>10}" + f"{'direct':>9} {'warm':>8} " * 2 + f"{'direct':>8} {'warm':>7} "
             f"{'faster':>7} {'direct':>6} {'warm':>6}"]
    for page in pages:
        direct, warm = page.direct, page.warm
        hits = f"{warm.hits} of {len(warm.statements)}"
        figures = [1000 * value for cost in ("executing", "database", "page")
                   for value in (getattr(direct, cost), getattr(warm, cost))]
        lines.append(f"{page.name:17}{hits:>10}" + "{:9.1f} {:8.1f} {:9.1f} {:8.1f} {:8.1f} {:7.1f} ".format(*figures)
                     + f"{direct.page / warm.page:6.1f}x {direct.share:6.0%} {warm.share:6.0%}")
    most, least_of_all = (choose(pages, key=lambda page: page.direct.share) for choose in (max, min))
    lines += [
        "pgrecall takes away PostgreSQL's work; what is left of a warm page is Django's own: building queries,",
        f"objects and templates. \"{most.name}\" waits for the database for {most.direct.share:.0%} of its time, and "
        "becomes",
        f"{most.direct.page / most.warm.page:.1f} times as fast; \"{least_of_all.name}\" for "
        f"{least_of_all.direct.share:.0%}: there Django is the bottleneck.",
    ]
    return lines


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


def run_lines(direct, proxied, fast):
    """Figures of the journey; `fast` is the run through pgrecall whose requests per second count."""
    rows = (
        ("queries reaching PostgreSQL", direct.queries, proxied.queries, "{:,.0f}"),
        ("time in the database (s)", direct.total("database_seconds"), proxied.total("database_seconds"), "{:,.1f}"),
        ("requests per second, as fast as they come", direct.requests_per_second(), fast.requests_per_second(),
         "{:,.0f}"),
    )
    lines = [f"{'':42}{'direct':>10}{'pgrecall':>10}"]
    lines += [f"{name:42}{form.format(before):>10}{form.format(after):>10}" for name, before, after, form in rows]
    lines += [
        f"{'read_hit_rate':42}{'':10}{proxied.read_hit_rate():10.3f}",
        f"{'  due: asked before, and not written since':42}{'':10}{proxied.due_rate():10.3f}",
        not_hits_line(proxied.stats_before, proxied.stats_after) + "\n",
    ]
    return lines
