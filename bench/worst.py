"""`python -m bench.worst`: the processor time of one look-up under attack, with as much as the graph accepts.

For each attack of tests/lookups.py: how many of its routes are served, the best of several first look-ups (in which RE2
builds its automata), and of later ones; each with empty caches. The promise is 2 ms.
"""

import sys

from bench.expressions import empty_caches

sys.path.insert(0, "tests")

from lookups import ATTACKS, seconds, tables_of

ROUNDS = 3


def main() -> None:
    for name, attack in ATTACKS.items():
        first, later, served = [], [], 0
        for _ in range(ROUNDS):
            tables, served = tables_of(attack.routes)
            for times in (first, later):
                empty_caches()
                times.append(seconds(tables, attack) * 1e6)
        asked = len(list(attack.routes))
        print(f"{name:60} {served:5} of {asked:5}  first {min(first):7,.0f}  later {min(later):7,.0f} µs", flush=True)


if __name__ == "__main__":
    main()
