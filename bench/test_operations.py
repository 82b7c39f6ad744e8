# SPDX-License-Identifier: MIT
"""Checks that bench_ops has a row for every operation of docs/operations.md.

    test_operations.py PROGRAM docs/operations.md

What is composed of others needs none, nor does a form that takes options beside one that does not (name_with).
"""
import re
import subprocess
import sys


def main():
    program, table = sys.argv[1:]
    listed = subprocess.run([program, "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    measured = {line for line in listed.splitlines() if line.startswith("tarn_")}
    known, needed = set(), set()
    with open(table, encoding="utf-8") as file:
        for line in file:
            name = re.match(r"\| `(tarn_\w+)\(", line)
            if name:
                known.add(name[1])
                if "| composed |" not in line:
                    needed.add(name[1].removesuffix("_with"))
    if len(needed) < 100:
        sys.exit(f"{table} names only {len(needed)} operations: has its form changed?")
    missing, unknown = sorted(needed - measured), sorted(measured - known)
    for name in missing:
        print(f"{name} has no row in bench_ops")
    for name in unknown:
        print(f"bench_ops measures {name}, which {table} does not know")
    print(f"{len(needed)} operations, {len(missing)} without a row")
    sys.exit(1 if missing or unknown else 0)


if __name__ == "__main__":
    main()
