# SPDX-License-Identifier: MIT
"""Rows of benchmarks: reading them, joining those of several runs, and telling noise from a change.

A row is what bench_write (measure.h) writes: a JSON object whose figures are nanoseconds. A row's key is its program and
its case.
"""
import json
import statistics

# A change is taken for one only beyond so many MAD of the ratios, and beyond this share. Where the MAD of a comparison
# is so large that a change by NOISY would pass for noise, it says so.
MADS = 3
LEAST = 0.03
NOISY = 0.10

FIGURES = ("median_ns", "gemm_ns", "stream_ns", "floor_ns", "floor_mad_ns")


def read(path):
    """The machine of a file of rows, and its rows by key."""
    machine, rows = {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["bench"] == "machine":
                machine = row
            else:
                rows[row["bench"], row["case"]] = row
    return machine, rows


def write(path, machine, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in [machine, *rows.values()]:
            file.write(json.dumps(row) + "\n")


def mad(values):
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def join(runs):
    """The rows of several runs as one: medians of their medians. Their MAD is that of the runs' medians if there are
    enough of them, else what a run found within itself."""
    joined = {}
    for key, row in runs[-1].items():
        same = [run[key] for run in runs if key in run]
        row = dict(row)
        for figure in FIGURES:
            values = [r[figure] for r in same if r.get(figure) is not None]
            row[figure] = statistics.median(values) if values else None
        if row["gemm_ns"] is not None and row["stream_ns"] is not None:
            row["floor_ns"] = row["gemm_ns"] + row["stream_ns"]  # as in each run
        medians = [r["median_ns"] for r in same]
        row["mad_ns"] = mad(medians) if len(medians) > 2 else statistics.median(r["mad_ns"] for r in same)
        row["ratio"] = row["median_ns"] / row["floor_ns"] if row["floor_ns"] else None
        row["runs"] = len(same)
        row["peers"] = {}
        for name in {name for r in same for name in r.get("peers", {})}:
            times = [r["peers"][name]["median_ns"] for r in same if name in r["peers"]]
            row["peers"][name] = {"median_ns": statistics.median(times), "mad_ns": mad(times)}
        joined[key] = row
    return joined


def verdict(change, spread):
    """What a ratio of times means whose MAD is known: "slower", "faster", "same", or "noise"."""
    bound = max(LEAST, MADS * spread)
    if change > 1 + bound:
        return "slower"
    if change < 1 / (1 + bound):
        return "faster"
    return "noise" if bound > NOISY else "same"


def scatter(times):
    """How far the ratio of a time to the one before is from 1: the median over all."""
    ratios = [b / a for a, b in zip(times, times[1:])]
    return statistics.median(abs(ratio - 1) for ratio in ratios) if ratios else 0.0


def compare_runs(old, new):
    """Compares runs that took turns: of each row the median of the ratios new / old, their MAD and the verdict. A few
    ratios may agree by chance, so that their MAD counts no less than what either side differs by from run to run."""
    result = {}
    for key in new[0]:
        pairs = [(o[key]["median_ns"], n[key]["median_ns"]) for o, n in zip(old, new) if key in o and key in n]
        if not pairs:
            continue
        ratios = [n / o for o, n in pairs]
        before, now = zip(*pairs)
        change, spread = statistics.median(ratios), max(mad(ratios), scatter(before), scatter(now))
        result[key] = {"old_ns": statistics.median(before), "new_ns": statistics.median(now), "change": change,
                       "mad": spread, "verdict": verdict(change, spread)}
    return result


def confirm(first, second):
    """What a repeated comparison leaves of a change that the first found."""
    return {key: c if key not in second or second[key]["verdict"] == c["verdict"] else {**second[key], "verdict": "noise"}
            for key, c in first.items()}


def compare_records(old, new):
    """Compares two runs of different times, perhaps machines: ratios to the floors, which both measured. The MAD is
    the sum of those of all four figures, and as much as NOISY / MADS at least: clocks differ by the hour."""
    result = {}
    for key in new:
        o, n = old.get(key), new[key]
        if o is None or not o.get("ratio") or not n.get("ratio"):
            continue
        spread = sum(r["mad_ns"] / r["median_ns"] + (r.get("floor_mad_ns") or 0) / r["floor_ns"] for r in (o, n))
        spread = max(spread, NOISY / MADS)
        change = n["ratio"] / o["ratio"]
        result[key] = {"old_ns": o["median_ns"], "new_ns": n["median_ns"], "change": change, "mad": spread,
                       "verdict": verdict(change, spread)}
    return result


# ---- tables

def time(ns):
    """Nanoseconds in the unit that suits them, three digits long; nothing where there is nothing."""
    if not ns:
        return ""
    for unit in ("ns", "us", "ms"):
        if ns < 999.5:
            break
        ns /= 1000
    else:
        unit = "s"
    digits = 2 if ns < 9.995 else 1 if ns < 99.95 else 0
    return f"{ns:.{digits}f} {unit}"


def table(header, lines):
    """A table as Markdown has them, its columns aligned: the first to the left, figures to the right."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]

    def text(line):
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
        return "| " + " | ".join(cells) + " |"
    rule = "|" + "|".join("-" * (width + (2 if i == 0 else 1)) + ("" if i == 0 else ":")
                          for i, width in enumerate(widths)) + "|"
    return "\n".join([text(header), rule, *map(text, lines)])


def beside(row, name):
    """A peer's time, and how many times ours it is."""
    peer = row["peers"].get(name)
    return f"{time(peer['median_ns'])}, {peer['median_ns'] / row['median_ns']:.1f}x" if peer else ""


def results(rows):
    """The table of the rows of one program: columns that would be empty are left out, and peers have a column each
    unless they are too many."""
    names = list(dict.fromkeys(name for row in rows for name in row["peers"]))
    columns = [("", lambda r: r["case"]), ("tarn", lambda r: time(r["median_ns"])), ("+-", lambda r: time(r["mad_ns"]))]
    if any(row["floor_ns"] for row in rows):
        columns.append(("floor", lambda r: time(r["floor_ns"])))
    if any(row["gemm_ns"] or row["stream_ns"] for row in rows):
        columns += [("products", lambda r: time(r["gemm_ns"])), ("streams", lambda r: time(r["stream_ns"])),
                    ("of MB", lambda r: "" if r["bytes"] is None else f"{r['bytes'] / 1e6:.3g}")]
    if any(row["ratio"] for row in rows):
        columns.append(("ratio", lambda r: f"{r['ratio']:.{2 if r['ratio'] >= 0.1 else 4}f}" if r["ratio"] else ""))
    if any(row.get("reason") for row in rows):
        columns.append(("why", lambda r: r.get("reason") or ""))
    if len(names) <= 6:
        columns += [(name, lambda r, name=name: beside(r, name)) for name in names]
    else:
        columns.append(("beside", lambda r: "; ".join(f"{name} {beside(r, name)}" for name in r["peers"])))
    return table([name for name, cell in columns], [[cell(row) for name, cell in columns] for row in rows])


def changes(compared):
    """The table of a comparison."""
    return table(["", "old", "new", "new / old", "+-", ""],
                 [[case, time(c["old_ns"]), time(c["new_ns"]), f"{c['change']:.3f}", f"{c['mad']:.3f}", c["verdict"]]
                  for (program, case), c in compared.items()])
