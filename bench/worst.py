"""`python -m bench.worst`: the processor time of one look-up under attack, with as much as the graph accepts.

For each attack of tests/lookups.py: how many of its routes are served, the first look-up (in which RE2 builds its
automata) and the best of five. The promise is 2 ms.
"""

import sys

sys.path.insert(0, "tests")

from lookups import ATTACKS, seconds, tables_of


def main() -> None:
    for name, attack in ATTACKS.items():
        tables, served = tables_of(attack.routes)
        first = seconds(tables, attack)
        best = min(seconds(tables, attack) for _ in range(5))
        asked = len(list(attack.routes))
        print(f"{name:60} {served:5} of {asked:5}  first {first * 1e6:10,.0f}  then {best * 1e6:10,.0f} µs")


if __name__ == "__main__":
    main()
