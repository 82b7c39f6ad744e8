/* SPDX-License-Identifier: MIT
 * recurrence.c - recurrent cells and layers. What lies between their operations is let go at once:
 * where backward needs it, the tape has it. */
#include <tarn/sequence.h>

#include <math.h>
#include <stdio.h>

#include <tarn/functional.h>
#include <tarn/shape.h>

#include "core/size.h"
#include "nn/layer.h"

static void let_go(tarn_tensor *t)
{
    if (t != NULL) tarn_release(t);
}

/* ---- making */

static int gates_of(tarn_rnn_kind kind) { return kind == TARN_LSTM ? 4 : kind == TARN_GRU ? 3 : 1; }

enum { SUFFIX_BYTES = 24 }; /* of "_l31_reverse" */

/* "weight_ih" with a suffix. */
static const char *suffixed(char text[TARN__NAME_BYTES], const char *name, const char *suffix)
{
    (void)snprintf(text, TARN__NAME_BYTES, "%s%s", name, suffix);
    return text;
}

/* The parameters of one step; false if one could not be made. */
static bool add_weights(tarn_module *module, tarn_rnn_weights *w, const char *suffix, int64_t in,
                        int64_t hidden, const tarn_rnn_options *o)
{
    char name[TARN__NAME_BYTES];
    const double bound = 1 / sqrt((double)hidden);
    tarn_init init = o->init;
    int64_t G;
    if (!tarn__i64_mul(hidden, gates_of(o->kind), &G)) {
        (void)tarn__fail(module->object.manager, TARN_EOVERFLOW, "%s: %lld units are too many",
                         module->label, (long long)hidden);
        return false;
    }
    if (init.kind == TARN_INIT_DEFAULT)
        init = (tarn_init){ .kind = TARN_INIT_UNIFORM, .a = -bound, .b = bound };
    w->weight_ih = tarn_module_add_parameter(module, suffixed(name, "weight_ih", suffix), o->dtype,
                                             TARN_SHAPE(G, in), &init);
    if (w->weight_ih == NULL) return false;
    w->weight_hh = tarn_module_add_parameter(module, suffixed(name, "weight_hh", suffix), o->dtype,
                                             TARN_SHAPE(G, hidden), &init);
    if (w->weight_hh == NULL || o->no_bias) return w->weight_hh != NULL;
    w->bias_ih = tarn_module_add_parameter(module, suffixed(name, "bias_ih", suffix), o->dtype,
                                           TARN_SHAPE(G), &init);
    if (w->bias_ih == NULL) return false;
    w->bias_hh = tarn_module_add_parameter(module, suffixed(name, "bias_hh", suffix), o->dtype,
                                           TARN_SHAPE(G), &init);
    return w->bias_hh != NULL;
}

static const char *kind_name(tarn_rnn_kind kind)
{
    return kind == TARN_LSTM ? "lstm" : kind == TARN_GRU ? "gru" : "rnn";
}

/* The module of a layer or cell; NULL with the error held. */
static tarn_module *add_module(tarn_module *parent, const char *name, int64_t in, int64_t hidden,
                               const tarn_rnn_options *o)
{
    tarn_module *module = tarn__module_add(parent, name, kind_name(o->kind));
    if (module == NULL) return NULL;
    tarn_manager *tm = module->object.manager;
    const bool known = (int)o->kind >= 0 && (int)o->kind <= (int)TARN_LSTM;
    if (known && in >= 1 && hidden >= 1 && o->layers >= 0 && o->layers <= TARN_RNN_MAX_LAYERS)
        return module;
    if (!known) (void)tarn__fail(tm, TARN_EARG, "%s: unknown kind %d", module->label, (int)o->kind);
    else if (in < 1 || hidden < 1)
        (void)tarn__fail(tm, TARN_ESHAPE,
                         "%s: %lld inputs and %lld units; at least 1 of each is needed",
                         module->label, (long long)in, (long long)hidden);
    else
        (void)tarn__fail(tm, TARN_EARG, "%s: %d layers; 1 to %d are possible", module->label,
                         o->layers, TARN_RNN_MAX_LAYERS);
    tarn__module_discard(module);
    return NULL;
}

/* ---- cells */

tarn_rnn_cell tarn_rnn_cell_create(tarn_module *parent, const char *name, int64_t in,
                                   int64_t hidden)
{
    return tarn_rnn_cell_create_with(parent, name, in, hidden, NULL);
}

tarn_rnn_cell tarn_lstm_cell_create(tarn_module *parent, const char *name, int64_t in,
                                    int64_t hidden)
{
    return tarn_rnn_cell_create_with(parent, name, in, hidden,
                                     &(tarn_rnn_options){ .kind = TARN_LSTM });
}

tarn_rnn_cell tarn_gru_cell_create(tarn_module *parent, const char *name, int64_t in,
                                   int64_t hidden)
{
    return tarn_rnn_cell_create_with(parent, name, in, hidden,
                                     &(tarn_rnn_options){ .kind = TARN_GRU });
}

tarn_rnn_cell tarn_rnn_cell_create_with(tarn_module *parent, const char *name, int64_t in,
                                        int64_t hidden, const tarn_rnn_options *options)
{
    static const tarn_rnn_options defaults;
    const tarn_rnn_options *o = options == NULL ? &defaults : options;
    tarn_rnn_cell cell = { .kind = o->kind };
    cell.module = add_module(parent, name, in, hidden, o);
    if (cell.module == NULL) return (tarn_rnn_cell){ 0 };
    if (o->layers > 1 || o->bidirectional)
        (void)tarn__fail(parent->object.manager, TARN_EARG, "%s: a cell is one layer",
                         cell.module->label);
    else if (add_weights(cell.module, &cell.weights, "", in, hidden, o)) return cell;
    tarn__module_discard(cell.module);
    return (tarn_rnn_cell){ 0 };
}

/* Zeros (B, H) for a state that was not given; x has been multiplied by a weight, so that it is a
 * tensor (B, G). */
static tarn_tensor *or_zeros(tarn_tensor *state, const tarn_tensor *products, int64_t hidden)
{
    if (state != NULL || products == NULL || products->layout.ndim == 0) return state;
    tarn_shape shape = tarn_get_shape(products);
    shape.dims[shape.ndim - 1] = hidden;
    return tarn_zeros(products->manager, (tarn_dtype)products->layout.dtype, shape);
}

/* Whether a state, where it is given, belongs to as many rows as x has. What is wrong with x itself
 * the product says. */
static bool check_cell_state(const tarn_rnn_cell *cell, const tarn_tensor *x, tarn_rnn_state state)
{
    const tarn__layout *w = &cell->weights.weight_ih->layout;
    char text[TARN__DESCRIPTION_BYTES], x_text[TARN__DESCRIPTION_BYTES],
        needed[TARN__DESCRIPTION_BYTES];
    tarn__layout l = x->layout;
    if (l.ndim < 1 || l.dims[l.ndim - 1] != w->dims[1]) return true;
    l.dims[l.ndim - 1] = cell->weights.weight_hh->layout.dims[1];
    for (int i = 0; i < 2; i++) {
        const tarn_tensor *t = i == 0 ? state.h : state.c;
        if (t == NULL || tarn__same_shape(&t->layout, &l)) continue;
        (void)tarn__fail(x->manager, TARN_ESHAPE,
                         "%s: x %s, %s %s: a state (B, hidden) = %s is needed", cell->module->label,
                         tarn__describe(x, x_text), i == 0 ? "h" : "c", tarn__describe(t, text),
                         tarn__describe_layout(&l, needed));
        return false;
    }
    return true;
}

/* The next state from both products. */
static tarn_rnn_state step(const tarn_rnn_cell *cell, tarn_tensor *x, tarn_tensor *q,
                           tarn_rnn_state state)
{
    if (cell->kind == TARN_GRU) return (tarn_rnn_state){ .h = tarn_gru_gates(x, q, state.h) };
    tarn_tensor *sum = tarn_add(x, q);
    tarn_rnn_state next = { 0 };
    if (cell->kind == TARN_LSTM) {
        tarn_tensor *both = tarn_lstm_gates(sum, state.c);
        next.h = tarn_select(both, 0, 0);
        next.c = tarn_select(both, 0, 1);
        let_go(both);
    } else {
        next.h = cell->kind == TARN_RNN_RELU ? tarn_relu(sum) : tarn_tanh(sum);
    }
    let_go(sum);
    return next;
}

tarn_rnn_state tarn_rnn_cell_forward(const tarn_rnn_cell *cell, tarn_tensor *x,
                                     tarn_rnn_state state)
{
    tarn_rnn_state next = { 0 };
    if (cell == NULL || cell->module == NULL) (void)tarn__without_layer(x, "rnn");
    else if (x == NULL) (void)tarn__without_input(cell->module);
    if (cell == NULL || cell->module == NULL || x == NULL) return next;
    const tarn_rnn_weights *w = &cell->weights;
    const int64_t hidden = w->weight_hh->layout.dims[1];
    const tarn_rnn_state given = state;
    if (!check_cell_state(cell, x, state)) return next;
    const tarn__outside before = tarn__enter_layer(x->manager, cell->module);
    tarn_tensor *products = tarn_affine(x, w->weight_ih, w->bias_ih);
    state.h = or_zeros(given.h, products, hidden);
    if (cell->kind == TARN_LSTM) state.c = or_zeros(given.c, products, hidden);
    tarn_tensor *q = tarn_affine(state.h, w->weight_hh, w->bias_hh);
    if (products != NULL && q != NULL) next = step(cell, products, q, state);
    let_go(products);
    let_go(q);
    if (given.h == NULL) let_go(state.h);
    if (given.c == NULL && cell->kind == TARN_LSTM) let_go(state.c);
    tarn__leave_layer(x->manager, before);
    return next;
}

/* ---- layers */

tarn_rnn tarn_rnn_create(tarn_module *parent, const char *name, int64_t in, int64_t hidden)
{
    return tarn_rnn_create_with(parent, name, in, hidden, NULL);
}

tarn_rnn tarn_lstm_create(tarn_module *parent, const char *name, int64_t in, int64_t hidden)
{
    return tarn_rnn_create_with(parent, name, in, hidden, &(tarn_rnn_options){ .kind = TARN_LSTM });
}

tarn_rnn tarn_gru_create(tarn_module *parent, const char *name, int64_t in, int64_t hidden)
{
    return tarn_rnn_create_with(parent, name, in, hidden, &(tarn_rnn_options){ .kind = TARN_GRU });
}

/* The parameters of all layers and directions; false if some could not be made. */
static bool add_layers(tarn_rnn *rnn, int64_t in, int64_t hidden, const tarn_rnn_options *o)
{
    const int n = rnn->layers * rnn->directions;
    rnn->weights = tarn__module_record(rnn->module, (size_t)n * sizeof(tarn_rnn_weights));
    for (int i = 0; rnn->weights != NULL && i < n; i++) {
        char suffix[SUFFIX_BYTES];
        const int layer = i / rnn->directions;
        (void)snprintf(suffix, sizeof(suffix), "_l%d%s", layer,
                       i % rnn->directions == 0 ? "" : "_reverse");
        const int64_t inputs = layer == 0 ? in : rnn->directions * hidden;
        if (!add_weights(rnn->module, &rnn->weights[i], suffix, inputs, hidden, o)) return false;
    }
    return rnn->weights != NULL;
}

tarn_rnn tarn_rnn_create_with(tarn_module *parent, const char *name, int64_t in, int64_t hidden,
                              const tarn_rnn_options *options)
{
    static const tarn_rnn_options defaults;
    const tarn_rnn_options *o = options == NULL ? &defaults : options;
    tarn_rnn rnn = { .layers = o->layers > 0 ? o->layers : 1,
                     .directions = o->bidirectional ? 2 : 1,
                     .kind = o->kind };
    rnn.module = add_module(parent, name, in, hidden, o);
    if (rnn.module == NULL) return (tarn_rnn){ 0 };
    if (add_layers(&rnn, in, hidden, o)) return rnn;
    tarn__module_discard(rnn.module);
    return (tarn_rnn){ 0 };
}

/* What one layer's pass in one direction gives. */
typedef struct pass {
    tarn_tensor *y;      /* (B, T, H) */
    tarn_rnn_state last; /* (B, H) */
} pass;

/* States of all layers and directions, while they are collected. */
typedef struct states {
    tarn_tensor *h[2 * TARN_RNN_MAX_LAYERS], *c[2 * TARN_RNN_MAX_LAYERS];
} states;

/* State number i of those that were given. */
static tarn_rnn_state initial(tarn_rnn_state given, int i)
{
    tarn_rnn_state s = { 0 };
    if (given.h != NULL) s.h = tarn_select(given.h, 0, i);
    if (given.c != NULL) s.c = tarn_select(given.c, 0, i);
    return s;
}

/* Every h, or every c, of a recurrence's result (which, B, T, H), and the last of them. */
static tarn_tensor *take(tarn_tensor *all, int which, int64_t last_time, tarn_tensor **last)
{
    tarn_tensor *one = tarn_select(all, 0, which);
    *last = tarn_select(one, 1, last_time);
    return one;
}

static pass run(const tarn_rnn *rnn, int i, tarn_tensor *x, tarn_rnn_state given)
{
    const tarn_rnn_weights *w = &rnn->weights[i];
    const bool reverse = i % rnn->directions != 0;
    const int64_t last = reverse ? 0 : x->layout.dims[1] - 1;
    pass p = { 0 };
    tarn_rnn_state first = initial(given, i);
    tarn_tensor *products = tarn_affine(x, w->weight_ih, w->bias_ih);
    tarn_tensor *all =
        tarn_recurrence(products, w->weight_hh, w->bias_hh, first,
                        &(tarn_recurrence_options){ .kind = rnn->kind, .reverse = reverse });
    p.y = take(all, 0, last, &p.last.h);
    if (rnn->kind == TARN_LSTM) let_go(take(all, 1, last, &p.last.c));
    let_go(all);
    let_go(products);
    let_go(first.h);
    let_go(first.c);
    return p;
}

/* One layer; notes the states that its directions ended with. x is let go if it is ours. */
static tarn_tensor *run_layer(const tarn_rnn *rnn, int layer, tarn_tensor *x, tarn_rnn_state given,
                              states *ended)
{
    tarn_tensor *y[2] = { NULL, NULL };
    for (int d = 0; d < rnn->directions; d++) {
        const int i = layer * rnn->directions + d;
        const pass p = run(rnn, i, x, given);
        y[d] = p.y;
        ended->h[i] = p.last.h;
        ended->c[i] = p.last.c;
        if (p.y == NULL) break;
    }
    if (layer > 0) let_go(x);
    if (rnn->directions == 1) return y[0];
    tarn_tensor *both = y[1] != NULL ? tarn_concat(y, 2, -1) : NULL;
    let_go(y[0]);
    let_go(y[1]);
    return both;
}

/* n tensors (B, H) as one (n, B, H); they are let go. */
static tarn_tensor *gather(tarn_tensor **parts, int n)
{
    tarn_tensor *all = n == 1 ? tarn_unsqueeze(parts[0], 0) : tarn_stack(parts, n, 0);
    for (int i = 0; i < n; i++) let_go(parts[i]);
    return all;
}

static bool is_state(const tarn_tensor *t, const int64_t dims[3])
{
    const tarn__layout *l = &t->layout;
    return l->ndim == 3 && l->dims[0] == dims[0] && l->dims[1] == dims[1] && l->dims[2] == dims[2];
}

/* Whether the sequences have steps, and states the shape that they need. */
static bool check_inputs(const tarn_rnn *rnn, const tarn_tensor *x, tarn_rnn_state state)
{
    const tarn__layout *w = &rnn->weights[0].weight_ih->layout, *l = &x->layout;
    const char *label = rnn->module->label;
    char text[TARN__DESCRIPTION_BYTES], x_text[TARN__DESCRIPTION_BYTES];
    if (l->ndim != 3 || l->dims[1] < 1 || l->dims[2] != w->dims[1]) {
        const bool is_one = l->ndim == 2 && l->dims[1] == w->dims[1];
        (void)tarn__fail(x->manager, TARN_ESHAPE,
                         "%s: x %s; x (B, T, %lld) of at least one time is needed%s", label,
                         tarn__describe(x, text), (long long)w->dims[1],
                         is_one ? " (tarn_unsqueeze(x, 0) makes a batch of one sequence)" : "");
        return false;
    }
    const int64_t dims[3] = { rnn->layers * rnn->directions, l->dims[0],
                              rnn->weights[0].weight_hh->layout.dims[1] };
    for (int i = 0; i < 2; i++) {
        const tarn_tensor *t = i == 0 ? state.h : state.c;
        if (t == NULL || is_state(t, dims)) continue;
        (void)tarn__fail(x->manager, TARN_ESHAPE,
                         "%s: x %s, %s %s: a state (layers directions, B, hidden) = "
                         "[%lld,%lld,%lld] is needed",
                         label, tarn__describe(x, x_text), i == 0 ? "h" : "c",
                         tarn__describe(t, text), (long long)dims[0], (long long)dims[1],
                         (long long)dims[2]);
        return false;
    }
    return true;
}

static tarn_rnn_output run_layers(const tarn_rnn *rnn, tarn_tensor *x, tarn_rnn_state state)
{
    const int n = rnn->layers * rnn->directions;
    tarn_rnn_output out = { .y = x };
    states ended = { { NULL }, { NULL } };
    if (!check_inputs(rnn, x, state)) return (tarn_rnn_output){ 0 };
    for (int layer = 0; layer < rnn->layers && out.y != NULL; layer++)
        out.y = run_layer(rnn, layer, out.y, state, &ended);
    if (out.y != NULL) out.state.h = gather(ended.h, n);
    if (out.y != NULL && rnn->kind == TARN_LSTM) out.state.c = gather(ended.c, n);
    const bool complete = out.state.h != NULL && (out.state.c != NULL || rnn->kind != TARN_LSTM);
    return complete ? out : (tarn_rnn_output){ 0 };
}

tarn_rnn_output tarn_rnn_forward(const tarn_rnn *layer, tarn_tensor *x, tarn_rnn_state state)
{
    tarn_rnn_output out = { 0 };
    if (layer == NULL || layer->module == NULL) {
        (void)tarn__without_layer(x, "rnn");
        return out;
    }
    if (x == NULL) {
        (void)tarn__without_input(layer->module);
        return out;
    }
    if (!tarn__readable(x, layer->module->label)) return out;
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    out = run_layers(layer, x, state);
    tarn__leave_layer(x->manager, before);
    return out;
}
