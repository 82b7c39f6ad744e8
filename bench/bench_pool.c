/* SPDX-License-Identifier: MIT
 * bench_pool.c - making and releasing tensors and blocks: the pool against plain memory.
 *
 * The plain arm of a row makes a fresh tensor of calloc or malloc, header and data, writes it as
 * the row says, and frees both. A row that writes does so in both arms, because memory that nobody
 * touches costs an operating system nothing. A program that uses tarn writes through tarn: by its
 * operations, tarn_fill_with, tarn_copy_from or backward; a pointer from tarn_data_mut needs the
 * zeros written first, as calloc writes them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "measure.h"

/* What the arms of a row work on. */
typedef struct bed {
    tarn_manager *tm;
    tarn_pool *pool; /* for blocks alone */
    int objects;     /* made and released in one call of an arm */
    int64_t side;
    size_t n;           /* elements: side * side */
    size_t block_bytes; /* of a pair */
    float value;
    float *values; /* (n) */
    tarn_tensor *leaf, *gradient;
} bed;

/* What a plain tensor library would keep of a tensor. */
typedef struct plain_tensor {
    float *data;
    int64_t dims[TARN_MAX_DIMS], strides[TARN_MAX_DIMS];
    int ndim, dtype;
} plain_tensor;

static void *must(void *memory)
{
    if (memory == NULL) abort();
    return memory;
}

/* What was stored must be in memory: nothing may be optimised away. */
static void settle(void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

static plain_tensor *plain_tensor_on(plain_tensor *t, float *data, int64_t side)
{
    t->ndim = 2;
    t->dims[0] = t->dims[1] = t->strides[0] = side;
    t->strides[1] = 1;
    t->data = data;
    settle(t);
    return t;
}

static plain_tensor *plain_zeros(const bed *b)
{
    plain_tensor *t = must(calloc(1, sizeof(*t)));
    return plain_tensor_on(t, must(calloc(b->n, sizeof(float))), b->side);
}

static plain_tensor *plain_empty(const bed *b)
{
    plain_tensor *t = must(malloc(sizeof(*t)));
    return plain_tensor_on(t, must(malloc(b->n * sizeof(float))), b->side);
}

static void plain_release(plain_tensor *t)
{
    settle(t->data);
    free(t->data);
    free(t);
}

static tarn_tensor *pooled_zeros(const bed *b)
{
    return tarn_zeros(b->tm, TARN_F32, TARN_SHAPE(b->side, b->side));
}

static tarn_tensor *pooled_empty(const bed *b)
{
    return tarn_empty(b->tm, TARN_F32, TARN_SHAPE(b->side, b->side));
}

static void write_ramp(float *data, size_t n)
{
    for (size_t i = 0; i < n; i++) data[i] = (float)(int)i;
}

/* ---- the arms: each function handles one object, and the macro makes the arm of it */

#define ARM(name)                                     \
    static void name##_arm(void *context)             \
    {                                                 \
        const bed *b = context;                       \
        for (int i = 0; i < b->objects; i++) name(b); \
    }

static void untouched_plain(const bed *b) { plain_release(plain_zeros(b)); }
static void untouched_pooled(const bed *b) { tarn_release(pooled_zeros(b)); }
ARM(untouched_plain)
ARM(untouched_pooled)

static void filled_plain(const bed *b)
{
    plain_tensor *t = plain_zeros(b);
    const float value = b->value;
    float *data = t->data;
    for (size_t i = 0; i < b->n; i++) data[i] = value;
    plain_release(t);
}
static void filled_pooled(const bed *b)
{
    tarn_tensor *t = pooled_zeros(b);
    (void)tarn_fill_with(t, (double)b->value);
    tarn_release(t);
}
ARM(filled_plain)
ARM(filled_pooled)

static void copied_plain(const bed *b)
{
    plain_tensor *t = plain_zeros(b);
    memcpy(t->data, b->values, b->n * sizeof(float));
    plain_release(t);
}
static void copied_pooled(const bed *b)
{
    tarn_tensor *t = pooled_zeros(b);
    (void)tarn_copy_from(t, b->values, b->n * sizeof(float));
    tarn_release(t);
}
ARM(copied_plain)
ARM(copied_pooled)

/* The gradient is emptied, and one arrives. A leaf is the shortest graph there is: backward does
 * nothing but write its gradient. */
static void gradient_plain(const bed *b)
{
    plain_tensor *t = plain_zeros(b);
    float *restrict g = t->data;
    const float *restrict d = b->values;
    for (size_t i = 0; i < b->n; i++) g[i] += d[i];
    plain_release(t);
}
static void gradient_pooled(const bed *b)
{
    (void)tarn_zero_grad(b->leaf);
    (void)tarn_backward_with(b->leaf, &(tarn_backward_options){ .gradient = b->gradient });
}
ARM(gradient_plain)
ARM(gradient_pooled)

static void raw_plain(const bed *b)
{
    plain_tensor *t = plain_zeros(b);
    write_ramp(t->data, b->n);
    plain_release(t);
}
static void raw_pooled(const bed *b)
{
    tarn_tensor *t = pooled_zeros(b);
    write_ramp(must(tarn_data_mut(t)), b->n);
    tarn_release(t);
}
ARM(raw_plain)
ARM(raw_pooled)

static void empty_plain(const bed *b) { plain_release(plain_empty(b)); }
static void empty_pooled(const bed *b) { tarn_release(pooled_empty(b)); }
ARM(empty_plain)
ARM(empty_pooled)

static void empty_raw_plain(const bed *b)
{
    plain_tensor *t = plain_empty(b);
    write_ramp(t->data, b->n);
    plain_release(t);
}
static void empty_raw_pooled(const bed *b)
{
    tarn_tensor *t = pooled_empty(b);
    write_ramp(must(tarn_data_mut(t)), b->n);
    tarn_release(t);
}
ARM(empty_raw_plain)
ARM(empty_raw_pooled)

/* The same handle and the same bookkeeping, but memory that never enters the pool. */
static void without_pool(const bed *b)
{
    tarn_release(tarn_zeros_plain(b->tm, TARN_F32, TARN_SHAPE(b->side, b->side)));
}
ARM(without_pool)

static void pair_malloc(const bed *b)
{
    void *block = must(malloc(b->block_bytes));
    settle(block);
    free(block);
}
static void pair_aligned(const bed *b)
{
    void *block = must(aligned_alloc(64, b->block_bytes));
    settle(block);
    free(block);
}
static void pair_pooled(const bed *b)
{
    tarn_block block;
    if (tarn_pool_acquire(b->pool, b->block_bytes, TARN_UNINITIALIZED, &block) != TARN_OK) abort();
    settle(block.data);
    (void)tarn_pool_release(b->pool, block);
}
ARM(pair_malloc)
ARM(pair_aligned)
ARM(pair_pooled)

/* ---- the rows */

enum { N_SIDES = 3 };

typedef struct row {
    const char *name, *written; /* what is made, and through what it is written */
    const char *plain;          /* what the plain arm is made of */
    void (*plain_arm)(void *), (*pooled_arm)(void *);
    double goals[N_SIDES]; /* least speedup; 0: none. Of pairs the first is the most ns instead */
} row;

static const row tensor_rows[] = {
    { "zeros",
      "not written",
      "calloc",
      untouched_plain_arm,
      untouched_pooled_arm,
      { 3.31, 3.31, 1.5 } },
    { "zeros",
      "tarn_fill_with",
      "calloc, loop",
      filled_plain_arm,
      filled_pooled_arm,
      { 0, 3, 1.4 } },
    { "zeros",
      "tarn_copy_from",
      "calloc, memcpy",
      copied_plain_arm,
      copied_pooled_arm,
      { 0, 3, 1.4 } },
    { "zeros as gradient",
      "tarn_backward",
      "calloc, += loop",
      gradient_plain_arm,
      gradient_pooled_arm,
      { 0, 3, 1.4 } },
    { "zeros", "raw pointer", "calloc, loop", raw_plain_arm, raw_pooled_arm, { 1, 1, 1 } },
    { "uninitialised", "not written", "malloc", empty_plain_arm, empty_pooled_arm, { 1, 1, 1 } },
    { "uninitialised",
      "raw pointer",
      "malloc, loop",
      empty_raw_plain_arm,
      empty_raw_pooled_arm,
      { 1, 1, 1 } },
    { "zeros", "not written", "tarn_zeros_plain", without_pool_arm, untouched_pooled_arm, { 0 } },
};
static const row pair_rows[] = {
    { "block", "not written", "malloc", pair_malloc_arm, pair_pooled_arm, { 15 } },
    { "block", "not written", "aligned_alloc", pair_aligned_arm, pair_pooled_arm, { 15 } },
};

static void measure_row(const bench_options *options, const row *r, bed *b, const char *size,
                        const char *goal)
{
    char name[96];
    (void)snprintf(name, sizeof(name), "%s %s, %s, beside %s", r->name, size, r->written, r->plain);
    if (!bench_wants(options, name)) return;
    arm arms[] = { { .run = r->plain_arm, .context = b, .calls = 1 },
                   { .run = r->pooled_arm, .context = b, .calls = 1 } };
    measure(arms, 2, options->repetitions);
    const bench_peer plain = { r->plain, arms[0].median / b->objects, arms[0].mad / b->objects };
    bench_row out = bench_row_of("bench_pool", name, "one create and release");
    out.median_ns = arms[1].median / b->objects, out.mad_ns = arms[1].mad / b->objects;
    out.peers[0] = plain;
    printf("| %-17s | %-11s | %-14s | %-16s | %9.1f +- %6.1f | %9.1f +- %6.1f | %8.2fx | %-8s |\n",
           r->name, size, r->written, r->plain, plain.median_ns, plain.mad_ns, out.median_ns,
           out.mad_ns, plain.median_ns / out.median_ns, goal);
    bench_write(options, &out);
}

static void measure_tensors(const bench_options *options, bed *b, int i)
{
    static const int64_t sides[N_SIDES] = { 10, 100, 1000 };
    static const int objects[N_SIDES] = { 1000, 100, 10 };
    char size[32], goal[32];
    b->side = sides[i];
    b->n = (size_t)(b->side * b->side);
    b->objects = objects[i];
    b->value = 1.5f;
    b->values = must(malloc(b->n * sizeof(float)));
    write_ramp(b->values, b->n);
    b->leaf = tarn_require_grad(pooled_zeros(b));
    b->gradient = pooled_empty(b);
    (void)tarn_copy_from(b->gradient, b->values, b->n * sizeof(float));
    (void)snprintf(size, sizeof(size), "[%d,%d]", (int)b->side, (int)b->side);
    for (size_t r = 0; r < sizeof(tensor_rows) / sizeof(tensor_rows[0]) && tarn_ok(b->tm); r++) {
        const double least = tensor_rows[r].goals[i];
        goal[0] = '\0';
        if (least > 0) (void)snprintf(goal, sizeof(goal), ">= %.2fx", least);
        measure_row(options, &tensor_rows[r], b, size, goal);
    }
    tarn_release(b->gradient);
    tarn_release(b->leaf);
    free(b->values);
}

static void measure_pairs(const bench_options *options, bed *b)
{
    static const size_t bytes[] = { 64, 1024 };
    char size[32], goal[32];
    b->objects = 10000;
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        b->block_bytes = bytes[i];
        (void)snprintf(size, sizeof(size), "%zu bytes", bytes[i]);
        for (size_t r = 0; r < sizeof(pair_rows) / sizeof(pair_rows[0]); r++) {
            (void)snprintf(goal, sizeof(goal), "<= %.0f ns", pair_rows[r].goals[0]);
            measure_row(options, &pair_rows[r], b, size, goal);
        }
    }
}

int main(int argc, char **argv)
{
    const bench_options options = bench_start_single(
        argc, argv, "Creates, writes and releases tensors and blocks: from the pool, and plain.",
        "");
    bed b = { .tm = tarn_manager_create(NULL), .pool = tarn_pool_create(NULL, NULL) };
    if (b.tm == NULL || b.pool == NULL) abort();
    printf("create + write + release, ns each (median +- MAD of %d repetitions, arms in turn)\n",
           options.repetitions);
    printf("| what              | size        | written by     | plain is         | plain, ns     "
           "      | pool, ns            | speedup   | goal     |\n");
    printf("|-------------------|-------------|----------------|------------------|---------------"
           "------|---------------------|-----------|----------|\n");
    for (int i = 0; i < N_SIDES && tarn_ok(b.tm); i++) measure_tensors(&options, &b, i);
    measure_pairs(&options, &b);

    const tarn_pool_stats s = tarn_pool_get_stats(tarn_manager_pool(b.tm));
    printf("pool: %.2f%% of %llu acquisitions reused, %.2f MiB saved, peak %zu bytes\n",
           100 * s.hit_ratio, (unsigned long long)s.allocations, (double)s.memory_saved / 0x1p20,
           s.peak_usage);
    const bool ok = tarn_ok(b.tm);
    if (!ok) fprintf(stderr, "bench_pool: %s\n", tarn_error_message(b.tm));
    tarn_manager_destroy(b.tm);
    (void)tarn_pool_destroy(b.pool);
    return bench_end(&options) != 0 || !ok;
}
