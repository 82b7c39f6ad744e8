/* SPDX-License-Identifier: MIT
 * floor.c - plans of products and streams, and their times. */
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

const char floor_method[] =
    "products in BLAS, each in its fastest layout, and plain vector loops over the bytes, in the "
    "order and on the buffers of the work, the two clocked apart";

float *floor_buffer(floor_plan *f, size_t n)
{
    float *data = aligned_alloc(64, (n + STREAM_LANES - 1) / STREAM_LANES * 64 + 64);
    if (data == NULL || f->n_buffers == FLOOR_BUFFERS) {
        fprintf(stderr, "benchmark: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n + STREAM_LANES; i++) data[i] = (float)(i % 97) / 97 - 0.5f;
    return f->buffers[f->n_buffers++] = data;
}

static floor_part *new_part(floor_plan *f)
{
    if (f->n_parts == FLOOR_PARTS) abort();
    return &f->parts[f->n_parts++];
}

void floor_add_product(floor_plan *f, int m, int n, int k, float *a, float *b, float *c)
{
    *new_part(f) = (floor_part){ .is_product = true,
                                 .product = { .m = m, .n = n, .k = k, .a = a, .b = b, .c = c } };
}

void floor_add_stream(floor_plan *f, stream s) { *new_part(f) = (floor_part){ .stream = s }; }

/* ---- the step of an MLP */

/* What a layer of O units on I inputs works on. */
typedef struct layer {
    int in, out;
    float *w, *b, *dw, *db; /* (O,I), (O), and their gradients */
    float *y, *dy;          /* (B,O) */
    float *moments[2][2];   /* of w and of b */
} layer;

static void add_update(floor_plan *f, float *w, float *g, float *const moments[2], size_t n)
{
    if (moments[0] == NULL) {
        floor_add_stream(f, (stream){ .reads = 2, .writes = 1, .n = n, { w, g }, { w } });
        return;
    }
    floor_add_stream(f, (stream){ .reads = 4,
                                  .writes = 3,
                                  .n = n,
                                  { w, g, moments[0], moments[1] },
                                  { w, moments[0], moments[1] } });
}

static layer make_layer(floor_plan *f, int in, int out, int batch, optimizer_kind kind)
{
    const size_t n_w = (size_t)in * (size_t)out, n_b = (size_t)out, n_y = (size_t)batch * n_b;
    layer l = { .in = in, .out = out };
    l.w = floor_buffer(f, n_w), l.dw = floor_buffer(f, n_w);
    l.b = floor_buffer(f, n_b), l.db = floor_buffer(f, n_b);
    l.y = floor_buffer(f, n_y), l.dy = floor_buffer(f, n_y);
    for (int i = 0; kind == OPTIMIZER_ADAM && i < 2; i++)
        l.moments[0][i] = floor_buffer(f, n_w), l.moments[1][i] = floor_buffer(f, n_b);
    return l;
}

void floor_add_mlp(floor_plan *f, const int *sizes, int n_sizes, int batch, optimizer_kind kind)
{
    enum { MAX_LAYERS = 4 };
    layer layers[MAX_LAYERS];
    const int last = n_sizes - 2;
    if (last >= MAX_LAYERS) abort();
    float *x = floor_buffer(f, (size_t)batch * (size_t)sizes[0]);
    for (int i = 0; i <= last; i++) {
        layer *l = &layers[i];
        *l = make_layer(f, sizes[i], sizes[i + 1], batch, kind);
        const size_t n_y = (size_t)batch * (size_t)l->out;
        floor_add_product(f, batch, l->out, l->in, i == 0 ? x : layers[i - 1].y, l->w, l->y);
        floor_add_stream(
            f,
            (stream){ .reads = 1, .writes = 1, .n = n_y, { l->y }, { i < last ? l->y : l->dy } });
    }
    for (int i = last; i >= 0; i--) {
        const layer *l = &layers[i], *below = &layers[i > 0 ? i - 1 : 0];
        floor_add_product(f, l->out, l->in, batch, l->dy, i == 0 ? x : below->y, l->dw);
        if (i == 0) break;
        floor_add_product(f, batch, l->in, l->out, l->dy, l->w, below->dy);
        floor_add_stream(f, (stream){ .reads = 2,
                                      .writes = 1,
                                      .n = (size_t)batch * (size_t)l->in,
                                      { below->dy, below->y },
                                      { below->dy } });
    }
    for (int i = 0; i <= last; i++) {
        const layer *l = &layers[i];
        add_update(f, l->w, l->dw, l->moments[0], (size_t)l->in * (size_t)l->out);
        add_update(f, l->b, l->db, l->moments[1], (size_t)l->out);
    }
}

/* ---- running */

void floor_tune(floor_plan *f, int repetitions)
{
    for (int i = 0; i < f->n_parts; i++)
        if (f->parts[i].is_product) product_tune(&f->parts[i].product, repetitions);
}

/* The clock is read only where products and streams meet. */
void floor_run(void *context)
{
    floor_plan *f = context;
    double start = now_ns();
    for (int i = 0; i < f->n_parts; i++) {
        const floor_part *part = &f->parts[i];
        if (part->is_product) product_run(&part->product);
        else stream_run(&part->stream);
        if (i + 1 == f->n_parts || f->parts[i + 1].is_product != part->is_product) {
            const double now = now_ns();
            f->spent[part->is_product ? 0 : 1] += now - start;
            start = now;
        }
    }
}

double floor_bytes(const floor_plan *f)
{
    double bytes = 0;
    for (int i = 0; i < f->n_parts; i++)
        if (!f->parts[i].is_product) bytes += stream_bytes(&f->parts[i].stream);
    return bytes;
}

void floor_free(floor_plan *f)
{
    for (int i = 0; i < f->n_buffers; i++) free(f->buffers[i]);
    *f = (floor_plan){ 0 };
}
