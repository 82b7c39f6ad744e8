#!/usr/bin/env python3
"""Computes what tests/test_golden.c compares with: results and gradients of every operation, by PyTorch.

    tests/golden/make.py build/release/tests/test_golden

runs that program with --inputs, evaluates the trials that it prints in float64, and writes operations.txt beside this
script. PyTorch 1.13 is what Debian has (python3-torch). A new operation needs an entry in OPERATIONS: a function of its
operands x and its variant v, whose fields are those of op_variant in op_cases.h.
"""
import json
import os
import subprocess
import sys
from types import SimpleNamespace

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

DTYPES = {"float32": torch.float32, "float64": torch.float64, "int32": torch.int32, "int64": torch.int64,
          "uint8": torch.uint8}


# ---- operations

def every_axis(x, v):
    return v.axes or list(range(x.dim()))


def extreme(reduce):
    return lambda x, v: reduce(x[0], dim=every_axis(x[0], v), keepdim=bool(v.keep))


def total(reduce):
    """A reduction that means all axes by naming all: of a number without axes there is nothing to reduce."""
    return lambda x, v: reduce(x[0], every_axis(x[0], v), bool(v.keep)) if x[0].dim() > 0 else x[0].clone()


def place(find):
    """The place of an extreme among the elements of all reduced axes, counted in their order."""
    def apply(x, v):
        t = x[0]
        axes = sorted(a % t.dim() for a in every_axis(t, v))
        kept = [a for a in range(t.dim()) if a not in axes]
        rows = t.permute(kept + axes).reshape([t.shape[a] for a in kept] + [-1])
        y = find(rows, dim=-1)
        return y.reshape([1 if a in axes else t.shape[a] for a in range(t.dim())]) if v.keep else y
    return apply


def along(t, axis, index):
    """An index of all axes that takes everything, but `index` along one of them."""
    return tuple(index if a == axis % t.dim() else slice(None) for a in range(t.dim()))


def product(x, v):
    t = x[0]
    for a in sorted((a % t.dim() for a in every_axis(t, v)), reverse=True):
        t = torch.prod(t, dim=a, keepdim=bool(v.keep))
    return t


def variance(t, v):
    axes = every_axis(t, v)
    n = 1
    for a in axes:
        n *= t.shape[a]
    square = (t - t.mean(axes, keepdim=True)) ** 2 if axes else (t - t) ** 2
    return (square.sum(axes, bool(v.keep)) if axes else square) / (n - v.value)


def deviation(x, v):
    """PyTorch's own takes whole corrections only; where all terms are equal, its gradient is 0."""
    if v.value not in (0, 1):
        return torch.sqrt(variance(x[0], v))
    return torch.std(x[0], every_axis(x[0], v), correction=int(v.value), keepdim=bool(v.keep))


def padded(x, v):
    """The first half of target is what comes before, the second what comes after."""
    n = len(v.target) // 2
    pads = [p for i in reversed(range(n)) for p in (v.target[i], v.target[n + i])]
    return F.pad(x[0], pads, value=v.value)


def unsliced(x, v):
    shape = list(x[0].shape)
    n = shape[v.axis]
    shape[v.axis] = v.stop
    return torch.zeros(shape).index_add(v.axis, torch.arange(n) * v.step + v.start, x[0])


def convolution(f, transposed=False):
    """sizes: strides, paddings, dilations of rows and columns, groups, output padding of columns; step: that of
    rows. One dimension is the columns."""
    def apply(x, v):
        d = x[0].dim() - 2
        s = v.sizes
        options = {"stride": s[2 - d:2], "padding": s[4 - d:4], "dilation": s[6 - d:6], "groups": s[6]}
        if transposed:
            options["output_padding"] = [v.step, s[7]][2 - d:]
        return f(*x, **options)
    return apply


def convolution_dw(f):
    """The gradient of a convolution by its weights, which it depends on linearly."""
    def apply(x, v):
        kernel = [v.start, v.stop][4 - x[0].dim():]
        w = torch.zeros([x[1].shape[1], x[0].shape[1] // v.sizes[6], *kernel], requires_grad=True)
        y = convolution(f)([x[0], w], v)
        return torch.autograd.grad(y, w, x[1], create_graph=True)[0]
    return apply


def pooling(f, x, v, **more):
    """sizes: kernel, stride (0: the kernel), padding, of rows and columns."""
    d = x.dim() - 2
    kernel, stride, padding = v.sizes[2 - d:2], v.sizes[4 - d:4], v.sizes[6 - d:6]
    return f(x, kernel, [s or k for s, k in zip(stride, kernel)], padding, **more)


def average(x, v):
    if v.choice == 2:
        return F.adaptive_avg_pool2d(x, v.sizes[:2])
    f = F.avg_pool1d if x.dim() == 3 else F.avg_pool2d
    return pooling(f, x, v, count_include_pad=v.choice != 1)


def average_undone(x, v):
    """The adjoint of the average, from what the last two sizes say it was taken of."""
    wide = torch.zeros([*x[0].shape[:2], *v.sizes[10 - x[0].dim():]], requires_grad=True)
    return torch.autograd.grad(average(wide, v), wide, x[0], create_graph=True)[0]


def is_true(x):
    return x != 0


def unary(f):
    return lambda x, v: f(x[0])


def binary(f):
    return lambda x, v: f(x[0], x[1])


def scalar(f):
    return lambda x, v: f(x[0], v.value)


def number(v):
    return torch.tensor(v)


def loss(f):
    """A loss of operands, variant and PyTorch's name of the reduction."""
    def apply(x, v):
        losses = f(x, v, ("mean", "sum", "none", "sum")[v.choice])
        return losses / (x[0].shape[0] if x[0].dim() > 0 else 1) if v.choice == 3 else losses
    return apply


def losses(f):
    """One of which PyTorch has no reductions, or has others."""
    reduce = (torch.mean, torch.sum, lambda y: y, lambda y: y.sum() / (y.shape[0] if y.dim() > 0 else 1))
    return lambda x, v: reduce[v.choice](f(x, v))


def constants(shape):
    """What cases_losses.c weights elements by."""
    n = torch.Size(shape).numel()
    return (0.5 + 0.25 * (torch.arange(n) % 7)).reshape(shape)


def bce(x, v, reduction):
    weight, pos_weight = (constants(shape) for shape in BCE_WEIGHTS.get(v.variant, ((), ())))
    return F.binary_cross_entropy_with_logits(
        x[0], x[1], weight if v.step & 1 else None, reduction=reduction, pos_weight=pos_weight if v.step & 2 else None)


# Their shapes, by variant.
BCE_WEIGHTS = {0: ((4, 3), ()), 1: ((4, 1), ()), 2: ((), (3,)), 3: ((4, 1), (3,)), 4: ((), (2, 1, 1)), 5: ((), ()),
               6: ((3,), (1,))}


def cosine_embedding(x, v):
    s = F.cosine_similarity(x[0], x[1], -1)
    return torch.where(x[2] > 0, 1 - s, torch.relu(s - v.value))


def label_options(x, v):
    weight = 0.5 + 0.25 * torch.arange(x[0].shape[1]) if v.step else None
    return {"weight": weight, "ignore_index": v.start if v.stop else -100}


def nll(x, v, reduction):
    """PyTorch smooths labels of logits only."""
    labels, options = x[1].long(), label_options(x, v)
    own = F.nll_loss(x[0], labels, reduction=reduction, **options)
    if v.value == 0:
        return own
    w = torch.ones(x[0].shape[1]) if options["weight"] is None else options["weight"]
    counts = labels != options["ignore_index"]
    spread = -(x[0] * w.reshape([-1] + [1] * (x[0].dim() - 2))).sum(1) * counts
    if reduction != "none":
        spread = spread.sum()
    if reduction == "mean":
        spread = spread / w[labels[counts]].sum()
    return (1 - v.value) * own + v.value / x[0].shape[1] * spread


def label_weights(x, v):
    """What the classes of each row count, axis 1 being that of classes."""
    w, labels = x[0], x[1].long()
    n = w.shape[0]
    counts = (labels != v.start) | (v.stop == 0)
    y = ((1 - v.value) * F.one_hot(labels, n) + v.value / n) * w * counts.unsqueeze(-1)
    divisor = (w[labels[counts]].sum(), 1, 1, labels.shape[0])[v.choice]
    return torch.movedim(y / divisor, -1, 1)


def rms_norm(x, v):
    axes = tuple(range(-v.choice, 0))
    y = x[0] * torch.rsqrt((x[0] * x[0]).mean(axes, keepdim=True) + v.value)
    return y * x[1] if len(x) > 1 else y


def batch_moments(x, v):
    axes = [a for a in range(x[0].dim()) if a != 1]
    return torch.stack([x[0].mean(axes), x[0].var(axes, unbiased=False)])


def batch_norm_given(x, v):
    x, w, b, mean, var = (t if i == 0 else t.reshape([-1] + [1] * (x[0].dim() - 2)) for i, t in enumerate(x))
    return (x - mean) / torch.sqrt(var + v.value) * w + b


def sdpa(flags):
    def apply(x, v):
        q, k = x[0], x[1]
        scale = v.value or max(q.shape[-1], 1) ** -0.5
        scores = q @ k.transpose(-2, -1) * scale
        hidden = torch.zeros_like(scores, dtype=torch.bool)
        if len(x) > 3 and flags:
            hidden = hidden | (x[3] == 0)
        elif len(x) > 3:
            scores = scores + x[3]
        if v.choice:
            hidden = hidden | torch.ones_like(hidden).triu(1)
        p = torch.softmax(scores.masked_fill(hidden, -torch.inf), -1)
        return p.masked_fill(hidden.all(-1, keepdim=True), 0) @ x[2]
    return apply


def lstm_gates(x, v):
    i, f, g, o = x[0].chunk(4, -1)
    c = torch.sigmoid(f) * x[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.stack([torch.sigmoid(o) * torch.tanh(c), c])


def gru_gates(x, v):
    (xr, xz, xn), (qr, qz, qn) = x[0].chunk(3, -1), x[1].chunk(3, -1)
    r, z = torch.sigmoid(xr + qr), torch.sigmoid(xz + qz)
    return (1 - z) * torch.tanh(xn + r * qn) + z * x[2]


def recurrence(x, v):
    gates, w = x[0], x[1]
    b = x[2] if len(x) > 2 else torch.zeros(w.shape[0])
    h = x[3] if len(x) > 3 else torch.zeros(gates.shape[0], w.shape[1])
    c = x[4] if len(x) > 4 else torch.zeros_like(h)
    times = range(gates.shape[1])
    states = [None for t in times]
    for t in reversed(times) if v.start else times:
        q = h @ w.T + b
        if v.choice == 3:
            states[t] = lstm_gates([gates[:, t] + q, c], v)
            h, c = states[t]
        elif v.choice == 2:
            h = gru_gates([gates[:, t], q, h], v)
        else:
            h = (torch.relu if v.choice == 1 else torch.tanh)(gates[:, t] + q)
        if v.choice < 3:
            states[t] = h.unsqueeze(0)
    return torch.stack(states, 2)


# Rows of one operation that differ in how it is called are a list, in the order of the rows.
OPERATIONS = {
    # elementwise
    "add": binary(lambda a, b: a + b),
    "sub": binary(lambda a, b: a - b),
    "mul": binary(lambda a, b: a * b),
    "div": binary(lambda a, b: a / b),
    "pow": binary(torch.pow),
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "add_scalar": [scalar(lambda x, s: x + s), scalar(lambda x, s: x - s)],
    "rsub_scalar": scalar(lambda x, s: s - x),
    "mul_scalar": scalar(lambda x, s: x * s),
    "div_scalar": scalar(lambda x, s: x / s),
    "rdiv_scalar": scalar(lambda x, s: s / x),
    "pow_scalar": scalar(torch.pow),
    "maximum_scalar": scalar(lambda x, s: torch.maximum(x, number(s))),
    "minimum_scalar": scalar(lambda x, s: torch.minimum(x, number(s))),
    "neg": unary(torch.neg),
    "abs": unary(torch.abs),
    "sign": unary(torch.sign),
    "exp": unary(torch.exp),
    "log": unary(torch.log),
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "tanh": unary(torch.tanh),
    "sigmoid": unary(torch.sigmoid),
    "relu": unary(torch.relu),
    "leaky_relu": scalar(F.leaky_relu),
    "elu": scalar(F.elu),
    "softplus": unary(F.softplus),
    "silu": unary(F.silu),
    "gelu": unary(F.gelu),
    "gelu_tanh": unary(lambda x: F.gelu(x, approximate="tanh")),
    "expm1": unary(torch.expm1),
    "log1p": unary(torch.log1p),
    "rsqrt": unary(torch.rsqrt),
    "reciprocal": unary(torch.reciprocal),
    "sin": unary(torch.sin),
    "cos": unary(torch.cos),
    "erf": unary(torch.erf),
    "floor": unary(torch.floor),
    "ceil": unary(torch.ceil),
    "round": unary(torch.round),
    "clamp": lambda x, v: torch.clamp(x[0], v.value, v.value_b),
    "equal": binary(torch.eq),
    "not_equal": binary(torch.ne),
    "less": binary(torch.lt),
    "less_equal": binary(torch.le),
    "greater": binary(torch.gt),
    "greater_equal": binary(torch.ge),
    "equal_scalar": scalar(torch.eq),
    "not_equal_scalar": scalar(torch.ne),
    "less_scalar": scalar(torch.lt),
    "less_equal_scalar": scalar(torch.le),
    "greater_scalar": scalar(torch.gt),
    "greater_equal_scalar": scalar(torch.ge),
    "where": lambda x, v: torch.where(is_true(x[0]), x[1], x[2]),
    "masked_fill": lambda x, v: torch.masked_fill(x[0], is_true(x[1]), v.value),

    # products
    "matmul": binary(torch.matmul),
    "affine": lambda x, v: F.linear(*x),
    "affine_act": lambda x, v: [torch.relu, torch.tanh, torch.sigmoid, F.leaky_relu][v.choice](F.linear(*x)),
    "dot": binary(torch.dot),
    "outer": binary(torch.outer),

    # reductions
    "sum": total(torch.sum),
    "mean": total(torch.mean),
    "max": extreme(torch.amax),
    "min": extreme(torch.amin),
    "argmax": place(torch.argmax),
    "argmin": place(torch.argmin),
    "prod": product,
    "var": lambda x, v: variance(x[0], v),
    "std": deviation,
    "norm": lambda x, v: torch.linalg.vector_norm(x[0], v.value, every_axis(x[0], v), bool(v.keep)),
    "logsumexp": total(torch.logsumexp),
    "cumsum": lambda x, v: torch.cumsum(x[0], v.axis),
    "softmax": lambda x, v: torch.softmax(x[0], v.axis),
    "log_softmax": lambda x, v: torch.log_softmax(x[0], v.axis),

    # losses
    "bce_with_logits": loss(bce),
    "mse": loss(lambda x, v, r: F.mse_loss(x[0], x[1], reduction=r)),
    "l1": loss(lambda x, v, r: F.l1_loss(x[0], x[1], reduction=r)),
    "huber": loss(lambda x, v, r: F.smooth_l1_loss(x[0], x[1], reduction=r, beta=0.5 + 2**-7) if v.step
                  else F.huber_loss(x[0], x[1], reduction=r, delta=0.5 + 2**-7)),
    "hinge": losses(lambda x, v: torch.relu(0.5 + 2**-12 - x[0] * x[1]) ** (1 + v.step)),
    "kl_divergence": losses(lambda x, v: F.kl_div(x[0], x[1], reduction="none", log_target=bool(v.step))),
    "gaussian_nll": losses(lambda x, v: F.gaussian_nll_loss(*x, full=bool(v.step), reduction="none")),
    "cosine_similarity": lambda x, v: F.cosine_similarity(x[0], x[1], v.axis),
    "cosine_embedding": losses(cosine_embedding),
    "cross_entropy": loss(lambda x, v, r: F.cross_entropy(x[0], x[1].long(), reduction=r, **label_options(x, v),
                                                          label_smoothing=v.value)),
    "nll": loss(nll),
    "label_weights": label_weights,

    # normalisation, embedding, attention
    "layer_norm": lambda x, v: F.layer_norm(x[0], x[0].shape[-v.choice:], *x[1:], eps=v.value),
    "rms_norm": rms_norm,
    "group_norm": lambda x, v: F.group_norm(x[0], v.choice, *x[1:], eps=v.value),
    "batch_moments": batch_moments,
    "batch_norm": lambda x, v: F.batch_norm(x[0], None, None, *x[1:], training=True, eps=v.value),
    "batch_norm_given": batch_norm_given,
    "embedding": lambda x, v: F.embedding(x[1].long(), x[0]),
    "sdpa": [sdpa(False), sdpa(True)],
    "lstm_gates": lstm_gates,
    "gru_gates": gru_gates,
    "recurrence": recurrence,

    # shape
    "reshape": lambda x, v: x[0].reshape(v.target),
    "transpose": lambda x, v: x[0].transpose(v.axis, v.axis_b),
    "slice": lambda x, v: x[0][along(x[0], v.axis, slice(v.start, v.stop, v.step or 1))],
    "select": lambda x, v: x[0].select(v.axis, v.start),
    "permute": lambda x, v: x[0].permute(v.axes),
    "squeeze": lambda x, v: x[0].squeeze(v.axis),
    "squeeze_all": unary(torch.squeeze),
    "unsqueeze": lambda x, v: x[0].unsqueeze(v.start),
    "flatten": lambda x, v: x[0].flatten(v.axis, v.axis_b),
    "alias": unary(torch.clone),
    "broadcast_to": lambda x, v: torch.broadcast_to(x[0], v.target),
    "expand": lambda x, v: x[0].expand(v.target),
    "contiguous": unary(torch.clone),
    "cast": lambda x, v: x[0].to(DTYPES[v.dtype]),
    "detach": unary(torch.detach),

    # selection
    "flip": lambda x, v: torch.flip(x[0], every_axis(x[0], v)),
    "roll": lambda x, v: torch.roll(x[0], v.start, v.axis),
    "tile": lambda x, v: torch.cat([x[0]] * v.start, v.axis),
    "pad": padded,
    "unslice": unsliced,
    "tril": lambda x, v: torch.tril(x[0], v.start),
    "triu": lambda x, v: torch.triu(x[0], v.start),
    "concat": lambda x, v: torch.cat(x, v.axis),
    "stack": lambda x, v: torch.stack(x, v.start),
    "one_hot": lambda x, v: F.one_hot(x[0].long(), v.classes),
    "gather": lambda x, v: torch.gather(x[0], v.axis, x[1].long()),
    "scatter_add": lambda x, v: torch.scatter_add(x[0], v.axis, x[1].long(),
                                                  x[2][tuple(slice(n) for n in x[1].shape)]),
    "index_select": lambda x, v: torch.index_select(x[0], v.axis, x[1].long()),
    "index_add": lambda x, v: torch.index_add(x[0], v.axis, x[1].long(), x[2]),

    # convolution
    "conv1d": convolution(F.conv1d),
    "conv2d": convolution(F.conv2d),
    "conv_transpose1d": convolution(F.conv_transpose1d, True),
    "conv_transpose2d": convolution(F.conv_transpose2d, True),
    "conv1d_dw": convolution_dw(F.conv1d),
    "conv2d_dw": convolution_dw(F.conv2d),
    "max_pool1d": lambda x, v: pooling(F.max_pool1d, x[0], v),
    "max_pool2d": lambda x, v: pooling(F.max_pool2d, x[0], v),
    "adaptive_max_pool2d": lambda x, v: F.adaptive_max_pool2d(x[0], v.sizes[:2]),
    "avg_pool1d": lambda x, v: average(x[0], v),
    "avg_pool2d": lambda x, v: average(x[0], v),
    "adaptive_avg_pool2d": lambda x, v: F.adaptive_avg_pool2d(x[0], v.sizes[:2]),
    "avg_unpool": average_undone,
}


# ---- evaluation

def tensor(a):
    return torch.tensor(a["data"], dtype=DTYPES[a["dtype"]]).reshape(a["shape"])


def function(trial):
    f = OPERATIONS.get(trial["op"])
    if f is None:
        sys.exit(f"make.py: no entry for {trial['op']}")
    return f[trial["row"]] if isinstance(f, list) else f


def text(t):
    numbers = [t.dim(), *t.shape, *(repr(float(x)) for x in t.detach().reshape(-1))]
    return " ".join(str(n) for n in numbers)


def lines(trial):
    """The case, its result, and the gradient of each float operand."""
    x = [tensor(a) for a in trial["in"]]
    wanted = [i for i, t in enumerate(x) if t.is_floating_point() and trial["gradient"]]
    for i in wanted:
        x[i].requires_grad_(True)
    y = function(trial)(x, SimpleNamespace(**trial))
    yield f"case {trial['op']} {trial['row']} {trial['variant']} {trial['digest']}"
    yield f"out {text(y)}"
    if wanted:
        gradients = torch.autograd.grad(y, [x[i] for i in wanted], tensor(trial["cotangent"]).to(y.dtype),
                                        allow_unused=True)
        for i, g in zip(wanted, gradients):
            yield f"grad {i} {text(torch.zeros_like(x[i]) if g is None else g)}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    trials = subprocess.run([sys.argv[1], "--inputs"], check=True, capture_output=True, text=True).stdout.splitlines()
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "operations.txt")
    version = torch.__version__.split("a")[0]
    with open(file, "w", encoding="ascii") as out:
        out.write(f"# made by tests/golden/make.py with PyTorch {version}\n")
        for trial in trials:
            try:
                made = list(lines(json.loads(trial)))
            except Exception as e:
                sys.exit(f"make.py: {trial[:200]}: {e}")
            out.write("\n".join(made) + "\n")
    print(f"{len(trials)} trials in {os.path.getsize(file)} bytes")


main()
