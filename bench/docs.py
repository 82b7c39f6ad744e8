# SPDX-License-Identifier: MIT
"""Writes the figures and pictures of docs/ and the README anew, from the rows of a run.

    docs.py FILE

FILE is what scripts/bench --json writes; `scripts/bench --docs` runs everything first. A text has places such as

    <!-- figures: steps -->
    ...
    <!-- end of figures -->

between whose lines the figures of that name are put. Needs matplotlib (python3-matplotlib) for the pictures.
"""
import re
import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plot  # noqa: E402
import matplotlib.ticker  # noqa: E402

import rows  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ("README.md", "docs/performance.md")

# Colours that stay apart for those who see few, on light and dark pages alike.
PRODUCTS, STREAMS, TAPE, REST, TARN, FLOOR = "#4477aa", "#66ccee", "#ccbb44", "#ee6677", "#ee6677", "#4477aa"


class Run:
    """The rows of a run by program and case."""

    def __init__(self, path):
        self.machine, self.all = rows.read(path)

    def of(self, program):
        return [row for (owner, _), row in self.all.items() if owner == program]

    def row(self, program, case):
        return self.all[program, case]


def peer(row, beginning):
    """The peer whose name begins so, beside the row."""
    return next((rows.beside(row, name) for name in row["peers"] if name.startswith(beginning)), "")


# ---- tables

def wrap(text):
    return textwrap.fill(text, 120)


def machine(run):
    m = run.machine
    return wrap(f"Measured on one of {m['processors']} cores ({m['cpu']}, {m['simd']}) under {m['system']}, OpenBLAS having "
            f"its kernels \"{m['blas_core']}\", with tarn {m['commit']}; medians of repetitions in turn.")


def steps(run):
    def planned(row, cell):
        found = run.all.get(("bench_step", f"{row['case']}, planned"))
        return cell(found) if found else ""

    def ratio(row):
        return f"{row['ratio']:.2f}"
    return rows.table(["step", "tarn", "planned", "floor", "ratio", "planned", "PyTorch, same BLAS kernels",
                       "PyTorch as shipped"],
                      [[r["case"], rows.time(r["median_ns"]), planned(r, lambda p: rows.time(p["median_ns"])),
                        rows.time(r["floor_ns"]), ratio(r), planned(r, ratio), peer(r, "PyTorch,"), peer(r, "PyTorch as")]
                       for r in run.of("bench_step") if not r["case"].endswith(", planned")])


def step_parts(run):
    return rows.table(["step", "tarn", "+-", "products", "streams", "of", "floor", "ratio"],
                      [[r["case"], rows.time(r["median_ns"]), rows.time(r["mad_ns"]), rows.time(r["gemm_ns"]),
                        rows.time(r["stream_ns"]), f"{r['bytes'] / 1e6:.2f} MB" if r["bytes"] else "",
                        rows.time(r["floor_ns"]), f"{r['ratio']:.2f}"] for r in run.of("bench_step")])


def share(run):
    return rows.table(["of a step of 784-128-10, batch 32, SGD", "time", "share"],
                      [[r["case"], rows.time(r["median_ns"]), f"{100 * r['ratio']:.2f} %"] for r in run.of("bench_share")])


def threads(run):
    found = run.of("bench_threads")
    return rows.table(["step", "one thread", f"{found[0]['threads']} threads", "faster"],
                      [[r["case"], rows.time(r["floor_ns"]), rows.time(r["median_ns"]), f"{1 / r['ratio']:.2f}x"] for r in found])


def operations(run):
    """The rows that are far above their floor, and how many there are."""
    found = [r for r in run.of("bench_ops") if r["ratio"]]
    far = [r for r in found if r["ratio"] > 1.5]
    text = f"{len(found) - len(far)} of {len(found)} rows are within 1.5 times their floor. The others:\n\n"
    return text + rows.table(["operation", "tarn", "floor", "ratio", "why"],
                             [[r["case"], rows.time(r["median_ns"]), rows.time(r["floor_ns"]), f"{r['ratio']:.1f}",
                               r.get("reason") or ""] for r in far])


def tensors(run):
    ways = {"nothing written": "zeros {}, not written, beside calloc",
            "filled by tarn": "zeros {}, tarn_fill_with, beside calloc, loop",
            "first gradient": "zeros as gradient {}, tarn_backward, beside calloc, += loop"}

    def cell(case):
        row = run.row("bench_pool", case)
        (plain,) = row["peers"].values()
        return (f"{rows.time(row['median_ns'])} against {rows.time(plain['median_ns'])}: "
                f"{plain['median_ns'] / row['median_ns']:.1f}x")
    sizes = ("[10,10]", "[100,100]", "[1000,1000]")
    return rows.table(["shape", *ways], [[size, *(cell(case.format(size)) for case in ways.values())] for size in sizes])


def requests(run):
    row = run.row("replay", "mnist_step, untouched")
    names = ("libc", "jemalloc", "mimalloc")

    def times(call):
        return [f"{row['peers'][f'{name} {call}']['median_ns']:.1f} ({name})" for name in names
                if f"{name} {call}" in row["peers"]]
    return wrap(f"The memory requests of a recorded training step, replayed, take {row['median_ns']:.1f} ns a pair of acquire "
            f"and release, with statistics; by malloc {', '.join(times('malloc'))}, and where memory is aligned to 64 "
            f"bytes as the pool's is, {', '.join(times('aligned_alloc'))} ns.")


TABLES = {f.__name__.replace("_", " "): f for f in (machine, steps, step_parts, share, threads, operations, tensors, requests)}


def fill(text, run):
    """The text with the figures of each place."""
    def figures(match):
        return f"{match[1]}\n{TABLES[match[2]](run)}\n{match[3]}"
    return re.sub(r"(<!-- figures: ([a-z ]+) -->)\n.*?(<!-- end of figures -->)", figures, text, flags=re.DOTALL)


# ---- pictures

def save(figure, name):
    """The same rows give the same file."""
    figure.savefig(ROOT / "docs" / "images" / name, metadata={"Date": None}, bbox_inches="tight")
    plot.close(figure)


def draw_steps(run):
    """A bar a step: what of its time is products, streams, and neither."""
    found = run.of("bench_step")[::-1]
    figure, axes = plot.subplots(figsize=(9, 0.55 * len(found) + 1.2))
    for i, row in enumerate(found):
        floor = [row["floor_ns"], 0] if row["gemm_ns"] is None else [row["gemm_ns"], row["stream_ns"]]
        whole = max(row["median_ns"], sum(floor))
        left = 0.0
        for part, colour in zip([*floor, whole - sum(floor)], (PRODUCTS, STREAMS, REST)):
            axes.barh(i, 100 * part / whole, left=left, color=colour, height=0.7)
            left += 100 * part / whole
        axes.text(101, i, f"{rows.time(row['median_ns'])}, {row['ratio']:.2f} times its floor", va="center")
    axes.set_yticks(range(len(found)), [row["case"] for row in found])
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the step")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    handles = [plot.Rectangle((0, 0), 1, 1, color=colour) for colour in (PRODUCTS, STREAMS, REST)]
    axes.legend(handles, ["matrix products in BLAS (XOR: the whole step by hand)", "streaming the bytes",
                          "above the floor"], loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    save(figure, "step-time.svg")


def draw_scale(run):
    """Time by batch and by width, beside the floor."""
    def series(which):
        found = [(int(which(r["case"])[1]), r) for r in run.of("bench_scale") if which(r["case"])]
        return [n for n, r in found], [r["median_ns"] / 1e3 for n, r in found], [r["floor_ns"] / 1e3 for n, r in found]
    figure, panels = plot.subplots(1, 2, figsize=(11, 3.8))
    for axes, which, label in (
            (panels[0], lambda case: re.match(r"784-128-10 b(\d+) ", case), "batch (784-128-10, SGD)"),
            (panels[1], lambda case: re.match(r"784-(\d+)-10 b64 ", case), "width (784-width-10, batch 64, SGD)")):
        sizes, ours, floor = series(which)
        order = sorted(range(len(sizes)), key=lambda i: sizes[i])
        axes.loglog([sizes[i] for i in order], [ours[i] for i in order], "o-", color=TARN, label="tarn")
        axes.loglog([sizes[i] for i in order], [floor[i] for i in order], "s--", color=FLOOR, label="floor")
        axes.set_xticks([1, 4, 16, 64, 256, 1024, 4096], minor=False)
        axes.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.set_xlabel(label)
        axes.set_ylabel("us a step")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.tight_layout()
    save(figure, "step-scale.svg")


def main():
    run = Run(sys.argv[1])
    matplotlib.rcParams.update({"svg.hashsalt": "tarn", "svg.fonttype": "none", "font.size": 10,
                                "savefig.facecolor": "white"})
    draw_steps(run)
    draw_scale(run)
    for name in TEXTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        path.write_text(fill(text, run), encoding="utf-8")
        print(f"{name}: {len(re.findall('<!-- figures: ', text))} places written")


if __name__ == "__main__":
    main()
