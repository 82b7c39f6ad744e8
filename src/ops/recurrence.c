/* SPDX-License-Identifier: MIT
 * recurrence.c - a recurrent layer's way through a sequence: all steps in one operation.
 *
 * Letters: B examples, T steps, H units, G = 1, 3 or 4 H gates. The products of the inputs, x
 * (B, T, G), come from outside, where they are one product for all steps. A step computes
 *
 *     q = w h_before + b   (B, G)
 *     h = f(x + q),   or the formulas of gates.inc,
 *
 * and all states are the result, (1, B, T, H), or of an LSTM, whose c stand behind, (2, B, T, H).
 * Backward goes the other way: from the gradients of a step's states it has those of x and of q,
 * and with the latter dw = sum(dq^T h_before), db = sum(dq), dh_before = dq w (and, of a GRU, what
 * z lets through). What is kept for it, beside the result, are the values of the gates. */
#include <string.h>

#include "core/size.h"
#include "ops/gates.h"
#include "ops/gemm.h"
#include "ops/loop.h"
#include "ops/op_list.h"

enum { X, W, BIAS, H0, C0 };

typedef struct sizes {
    int64_t B, T, H, G;
    tarn_rnn_kind kind;
    bool reverse;
} sizes;

static int gates_of(tarn_rnn_kind kind) { return kind == TARN_LSTM ? 4 : kind == TARN_GRU ? 3 : 1; }

static bool has_gates(tarn_rnn_kind kind) { return gates_of(kind) > 1; }

static sizes sizes_of(const tarn__call *call)
{
    const tarn__layout *x = &call->in[X]->layout, *w = &call->in[W]->layout;
    return (sizes){ .B = x->dims[0],
                    .T = x->dims[1],
                    .H = w->dims[1],
                    .G = w->dims[0],
                    .kind = (tarn_rnn_kind)call->attr->choice,
                    .reverse = call->attr->axis != 0 };
}

/* Which time a step is about. */
static int64_t time_of(const sizes *s, int64_t step) { return s->reverse ? s->T - 1 - step : step; }

/* ---- the shape rule */

static tarn_status check_products(const tarn__call *call, int64_t n_gates)
{
    const tarn__layout *x = &call->in[X]->layout, *w = &call->in[W]->layout;
    char x_text[TARN__DESCRIPTION_BYTES], w_text[TARN__DESCRIPTION_BYTES];
    if (x->ndim == 3 && w->ndim == 2 && x->dims[2] == w->dims[0] && w->dims[0] % n_gates == 0 &&
        w->dims[0] / n_gates == w->dims[1])
        return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE,
                           "x %s, w %s; x (B, T, %lld H) and w (%lld H, H) are needed",
                           tarn__describe(call->in[X], x_text), tarn__describe(call->in[W], w_text),
                           (long long)n_gates, (long long)n_gates);
}

static bool is_matrix(const tarn__layout *l, int64_t rows, int64_t columns)
{
    return l->ndim == 2 && l->dims[0] == rows && l->dims[1] == columns;
}

static tarn_status check_states(const tarn__call *call, const sizes *s)
{
    const tarn_tensor *b = call->in[BIAS];
    char text[TARN__DESCRIPTION_BYTES];
    if (b != NULL && (b->layout.ndim != 1 || b->layout.dims[0] != s->G))
        return tarn__call_fail(call, TARN_ESHAPE, "b %s; b [%lld] is needed",
                               tarn__describe(b, text), (long long)s->G);
    for (int i = H0; i <= C0; i++)
        if (call->in[i] != NULL && !is_matrix(&call->in[i]->layout, s->B, s->H))
            return tarn__call_fail(call, TARN_ESHAPE, "%s %s; %s [%lld,%lld] is needed",
                                   call->op->operands[i], tarn__describe(call->in[i], text),
                                   call->op->operands[i], (long long)s->B, (long long)s->H);
    return TARN_OK;
}

static tarn_status recurrence_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int kind = call->attr->choice;
    (void)offset;
    if (kind > TARN_LSTM)
        return tarn__call_fail(call, TARN_EARG, "%d is no kind of recurrence", kind);
    tarn_status status = check_products(call, gates_of((tarn_rnn_kind)kind));
    if (status != TARN_OK) return status;
    const sizes s = sizes_of(call);
    status = check_states(call, &s);
    if (status != TARN_OK) return status;
    if (call->in[C0] != NULL && s.kind != TARN_LSTM)
        return tarn__call_fail(call, TARN_EARG, "a state c, which only an LSTM has");
    *out = (tarn__layout){ .dtype = call->in[X]->layout.dtype,
                           .ndim = 4,
                           .dims = { s.kind == TARN_LSTM ? 2 : 1, s.B, s.T, s.H } };
    return TARN_OK;
}

/* ---- what is kept, and room to work in */

/* The values of the gates of all steps (T, B, 4 H). */
static void recurrence_aux(const tarn__call *call, tarn__layout *layout)
{
    const sizes s = sizes_of(call);
    layout->dtype = call->in[X]->layout.dtype;
    layout->ndim = 4;
    layout->dims[0] = s.T;
    layout->dims[1] = s.B;
    layout->dims[2] = has_gates(s.kind) ? 4 : 0;
    layout->dims[3] = s.H;
}

/* Forward: the products of a step, (B, G). Backward: db (G) in double, then the gradients of x and
 * q (B, G) and of both states (B, H) of a step. */
static size_t recurrence_scratch(const tarn__call *call)
{
    const sizes s = sizes_of(call);
    const size_t size = tarn_dtype_size((tarn_dtype)call->in[X]->layout.dtype);
    size_t units, bytes;
    if (!tarn__size_mul((size_t)s.B, (size_t)s.G, &units) ||
        !tarn__size_mul(units, call->dout != NULL ? 4 * size : size, &bytes) ||
        !tarn__size_add(bytes, call->dout != NULL ? (size_t)s.G * sizeof(double) : 0, &bytes))
        return SIZE_MAX;
    return bytes;
}

#define TARN_KERNELS "ops/recurrence.inc"
#include "ops/for_each_simd.h"

/* ---- as other operations */

/* A state where none was given. */
static tarn_tensor *or_zeros(const tarn__call *call, int i, const sizes *s)
{
    if (call->in[i] != NULL) return call->in[i];
    const tarn_dtype dtype = (tarn_dtype)call->in[X]->layout.dtype;
    return tarn_zeros(call->manager, dtype, TARN_SHAPE(s->B, s->H));
}

/* One step: the states (1 or 2, B, H) from those before. */
static tarn_tensor *compose_step(const tarn__call *call, const sizes *s, int64_t t, tarn_tensor *h,
                                 tarn_tensor *c)
{
    tarn_tensor *x = tarn_select(call->in[X], 1, t);
    tarn_tensor *q = tarn_affine(h, call->in[W], call->in[BIAS]);
    if (s->kind == TARN_GRU) return tarn_unsqueeze(tarn_gru_gates(x, q, h), 0);
    tarn_tensor *sum = tarn_add(x, q);
    if (s->kind == TARN_LSTM) return tarn_lstm_gates(sum, c);
    return tarn_unsqueeze(s->kind == TARN_RNN_RELU ? tarn_relu(sum) : tarn_tanh(sum), 0);
}

static tarn_tensor *recurrence_compose(const tarn__call *call)
{
    const sizes s = sizes_of(call);
    const bool is_lstm = s.kind == TARN_LSTM;
    const size_t bytes = (size_t)s.T * sizeof(tarn_tensor *);
    if (s.T == 0) return tarn_reshape(call->in[X], TARN_SHAPE(is_lstm ? 2 : 1, s.B, 0, s.H));
    tarn_tensor **states = tarn__record_take(call->manager, call->op->name, bytes); /* (T) */
    if (states == NULL) return NULL;
    tarn_tensor *h = or_zeros(call, H0, &s);
    tarn_tensor *c = is_lstm ? or_zeros(call, C0, &s) : NULL;
    for (int64_t step = 0; step < s.T; step++) {
        const int64_t t = time_of(&s, step);
        states[t] = compose_step(call, &s, t, h, c);
        h = tarn_select(states[t], 0, 0);
        if (is_lstm) c = tarn_select(states[t], 0, 1);
    }
    tarn_tensor *y = tarn_stack(states, (int)s.T, 2);
    tarn__record_give(call->manager, states, bytes);
    return y;
}

/* ---- the operation */

/* All gradients go through all steps. Of b only the layout matters. */
enum { ALL = TARN__USES_IN1 | TARN__USES_IN3 | TARN__USES_IN4 | TARN__USES_OUT };

const tarn__op tarn__op_recurrence = {
    .name = "recurrence",
    .operands = { "x", "w", "b", "h", "c" },
    .arity = 5,
    .optional = 28,
    .uses = { ALL, ALL, ALL, ALL, ALL },
    .infer = recurrence_infer,
    .forward = TARN__KERNELS(recurrence_forward),
    .backward = TARN__KERNELS(recurrence_backward),
    .aux = recurrence_aux,
    .scratch = recurrence_scratch,
    .compose = recurrence_compose,
};

tarn_tensor *tarn_recurrence(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b, tarn_rnn_state state,
                             const tarn_recurrence_options *options)
{
    static const tarn_recurrence_options defaults;
    const tarn_recurrence_options *o = options != NULL ? options : &defaults;
    tarn_tensor *const in[] = { x, w, b, state.h, state.c };
    const unsigned kind = (unsigned)o->kind;
    return tarn__apply(&tarn__op_recurrence, in,
                       &(tarn__attr){ .choice = (uint8_t)(kind < UINT8_MAX ? kind : UINT8_MAX),
                                      .axis = o->reverse });
}
