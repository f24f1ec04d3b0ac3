"""Benchmarks: pgrecall beside its peers, in one run. Run by scripts/bench."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "integration"))  # its `support` starts and stops servers
