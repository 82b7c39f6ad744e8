#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Times training steps in PyTorch, written as its tutorials write them. Used by scripts/bench --peers.

    pytorch.py [--threads N] [--repetitions N] [--json FILE] CASE ...

A case is a name of bench_step: "784-128-10 b32 SGD", or one that begins with XOR.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn

REPETITION_NS = 2e6
NO_PROGRESS = 1e-9  # as in steps.c: what is learnt would change the numbers, and with them the time


def make_xor():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    return model, x, y, nn.functional.binary_cross_entropy_with_logits


def make_mlp(sizes, batch):
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(inputs, outputs)] + ([nn.ReLU()] if i + 2 < len(sizes) else [])
    return (nn.Sequential(*layers), torch.rand(batch, sizes[0]), torch.arange(batch) % sizes[-1],
            nn.functional.cross_entropy)


def make_step(case):
    """A function that makes one step."""
    name, *rest = case.split(" ")
    if name == "XOR":
        model, x, y, loss_of = make_xor()
    else:
        batch = int(rest[0][1:])
        model, x, y, loss_of = make_mlp([int(size) for size in name.split("-")], batch)
    kind = torch.optim.Adam if rest[-1] == "Adam" else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=NO_PROGRESS)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(x), y).backward()
        optimizer.step()
    return step


def measure(step, repetitions):
    """Median and MAD of the repetitions, in nanoseconds a step: of the processor if there is one thread, as in
    measure.h, else of the wall clock."""
    clock = time.process_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns

    def once(calls):
        start = clock()
        for _ in range(calls):
            step()
        return (clock() - start) / calls
    once(3)
    calls = max(1, int(REPETITION_NS / max(1, once(3))))
    times = [once(calls) for _ in range(repetitions)]
    middle = statistics.median(times)
    return middle, statistics.median(abs(t - middle) for t in times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--json")
    parser.add_argument("cases", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = []
    for case in options.cases:
        median, mad = measure(make_step(case), options.repetitions)
        print(f"{case}: {median / 1e3:.1f} +- {mad / 1e3:.1f} us")
        rows.append({"bench": "pytorch", "case": case, "median_ns": median, "mad_ns": mad})
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
