"""`python -m tests.explore`: play schedules by hand, or one of them, made small."""

from __future__ import annotations

import argparse
import sys

from tests.explore.runner import explore, shrink


def main() -> int:
    """Print what was found; 1 where there are violations."""
    parser = argparse.ArgumentParser(prog="python -m tests.explore", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed (0)")
    parser.add_argument("--first", action="store_true", help="end at the first violation")
    parser.add_argument("--shrink", action="store_true", help="play the schedule of --seed alone, made small")
    given = parser.parse_args()
    if given.shrink:
        small = shrink(given.seed)
        print(f"seed {given.seed}: {len(small.struck)} faults, actions {dict(small.actions)}")
        for call, step, fault in small.struck:
            print(f"  call {call}: {step}: {fault}")
        print("\n".join(small.violations))
        return 1
    found = explore(
        range(given.seed, given.seed + given.schedules),
        is_enough=lambda so_far: given.first and bool(so_far.violations),
    )
    for seed, violations in found.violations.items():
        print(f"seed {seed}: {'; '.join(violations)[:2_000]}")
        print(f"  replay and shrink it: python -m tests.explore --seed {seed} --shrink")
    faults = sum(found.struck.values())
    print(f"{found.schedules} schedules, {faults} faults, {len(found.violations)} violations")
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
