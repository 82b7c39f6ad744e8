#!/usr/bin/env python3
"""Trains small models in PyTorch, in float64, and writes their losses to trajectories.txt beside this script.

    tests/golden/trajectories.py

tests/test_trajectories.c trains the same models on the same numbers. Weights and data are made by `numbers`, which
both sides compute exactly.
"""
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

STEPS = 20


def numbers(salt, *shape):
    """Multiples of 1/64 between -1/2 and 1/2 that look arbitrary: no two runs of them are alike."""
    n = torch.Size(shape).numel()
    i = torch.arange(n, dtype=torch.int64)
    h = ((i + 1) * 2654435761 + salt * 40503) % 4294967296
    return ((h >> 16) % 64 - 32).to(torch.float64).reshape(shape) / 64


def labels(salt, n, classes):
    return (numbers(salt, n) * 64 + 32).to(torch.int64) % classes


class Parameters:
    """Parameters in the order of creation; each is made with its number as salt, and scaled."""

    def __init__(self):
        self.all = []

    def make(self, *shape, scale=1.0):
        p = (numbers(len(self.all) + 1, *shape) * scale).requires_grad_(True)
        self.all.append(p)
        return p


def train(parameters, optimizer, loss):
    """The losses of STEPS steps; loss(step) computes each."""
    losses = []
    for step in range(STEPS):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def sgd(p):
    return torch.optim.SGD(p.all, lr=0.1, momentum=0.9)


def adam(p):
    return torch.optim.Adam(p.all, lr=0.05)


# ---- models: x is made with salt 100, labels with 101

def mlp(optimizer):
    p = Parameters()
    w1, b1 = p.make(8, 4, scale=2), p.make(8)
    w2, b2 = p.make(6, 8, scale=2), p.make(6)
    w3, b3 = p.make(3, 6, scale=2), p.make(3)
    x, y = numbers(100, 16, 4), labels(101, 16, 3)

    def loss(step):
        h = torch.tanh(F.linear(x, w1, b1))
        h = torch.sigmoid(F.linear(h, w2, b2))
        return F.cross_entropy(F.linear(h, w3, b3), y)
    return train(p, optimizer(p), loss)


def cnn(optimizer):
    p = Parameters()
    w1, b1 = p.make(4, 1, 3, 3), p.make(4)
    w2, b2 = p.make(6, 4, 3, 3), p.make(6)
    w3, b3 = p.make(5, 24), p.make(5)
    x, y = numbers(100, 8, 1, 8, 8), labels(101, 8, 5)

    def loss(step):
        h = F.max_pool2d(torch.relu(F.conv2d(x, w1, b1, padding=1)), 2)
        h = F.max_pool2d(torch.relu(F.conv2d(h, w2, b2, padding=1)), 2)
        return F.cross_entropy(F.linear(h.flatten(1), w3, b3), y)
    return train(p, optimizer(p), loss)


def attention(optimizer):
    """Tokens predict the next one: embedding and places, causal attention in two heads, both with layer norm."""
    p = Parameters()
    B, L, V, D, H = 4, 6, 11, 8, 2
    table, places = p.make(V, D, scale=2), p.make(L, D)
    g1, c1 = p.make(D), p.make(D)
    wq, wk, wv, wo = (p.make(D, D, scale=2) for _ in range(4))
    g2, c2 = p.make(D), p.make(D)
    w, b = p.make(V, D), p.make(V)
    tokens, y = labels(100, B * L, V).reshape(B, L), labels(101, B * L, V)
    hidden = torch.ones(L, L).triu(1) > 0

    def heads(h):
        return h.reshape(B, L, H, D // H).transpose(1, 2)

    def loss(step):
        x = F.embedding(tokens, table) + places
        h = F.layer_norm(x, [D], g1, c1, 1e-5)
        q, k, v = heads(F.linear(h, wq)), heads(F.linear(h, wk)), heads(F.linear(h, wv))
        scores = (q @ k.transpose(-1, -2) / (D // H) ** 0.5).masked_fill(hidden, -torch.inf)
        h = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, L, D)
        x = x + F.linear(h, wo)
        h = F.layer_norm(x, [D], g2, c2, 1e-5)
        return F.cross_entropy(F.linear(h, w, b).reshape(B * L, V), y)
    return train(p, optimizer(p), loss)


def make_lstm(p, inputs, hidden):
    """PyTorch's layer with parameters of ours, in its order."""
    layer = torch.nn.LSTM(inputs, hidden, batch_first=True)
    for name, old in list(layer.named_parameters()):
        delattr(layer, name)
        layer.register_parameter(name, torch.nn.Parameter(p.make(*old.shape).detach()))
        p.all[-1] = getattr(layer, name)
    layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]
    return layer


def lstm(optimizer):
    """Sequences to labels, by what the last step leaves."""
    p = Parameters()
    layer = make_lstm(p, 3, 5)
    w, b = p.make(4, 5, scale=2), p.make(4)
    x, y = numbers(100, 8, 6, 3) * 4, labels(101, 8, 4)

    def loss(step):
        _, (h, _) = layer(x)
        return F.cross_entropy(F.linear(h[-1], w, b), y)
    return train(p, optimizer(p), loss)


def carried(optimizer):
    """One long sequence in parts of four steps, whose states are carried over but not differentiated through."""
    p = Parameters()
    layer = make_lstm(p, 3, 5)
    w, b = p.make(2, 5, scale=2), p.make(2)
    x, y = numbers(100, 2, 4 * STEPS, 3) * 4, numbers(101, 2, 4 * STEPS, 2)
    state = None

    def loss(step):
        nonlocal state
        part = slice(4 * step, 4 * step + 4)
        h, (hidden, cell) = layer(x[:, part], state)
        state = hidden.detach(), cell.detach()
        return F.mse_loss(F.linear(h, w, b), y[:, part])
    return train(p, optimizer(p), loss)


TRAJECTORIES = {
    "mlp_sgd": lambda: mlp(sgd),
    "mlp_adam": lambda: mlp(adam),
    "cnn_sgd": lambda: cnn(sgd),
    "cnn_adam": lambda: cnn(adam),
    "attention_sgd": lambda: attention(sgd),
    "attention_adam": lambda: attention(adam),
    "lstm_sgd": lambda: lstm(sgd),
    "lstm_adam": lambda: lstm(adam),
    "carried_adam": lambda: carried(adam),
}


def main():
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trajectories.txt")
    version = torch.__version__.split("a")[0]
    with open(file, "w", encoding="ascii") as out:
        out.write(f"# made by tests/golden/trajectories.py with PyTorch {version}\n")
        for name, run in TRAJECTORIES.items():
            out.write(" ".join([name, *(repr(loss) for loss in run())]) + "\n")


main()
