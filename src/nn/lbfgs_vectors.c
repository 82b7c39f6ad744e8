/* SPDX-License-Identifier: MIT
 * lbfgs_vectors.c - the vectors of L-BFGS, parameter by parameter. */
#include <math.h>
#include <string.h>

#include "nn/lbfgs.h"

/* Partial sums, which a compiler can keep in vectors without reordering any addition. */
enum { LANES = 8 };

static double total(const double lanes[LANES])
{
    double sum = 0;
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

/* What makes a pair, and the pair. */
typedef struct tarn__pair_of {
    const void *direction, *g, *before;
    void *s, *y;
} tarn__pair_of;

#define TARN_KERNELS "nn/lbfgs_vectors.inc"
#include "ops/for_each_float.h"

/* A piece that is active: its parameter, type, elements and memory. */
typedef struct cursor {
    const tarn_optimizer *o;
    size_t i; /* of the next piece */
    tarn_tensor *parameter;
    char *memory;
    size_t n, bytes; /* of a vector */
    bool wide;       /* F64 */
} cursor;

static bool next(cursor *c)
{
    const tarn__lbfgs *b = c->o->own;
    while (c->i < c->o->n && !b->pieces[c->i].active) c->i++;
    if (c->i == c->o->n) return false;
    c->parameter = c->o->slots[c->i].parameter;
    c->memory = b->pieces[c->i].vectors->data;
    c->n = tarn__elements(c->parameter);
    c->bytes = tarn__bytes(c->parameter);
    c->wide = c->parameter->layout.dtype == TARN_F64;
    c->i++;
    return true;
}

static void *vector(const cursor *c, size_t number) { return c->memory + number * c->bytes; }

tarn__gradient_sums tarn__vectors_collect(const tarn_optimizer *o, size_t to)
{
    tarn__gradient_sums sums = { 0 };
    for (cursor c = { .o = o }; next(&c);) {
        if (!tarn_has_grad(c.parameter)) {
            if (c.bytes > 0) memset(vector(&c, to), 0, c.bytes);
            continue;
        }
        tarn_tensor *g = c.parameter->grad;
        tarn__materialize(g);
        if (c.wide) collect_f64(c.n, g->data, vector(&c, to), &sums);
        else collect_f32(c.n, g->data, vector(&c, to), &sums);
    }
    return sums;
}

void tarn__vectors_mark(const tarn_optimizer *o)
{
    for (cursor c = { .o = o }; next(&c);) {
        tarn__materialize(c.parameter);
        if (c.bytes > 0) memcpy(vector(&c, TARN__VECTOR_POINT), c.parameter->data, c.bytes);
    }
}

void tarn__vectors_move(const tarn_optimizer *o, double t)
{
    for (cursor c = { .o = o }; next(&c);) {
        tarn_tensor *w = c.parameter;
        const void *x = vector(&c, TARN__VECTOR_POINT), *d = vector(&c, TARN__VECTOR_DIRECTION);
        if (!w->requires_grad || c.n == 0) continue; /* the closure may have stopped it */
        tarn__touch(w, true);
        if (t == 0) memcpy(w->data, x, c.bytes);
        else if (c.wide) move_f64(c.n, w->data, x, t, d);
        else move_f32(c.n, w->data, x, (float)t, d);
    }
}

double tarn__vectors_dot(const tarn_optimizer *o, size_t x, size_t y)
{
    double sum = 0;
    for (cursor c = { .o = o }; next(&c);)
        sum += c.wide ? dot_f64(c.n, vector(&c, x), vector(&c, y))
                      : dot_f32(c.n, vector(&c, x), vector(&c, y));
    return sum;
}

double tarn__vectors_largest(const tarn_optimizer *o, size_t x)
{
    double most = 0;
    for (cursor c = { .o = o }; next(&c);)
        most =
            c.wide ? largest_f64(c.n, vector(&c, x), most) : largest_f32(c.n, vector(&c, x), most);
    return most;
}

double tarn__vectors_negate(const tarn_optimizer *o, size_t x, size_t y, size_t z)
{
    double sum = 0;
    for (cursor c = { .o = o }; next(&c);)
        sum += c.wide ? negate_f64(c.n, vector(&c, x), vector(&c, y), vector(&c, z))
                      : negate_f32(c.n, vector(&c, x), vector(&c, y), vector(&c, z));
    return sum;
}

double tarn__vectors_advance(const tarn_optimizer *o, size_t x, double a, size_t y, double f,
                             size_t z)
{
    double sum = 0;
    for (cursor c = { .o = o }; next(&c);) {
        const void *y_of = vector(&c, y), *z_of = vector(&c, z);
        sum += c.wide ? advance_f64(c.n, vector(&c, x), a, y_of, f, z_of)
                      : advance_f32(c.n, vector(&c, x), (float)a, y_of, (float)f, z_of);
    }
    return sum;
}

void tarn__vectors_pair(const tarn_optimizer *o, size_t pair, size_t g, size_t before, double t,
                        double *sy, double *yy)
{
    *sy = *yy = 0;
    for (cursor c = { .o = o }; next(&c);) {
        const tarn__pair_of p = { .direction = vector(&c, TARN__VECTOR_DIRECTION),
                                  .g = vector(&c, g),
                                  .before = vector(&c, before),
                                  .s = vector(&c, tarn__vector_s(pair)),
                                  .y = vector(&c, tarn__vector_y(pair)) };
        if (c.wide) pair_f64(c.n, &p, t, sy, yy);
        else pair_f32(c.n, &p, (float)t, sy, yy);
    }
}
