/* SPDX-License-Identifier: MIT
 * gates.c - what a step of an LSTM or of a GRU does after its products.
 *
 * Letters: R rows (all axes but the last), H units. The values of the gates are kept for backward,
 * so that nothing is exponentiated twice. */
#include <string.h>

#include "ops/gates.h"
#include "ops/op_list.h"

/* H, if an operand's last axis is `gates` times as long as that of the state (operand number i) and
 * all others are equal; else -1. */
static int64_t units_of(const tarn__layout *gates, int n_gates, const tarn__layout *state)
{
    const int last = state->ndim - 1;
    if (last < 0 || gates->ndim != state->ndim) return -1;
    for (int i = 0; i < last; i++)
        if (gates->dims[i] != state->dims[i]) return -1;
    const int64_t H = state->dims[last];
    return gates->dims[last] % n_gates == 0 && gates->dims[last] / n_gates == H ? H : -1;
}

typedef struct sizes {
    int64_t R, H;
} sizes;

/* Of the state, which is the last operand. */
static sizes sizes_of(const tarn__call *call)
{
    const tarn__layout *state = &call->in[call->op->arity - 1]->layout;
    sizes s = { .R = 1, .H = state->dims[state->ndim - 1] };
    for (int i = 0; i < state->ndim - 1; i++) s.R *= state->dims[i];
    return s;
}

/* ---- shape rules */

static tarn_status infer_lstm(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *c = &call->in[1]->layout;
    char gates_text[TARN__DESCRIPTION_BYTES], c_text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (units_of(&call->in[0]->layout, 4, c) < 0)
        return tarn__call_fail(
            call, TARN_ESHAPE, "gates %s, c %s; gates (..., 4 H) and c (..., H) are needed",
            tarn__describe(call->in[0], gates_text), tarn__describe(call->in[1], c_text));
    if (c->ndim == TARN_MAX_DIMS)
        return tarn__call_fail(call, TARN_ESHAPE, "c %s: the result would have %d axes",
                               tarn__describe(call->in[1], c_text), TARN_MAX_DIMS + 1);
    *out = (tarn__layout){ .dtype = c->dtype, .ndim = (uint8_t)(c->ndim + 1), .dims = { 2 } };
    for (int i = 0; i < c->ndim; i++) out->dims[i + 1] = c->dims[i];
    return TARN_OK;
}

static tarn_status infer_gru(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *h = &call->in[2]->layout;
    char x[TARN__DESCRIPTION_BYTES], q[TARN__DESCRIPTION_BYTES], text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (units_of(&call->in[0]->layout, 3, h) < 0 || units_of(&call->in[1]->layout, 3, h) < 0)
        return tarn__call_fail(call, TARN_ESHAPE,
                               "x %s, q %s, h %s; x and q (..., 3 H) and h (..., H) are needed",
                               tarn__describe(call->in[0], x), tarn__describe(call->in[1], q),
                               tarn__describe(call->in[2], text));
    *out = *h;
    return TARN_OK;
}

/* Four values a unit. */
static void gates_aux(const tarn__call *call, tarn__layout *layout)
{
    const sizes s = sizes_of(call);
    layout->dtype = call->in[0]->layout.dtype;
    layout->ndim = 3;
    layout->dims[0] = s.R;
    layout->dims[1] = 4;
    layout->dims[2] = s.H;
}

/* Backward: one row of gradients of the gates (of a GRU two) and of a state. */
static size_t gates_scratch(const tarn__call *call)
{
    if (call->dout == NULL) return 0;
    return (size_t)sizes_of(call).H * 7 * tarn_dtype_size((tarn_dtype)call->in[0]->layout.dtype);
}

#define TARN_KERNELS "ops/gates_kernels.inc"
#include "ops/for_each_simd.h"

/* ---- as other operations */

/* Part number i of the last axis, H elements long. */
static tarn_tensor *part(tarn_tensor *gates, int64_t H, int i)
{
    return tarn_slice(gates, -1, i * H, (i + 1) * H);
}

static tarn_tensor *lstm_compose(const tarn__call *call)
{
    const int64_t H = sizes_of(call).H;
    tarn_tensor *gates = call->in[0];
    tarn_tensor *i = tarn_sigmoid(part(gates, H, 0));
    tarn_tensor *f = tarn_sigmoid(part(gates, H, 1));
    tarn_tensor *g = tarn_tanh(part(gates, H, 2));
    tarn_tensor *o = tarn_sigmoid(part(gates, H, 3));
    tarn_tensor *old = tarn_mul(f, call->in[1]);
    tarn_tensor *new = tarn_mul(i, g);
    tarn_tensor *c = tarn_add(old, new);
    tarn_tensor *h = tarn_mul(o, tarn_tanh(c));
    tarn_tensor *const states[] = { h, c };
    return tarn_stack(states, 2, 0);
}

static tarn_tensor *gru_compose(const tarn__call *call)
{
    const int64_t H = sizes_of(call).H;
    tarn_tensor *x = call->in[0], *q = call->in[1], *h = call->in[2];
    tarn_tensor *both = tarn_add(tarn_slice(x, -1, 0, 2 * H), tarn_slice(q, -1, 0, 2 * H));
    tarn_tensor *r = tarn_sigmoid(part(both, H, 0));
    tarn_tensor *z = tarn_sigmoid(part(both, H, 1));
    tarn_tensor *reset = tarn_mul(r, part(q, H, 2));
    tarn_tensor *n = tarn_tanh(tarn_add(part(x, H, 2), reset));
    tarn_tensor *d = tarn_sub(h, n);
    return tarn_add(n, tarn_mul(z, d));
}

/* ---- the operations */

const tarn__op tarn__op_lstm_gates = {
    .name = "lstm_gates",
    .operands = { "gates", "c" },
    .arity = 2,
    .uses = { TARN__USES_IN1 | TARN__USES_OUT, TARN__USES_OUT },
    .infer = infer_lstm,
    .forward = TARN__KERNELS(lstm_forward),
    .backward = TARN__KERNELS(lstm_backward),
    .aux = gates_aux,
    .scratch = gates_scratch,
    .compose = lstm_compose,
};

const tarn__op tarn__op_gru_gates = {
    .name = "gru_gates",
    .operands = { "x", "q", "h" },
    .arity = 3,
    .uses = { TARN__USES_IN2, TARN__USES_IN2, 0 },
    .infer = infer_gru,
    .forward = TARN__KERNELS(gru_forward),
    .backward = TARN__KERNELS(gru_backward),
    .aux = gates_aux,
    .scratch = gates_scratch,
    .compose = gru_compose,
};

tarn_tensor *tarn_lstm_gates(tarn_tensor *gates, tarn_tensor *c)
{
    return tarn__apply2(&tarn__op_lstm_gates, gates, c, NULL);
}

tarn_tensor *tarn_gru_gates(tarn_tensor *x, tarn_tensor *q, tarn_tensor *h)
{
    tarn_tensor *const in[] = { x, q, h };
    return tarn__apply(&tarn__op_gru_gates, in, NULL);
}
