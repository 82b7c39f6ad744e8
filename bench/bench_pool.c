/* SPDX-License-Identifier: MIT
 * bench_pool.c - 1000 times create and release of a zero tensor: pooled against plain memory.
 *
 * The plain arm makes a fresh tensor by calloc, header and data, and frees both. Each shape is
 * measured untouched, and with every element written through the raw pointer, because memory that
 * nobody touches costs an operating system nothing. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <tarn/tarn.h>

#include "measure.h"

enum { OBJECTS = 1000 };

typedef struct pool_case {
    tarn_manager *tm;
    int64_t side;
    bool written;
} pool_case;

/* What a plain tensor library would keep of a tensor. */
typedef struct plain_tensor {
    float *data;
    int64_t dims[TARN_MAX_DIMS], strides[TARN_MAX_DIMS];
    int ndim, dtype;
} plain_tensor;

static volatile float sink;

static void write_all(float *data, int64_t n)
{
    for (int64_t i = 0; i < n; i++) data[i] = (float)i;
    sink = data[n - 1];
}

static void run_pooled(void *context)
{
    const pool_case *c = context;
    for (int i = 0; i < OBJECTS; i++) {
        tarn_tensor *t = tarn_zeros(c->tm, TARN_F32, TARN_SHAPE(c->side, c->side));
        if (c->written) write_all(tarn_data_mut(t), c->side * c->side);
        tarn_release(t);
    }
}

static void run_plain(void *context)
{
    const pool_case *c = context;
    for (int i = 0; i < OBJECTS; i++) {
        plain_tensor *t = calloc(1, sizeof(*t));
        float *data = calloc((size_t)(c->side * c->side), sizeof(float));
        if (t == NULL || data == NULL) abort();
        t->ndim = 2;
        t->dims[0] = t->dims[1] = t->strides[0] = c->side;
        t->strides[1] = 1;
        t->data = data;
        __asm__ volatile("" : : "r"(t) : "memory"); /* the pair must not be optimised away */
        if (c->written) write_all(data, c->side * c->side);
        free(data);
        free(t);
    }
}

static void report(const bench_options *options, const pool_case *c, const arm arms[2])
{
    const double pooled = arms[0].median / OBJECTS, plain = arms[1].median / OBJECTS;
    char name[64], note[128];
    for (int a = 0; a < 2; a++) {
        (void)snprintf(name, sizeof(name), "zeros [%d,%d] %s, %s", (int)c->side, (int)c->side,
                       c->written ? "written" : "untouched", a == 0 ? "pooled" : "plain");
        (void)snprintf(note, sizeof(note), "%s, one create and release%s%.2f",
                       c->written ? "written through the raw pointer" : "nothing written",
                       a == 0 ? "; speedup over plain " : "; pooled is faster by ", plain / pooled);
        bench_write(options, &(bench_row){ .bench = "bench_pool",
                                           .name = name,
                                           .note = note,
                                           .median_ns = arms[a].median / OBJECTS,
                                           .mad_ns = arms[a].mad / OBJECTS,
                                           .gemm_ns = -1,
                                           .stream_ns = -1,
                                           .floor_ns = -1 });
    }
    printf("| [%4d,%4d] | %-9s | %9.1f +- %5.1f | %9.1f +- %5.1f | %6.2fx |\n", (int)c->side,
           (int)c->side, c->written ? "written" : "untouched", plain, arms[1].mad / OBJECTS, pooled,
           arms[0].mad / OBJECTS, plain / pooled);
}

int main(int argc, char **argv)
{
    const bench_options options = bench_start(
        argc, argv,
        "Creates and releases zero tensors 1000 times: from the pool, and by calloc and free.");
    tarn_manager *tm = tarn_manager_create(NULL);
    printf("create + release, ns each (median +- MAD of %d repetitions of %d)\n",
           options.repetitions, OBJECTS);
    printf("| shape       | elements  | calloc + free, ns  | pool, ns           | speedup |\n");
    printf("|-------------|-----------|--------------------|--------------------|---------|\n");
    static const int64_t sides[] = { 10, 100, 1000 };
    for (int i = 0; i < 6 && tarn_ok(tm); i++) {
        pool_case c = { .tm = tm, .side = sides[i / 2], .written = i % 2 != 0 };
        arm arms[] = { { .run = run_pooled, .context = &c, .calls = 1 },
                       { .run = run_plain, .context = &c, .calls = 1 } };
        /* A repetition of the written [1000,1000] lasts a second: fewer of them suffice. */
        const bool long_run = c.side == 1000 && c.written;
        measure(arms, 2, long_run && options.repetitions > 5 ? 5 : options.repetitions);
        report(&options, &c, arms);
    }
    const tarn_pool_stats s = tarn_pool_get_stats(tarn_manager_pool(tm));
    printf("pool: %.2f%% of %llu acquisitions reused, %.2f MiB saved, peak %zu bytes\n",
           100 * s.hit_ratio, (unsigned long long)s.allocations, (double)s.memory_saved / 0x1p20,
           s.peak_usage);
    const bool ok = tarn_ok(tm);
    if (!ok) fprintf(stderr, "bench_pool: %s\n", tarn_error_message(tm));
    tarn_manager_destroy(tm);
    return bench_end(&options) != 0 || !ok;
}
