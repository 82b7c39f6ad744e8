# SPDX-License-Identifier: MIT
"""Trains MNIST in tarn and in PyTorch, in turn, and compares the times: what scripts/bench-mnist does once everything
is built."""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = Path(__file__).resolve().parent / "peers" / "mnist_pytorch.py"
CASE = "MNIST 784-128-10 b128 Adam"


def run(command, environment=None):
    """A command's output, and the seconds it took on the clock and on the processor."""
    def processor():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    began, used = time.perf_counter(), processor()
    done = subprocess.run(list(map(str, command)), env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"bench-mnist: {Path(command[0]).name} failed\n{done.stdout}{done.stderr}")
    return done.stdout, time.perf_counter() - began, processor() - used


def run_tarn(options, seed):
    """All is the whole process, its start and its end included; and the kernels that it ran on."""
    with tempfile.NamedTemporaryFile("r") as file:
        output, took, used = run([options.program, "--data", options.data, "--epochs", options.epochs, "--batch", 128,
                                  "--hidden", 128, "--optimizer", "adam", "--lr", 0.001, "--threads", options.threads,
                                  "--seed", seed, "--json", file.name])
        epochs = [json.loads(line) for line in file]
    return {"training": sum(epoch["seconds"] for epoch in epochs), "all": took, "processor": used,
            "accuracy": epochs[-1]["test_accuracy"],
            "kernels": re.search(r"BLAS on \d+ threads? \((.*)\)", output)[1]}


def run_peer(options, seed, kernels):
    """All begins when Python and PyTorch are loaded."""
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    output, _, _ = run([options.python, PEER, options.data, "--epochs", options.epochs, "--seed", seed, "--threads",
                        options.threads], {**threads, **({"OPENBLAS_CORETYPE": kernels} if kernels else {})})
    return json.loads(output)


def middle(results, figure):
    return statistics.median(result[figure] for result in results)


def spread(results, figure):
    at = middle(results, figure)
    return statistics.median(abs(result[figure] - at) for result in results)


def print_table(arms, epochs):
    figures = ("training", "all", "processor")
    lines = [("", *figures, "test accuracy")]
    for name, results in arms.items():
        lines.append((name, *(f"{middle(results, figure):.2f} +- {spread(results, figure):.2f} s"
                              for figure in figures), f"{100 * middle(results, 'accuracy'):.2f} %"))
    tarn, *peers = arms
    for name in peers:
        lines.append((f"{name} / {tarn}", *(f"{middle(arms[name], figure) / middle(arms[tarn], figure):.2f}x"
                                            for figure in figures), ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    print(f"{CASE}, {epochs} epochs, medians of {len(arms[tarn])} runs that took turns")
    for i, line in enumerate(lines):
        print("| " + line[0].ljust(widths[0]) + " | " +
              " | ".join(cell.rjust(width) for cell, width in zip(line[1:], widths[1:])) + " |")
        if i == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("""\
"training" includes the making of batches; "all" also reading the files and a test after each epoch, and of tarn the
whole process, of PyTorch what follows its import. "processor" is the processor's time for all: on a machine that is
busy with other things it says more than the clock.""")


def write_rows(path, arms, epochs):
    """The rows in the form of bench_write (measure.h)."""
    tarn, *peers = arms
    with open(path, "w", encoding="utf-8") as file:
        for figure, part in (("training", "training"), ("all", "files, training and tests")):
            row = {"bench": "bench_mnist", "case": f"{CASE}, {epochs} epochs: {part}", "runs": len(arms[tarn]),
                   "median_ns": 1e9 * middle(arms[tarn], figure), "mad_ns": 1e9 * spread(arms[tarn], figure),
                   "gemm_ns": None, "stream_ns": None, "bytes": None, "floor": None, "floor_ns": None,
                   "floor_mad_ns": None, "ratio": None,
                   "note": f"test accuracy {100 * middle(arms[tarn], 'accuracy'):.2f} %",
                   "peers": {name: {"median_ns": 1e9 * middle(arms[name], figure),
                                    "mad_ns": 1e9 * spread(arms[name], figure)} for name in peers}}
            file.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="bench-mnist")
    for name in ("program", "data", "python"):
        parser.add_argument(f"--{name}", required=True)
    for name, default in (("rounds", 5), ("epochs", 10), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--as-shipped", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    arms = {}
    for seed in range(1, options.rounds + 1):
        tarn = run_tarn(options, seed)
        arms.setdefault("tarn", []).append(tarn)
        peer = run_peer(options, seed, tarn["kernels"])
        arms.setdefault(f"PyTorch {peer['version']}, {tarn['kernels']}", []).append(peer)
        if options.as_shipped:
            arms.setdefault(f"PyTorch {peer['version']} as shipped", []).append(run_peer(options, seed, None))
    print_table(arms, options.epochs)
    if options.json:
        write_rows(options.json, arms, options.epochs)


if __name__ == "__main__":
    main()
