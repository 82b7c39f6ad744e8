#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Trains in PyTorch what examples/mnist trains, and times it. Used by scripts/bench-mnist.

    mnist_pytorch.py FOLDER [--epochs N] [--batch N] [--seed N] [--threads N]

784-128-10 with ReLU, cross-entropy, Adam with a rate that falls from 0.001 to 0 along a cosine from step to step, a new
order in each epoch, a test after each: the example's program. It is written as somebody would who wants it fast: no
DataLoader, which makes batches of single images in Python; all images become floats once and stay so, a batch is one
indexing of them, and the rate is set without a scheduler object. Prints one line of JSON: the seconds of reading and
converting, of training with its batches, of the tests, of all of it on the clock and on the processor, and the last
accuracy.
"""
import argparse
import gzip
import json
import math
import time
from pathlib import Path

import numpy
import torch
from torch import nn

MEAN, DEVIATION, RATE, TEST_BATCH = 33.32, 78.57, 0.001, 1000


def read(folder, name):
    """The bytes of a file in IDX, behind its header."""
    for ending, opener in (("", open), (".gz", gzip.open)):
        for dot in "-.":
            path = Path(folder) / f"{name[:-11]}{dot}{name[-10:]}{ending}"
            if path.exists():
                with opener(path, "rb") as file:
                    data = file.read()
                return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).copy())
    raise SystemExit(f"{folder} has no {name}")


def load(folder, part):
    images = read(folder, f"{part}-images-idx3-ubyte").view(-1, 784)
    labels = read(folder, f"{part}-labels-idx1-ubyte")
    return images.float().sub_(MEAN).mul_(1 / DEVIATION), labels.long()


def train(model, optimizer, data, batch, place, places):
    images, labels = data
    order = torch.randperm(len(labels))
    total = 0
    for i, rows in enumerate(order.split(batch)):
        optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * (place + i) / places)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(images.index_select(0, rows)), labels.index_select(0, rows))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(labels)


def test(model, data):
    correct = 0
    with torch.inference_mode():
        for images, labels in zip(data[0].split(TEST_BATCH), data[1].split(TEST_BATCH)):
            correct += (model(images).argmax(1) == labels).sum().item()
    return correct / len(data[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    for name, default in (("epochs", 10), ("batch", 128), ("seed", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    moments, processor = [time.perf_counter()], time.process_time()
    training, testing = load(options.folder, "train"), load(options.folder, "t10k")
    moments.append(time.perf_counter())
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = math.ceil(len(training[1]) / options.batch)
    seconds = {"reading": moments[1] - moments[0], "training": 0, "testing": 0}
    accuracy = loss = math.nan
    for epoch in range(options.epochs):
        began = time.perf_counter()
        loss = train(model, optimizer, training, options.batch, epoch * steps, options.epochs * steps)
        trained = time.perf_counter()
        accuracy = test(model, testing)
        seconds["training"] += trained - began
        seconds["testing"] += time.perf_counter() - trained
    print(json.dumps({**seconds, "all": time.perf_counter() - moments[0],
                      "processor": time.process_time() - processor, "loss": loss, "accuracy": accuracy,
                      "version": torch.__version__}))


if __name__ == "__main__":
    main()
