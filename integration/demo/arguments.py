"""The arguments of scripts/demo. It needs nothing but Python: a wrong one is named before anything is
installed."""
import argparse

EXIT_STATUS = """
exit status: 0 everything promised was seen; 1 something was not (a stale answer, a failed page, too few
hits, a page without a gain), so also the right one under --sabotage; 2 wrong usage; 3 under --sabotage
the checker found nothing, so that it is worth nothing; 4 it could not be run to its end.
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/demo", allow_abbrev=False, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Shows a Django site before and after pgrecall, with a checker beside it.")
    parser.add_argument("--small", action="store_true",
                        help="a fifth of the data and a fixed number of pages: two minutes; what it expects "
                             "are counts, not speed")
    parser.add_argument("--seconds", type=float, default=60,
                        help="length of the direct run (60); not with --small")
    parser.add_argument("--clients", type=int, help="client processes (4; 2 with --small)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another sequence of pages")
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running, and the site served, until Ctrl-C")
    parser.add_argument("--sabotage", action="store_true",
                        help="break a freshness rule on purpose: the checker must find stale answers")
    arguments = parser.parse_args()
    if arguments.clients is None:
        arguments.clients = 2 if arguments.small else 4
    if not 1 <= arguments.clients <= 10:
        parser.error("--clients must be 1 to 10")
    if arguments.seconds <= 0:
        parser.error("--seconds must be positive")
    return arguments


if __name__ == "__main__":
    parse_arguments()
