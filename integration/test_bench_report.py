"""scripts/bench --only: a run without the servers that bound the client prints its figures and says what it lacks."""
import sys

from support.pgrecall import ROOT

sys.path.insert(0, str(ROOT))
from bench.report import Report  # noqa: E402


def test_a_run_without_its_bounds_is_void_and_says_why():
    report = Report([], {"clients": 8})
    assert "left out" in report.void_reason()
    assert report.targets() == []
