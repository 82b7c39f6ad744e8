/* SPDX-License-Identifier: MIT
 * floor.h - the floor under a piece of work: its matrix products in BLAS and plain streams of the
 * bytes that must move besides, in the order and on buffers of the sizes that the work has.
 *
 * The products' part and the streams' are clocked apart in the same pass, so that each finds in the
 * caches what it would find in the work itself. */
#ifndef TARN_BENCH_FLOOR_H
#define TARN_BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>

#include "products.h"
#include "stream.h"

enum { FLOOR_PARTS = 160, FLOOR_BUFFERS = 64 };

/* How every floor that is no program of its own was measured, for the rows of the JSON file. */
extern const char floor_method[];

typedef struct floor_part {
    bool is_product;
    product product;
    stream stream;
} floor_part;

typedef struct floor_plan {
    int n_parts, n_buffers;
    floor_part parts[FLOOR_PARTS];
    float *buffers[FLOOR_BUFFERS]; /* owned */
    double spent[2];               /* nanoseconds in products and in streams; only ever added to */
} floor_plan;

/* A buffer of n floats, filled with small numbers. It belongs to the plan. */
float *floor_buffer(floor_plan *f, size_t n);

/* Adds the product c (m,n) = a (m,k) b (k,n), or one pass over arrays. */
void floor_add_product(floor_plan *f, int m, int n, int k, float *a, float *b, float *c);
void floor_add_stream(floor_plan *f, stream s);

/* The optimisers whose steps a floor knows. */
typedef enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_ADAM } optimizer_kind;

/* Adds one training step of an MLP: linear layers with relu between them, cross-entropy, and the
 * optimiser. Products: forward, input gradients of all layers but the first, weight gradients.
 * Streams, each element of:
 *   hidden activations   read and written once: bias and relu, after the product has stored them
 *   logits               read; their gradients written: the loss
 *   hidden gradients     read with the activation and written: relu backwards
 *   parameters           SGD: parameter and gradient read, parameter written. Adam: the same and
 *                        both moments, read and written. */
void floor_add_mlp(floor_plan *f, const int *sizes, int n_sizes, int batch, optimizer_kind kind);

/* Finds the fastest layout of every product. */
void floor_tune(floor_plan *f, int repetitions);

/* Runs all parts once, in order, and adds to spent; an arm of measure. */
void floor_run(void *context);

/* What the streams read and write, in bytes. */
double floor_bytes(const floor_plan *f);

/* Frees the buffers and empties the plan. */
void floor_free(floor_plan *f);

#endif
