# SPDX-License-Identifier: MIT
"""Runs the benchmarks, their peers and comparisons: what scripts/bench does once everything is built."""
import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import rows

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "build" / "bench"  # the last run: its rows, and the programs that made them

# In the order of the table. What is not built is passed over.
PROGRAMS = {
    "bench_step": "training steps",
    "bench_share": "what the pool and the tape take of a step",
    "bench_scale": "steps from small to large",
    "bench_threads": "steps on several threads, beside one",
    "bench_ops": "operations",
    "bench_feed": "feeding",
    "bench_watching": "what watching costs a step",
    "bench_pool": "tensors and blocks, created and released",
    "replay": "the memory requests of steps, replayed",
}

# The rounds in which peers and builds (turns) take turns, and the repetitions within each.
LONG = {"rounds": 7, "turns": 9, "repetitions": 31, "repetitions_of_a_round": 7}
QUICK = {"rounds": 3, "turns": 5, "repetitions": 7, "repetitions_of_a_round": 3}


class Build:
    """A folder with the programs of a build; with `library` they run on another libtarn than they were linked with."""

    def __init__(self, folder, library=None):
        self.folder, self.library = Path(folder), library

    def has(self, program):
        return (self.folder / program).is_file()

    def run(self, program, arguments, preload=None):
        """Runs a program; its machine and rows."""
        libraries = [str(library) for library in (preload, self.library) if library]
        return run([self.folder / program, *arguments], {"LD_PRELOAD": ":".join(libraries)} if libraries else {})


def run(command, environment=None):
    """Runs a command that takes --json; the machine and the rows that it writes."""
    with tempfile.NamedTemporaryFile() as file:
        done = subprocess.run([*map(str, command), "--json", file.name], env={**os.environ, **(environment or {})},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: {Path(command[0]).name} failed\n{done.stdout}{done.stderr}")
        return rows.read(file.name)


def describe(machine):
    """Adds to what tarn says of the machine what it does not know."""
    def first(path, key):
        try:
            with open(path, encoding="utf-8") as file:
                return next(line.split(key)[1].strip(' \t:="\n') for line in file if line.startswith(key))
        except (OSError, StopIteration):
            return "unknown"
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    cpu = first("/proc/cpuinfo", "model name")
    return {**machine, "cpu": platform.machine() if cpu == "unknown" else cpu,
            "system": first("/etc/os-release", "PRETTY_NAME"), "commit": commit.stdout.strip() or "unknown"}


def print_machine(machine):
    print(f"{machine['cpu']} ({machine['simd']}, of which tarn uses {machine['kernels']}), {machine['processors']} "
          f"processors, {machine['system']}; tarn {machine['version']} {machine['commit']} on {machine['threads']} "
          f"thread{'s' if machine['threads'] > 1 else ''}")
    print(f"BLAS kernels: {machine['blas_core']} ({machine['blas_reason']}); {machine['blas']}")


# ---- peers

def python():
    """The Python that has Debian's packages."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def step_peers(build, options, machine, cases):
    """What makes the steps' rows beside tarn's: functions by name, each of which makes one run."""
    common = ["--threads", str(options.threads), "--repetitions", str(options.repetitions_of_a_round)]
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    torch = [python(), ROOT / "bench" / "peers" / "pytorch.py", *common, *cases]
    kernels = machine["blas_core"]
    peers = {
        f"PyTorch, {kernels}": lambda: run(torch, {**threads, "OPENBLAS_CORETYPE": kernels}),
        "PyTorch as shipped": lambda: run(torch, threads),
    }
    if build.has("bench_fann"):
        only = ["--only", options.only] if options.only else []
        peers["FANN"] = lambda: build.run("bench_fann", common + only)
    return peers


def allocator_peers(build, options):
    """The same program under other allocators."""
    arguments = ["--repetitions", str(options.repetitions_of_a_round)]
    return {library: lambda library=library: build.run("replay", arguments, preload=library)
            for library in options.allocator}


def take_turns(ours, peers, rounds):
    """Runs ours and every peer in turn, round by round; our rows, with the peers' medians among them."""
    runs, theirs = [], {name: [] for name in peers}
    machine = {}
    for _ in range(rounds):
        machine, found = ours()
        runs.append(found)
        for name, peer in peers.items():
            theirs[name].append({case: row for (_, case), row in peer()[1].items()})
    joined = rows.join(runs)
    for name, found in theirs.items():
        for (_, case), row in joined.items():
            same = {("", case): dict(f[case]) for f in found if case in f}
            if not same:
                continue
            peer = rows.join([{("", case): f[case]} for f in found if case in f])["", case]
            if peer["peers"]:  # another allocator: its own measure of malloc, not of tarn
                row["peers"].update(peer["peers"])
            else:
                row["peers"][name] = {"median_ns": peer["median_ns"], "mad_ns": peer["mad_ns"]}
    return machine, joined


# ---- what the command does

def measure(build, options):
    """Runs every program and prints its table; the machine and all rows."""
    machine, everything = {}, {}
    common = ["--threads", str(options.threads)] + (["--only", options.only] if options.only else [])
    for program, title in PROGRAMS.items():
        if not build.has(program):
            continue
        once = [*common, "--repetitions", str(options.repetitions)]
        each = [*common, "--repetitions", str(options.repetitions_of_a_round)]
        peers = {}
        if options.peers and program == "bench_step":
            here, found = build.run(program, [*common, "--repetitions", "3"])
            peers = step_peers(build, options, here, [case for _, case in found if not case.endswith(", planned")])
        elif options.peers and program == "replay":
            peers = allocator_peers(build, options)
        if peers:
            here, found = take_turns(lambda: build.run(program, each), peers, options.rounds)
        else:
            here, found = build.run(program, once)
            found = rows.join([found])
        if not machine:
            machine = describe(here)
            print_machine(machine)
        if found:
            print(f"\n{title} ({program})\n{rows.results(list(found.values()))}", flush=True)
        everything.update(found)
    return machine, everything


def record(build, machine, everything):
    """Keeps the rows, the programs and the library they ran on, for a later --compare."""
    shutil.rmtree(RECORD, ignore_errors=True)
    RECORD.mkdir(parents=True)
    for program in PROGRAMS:
        if build.has(program):
            shutil.copy2(build.folder / program, RECORD / program)
    shutil.copy2((build.folder.parent / "src" / "libtarn.so").resolve(), RECORD / "libtarn.so")
    rows.write(RECORD / "rows.json", machine, everything)


def compare_builds(old, build, options, program, only):
    """Runs a program of both builds in turn, now one first, now the other."""
    arguments = ["--threads", str(options.threads), "--repetitions", str(options.repetitions_of_a_round)]
    arguments += ["--only", only] if only else []
    runs = {old: [], build: []}
    for i in range(options.turns):
        for side in ((old, build), (build, old))[i % 2]:
            runs[side].append(side.run(program, arguments)[1])
    return rows.compare_runs(runs[old], runs[build])


def compare(build, options):
    """Compares with another build, in turns, or with a file of rows; whether nothing is slower."""
    print(f"\"slower\" is what takes longer by more than {rows.LEAST:.0%} and more than {rows.MADS} MAD of the ratios, "
          f"twice;\n\"noise\" says that a change by {rows.NOISY:.0%} could not have been seen, or did not come again")
    result = {}
    if Path(options.compare).is_file():
        _, old = rows.read(options.compare)
        _, new = measure(build, options)
        print(f"\nbeside {options.compare}, by the ratios to the floors")
        result = rows.compare_records(old, new)
        print(rows.changes(result))
    else:
        folder = Path(options.compare)
        old = Build(folder, folder / "libtarn.so" if (folder / "libtarn.so").exists() else None)
        for program in PROGRAMS:
            if not build.has(program) or not old.has(program):
                continue
            found = compare_builds(old, build, options, program, options.only)
            for key in [key for key, c in found.items() if c["verdict"] in ("slower", "faster")]:
                again = compare_builds(old, build, options, program, key[1])
                found = rows.confirm(found, {key: again[key]})
            if found:
                print(f"\n{PROGRAMS[program]} ({program})\n{rows.changes(found)}", flush=True)
            result.update(found)
    return all(c["verdict"] != "slower" for c in result.values())


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--build", default=ROOT / "build" / "release" / "bench")
    parser.add_argument("--json")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--allocator", action="append", default=[], help="a library for LD_PRELOAD")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--compare", help="a folder of programs, or a file of rows")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--only")
    options = parser.parse_args()
    options.repetitions_of_a_round, options.turns = options.repetitions, options.rounds
    for name, value in (QUICK if options.quick else LONG).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    build = Build(options.build)
    if options.compare:
        sys.exit(0 if compare(build, options) else 1)
    machine, everything = measure(build, options)
    if options.json:
        rows.write(options.json, machine, everything)
    if not options.only and not options.quick:
        record(build, machine, everything)


if __name__ == "__main__":
    main()
