/* SPDX-License-Identifier: MIT
 * bench_ops.c - every operation against its floor: the products that it is made of in BLAS, and
 * streams over what it must read and write.
 *
 * Each has two rows, forward alone (inside TARN_NO_GRAD) and forward with backward, which begins
 * with a given gradient, whose copy is part of the floor, and ends in empty gradients of the
 * operands. */
#include <stdio.h>
#include <string.h>

#include <tarn/tarn.h>

#include "floor.h"
#include "measure.h"
#include "ops.h"

static tarn_shape shape_of(const operand *o)
{
    tarn_shape s = { 0 };
    while (s.ndim < 4 && o->dims[s.ndim] > 0) s.dims[s.ndim] = o->dims[s.ndim], s.ndim++;
    return s;
}

static tarn_tensor *make_operand(tarn_manager *tm, const operand *o, uint64_t draw)
{
    const tarn_shape shape = shape_of(o);
    if (o->content == NOTHING) return NULL;
    if (o->content == FLOATS || o->content == CONSTANTS) {
        tarn_tensor *x = tarn_random_uniform(tm, TARN_F32, shape, 0.1, 0.9, draw);
        return o->content == FLOATS ? tarn_require_grad(x) : x;
    }
    tarn_tensor *x = tarn_empty(tm, o->content == MASK ? TARN_U8 : TARN_I64, shape);
    void *data = tarn_data_mut(x);
    for (int64_t i = 0; data != NULL && i < tarn_numel(x); i++) {
        if (o->content == MASK) ((uint8_t *)data)[i] = (uint8_t)(i & 1);
        else ((int64_t *)data)[i] = i * 7919 % o->below;
    }
    return x;
}

/* ---- floors */

static void add_moves(floor_plan *f, const op_floor *of, float *const buffers[7])
{
    for (int i = 0; i < OP_MOVES && of->moves[i].n > 0; i++) {
        stream s = { .reads = of->moves[i].reads,
                     .writes = of->moves[i].writes,
                     .n = (size_t)of->moves[i].n };
        memcpy(s.in, buffers, sizeof(s.in));
        memcpy(s.out, buffers + STREAM_READS, sizeof(s.out));
        floor_add_stream(f, s);
    }
}

static void add_products(floor_plan *f, const op_floor *of)
{
    for (int i = 0; i < OP_PRODUCTS && of->products[i].m > 0; i++) {
        const op_product *p = &of->products[i];
        const size_t m = (size_t)p->m, n = (size_t)p->n, k = (size_t)p->k;
        const size_t times = (size_t)p->times;
        float *a = floor_buffer(f, m * k * times), *b = floor_buffer(f, k * n * times);
        float *c = floor_buffer(f, m * n * times);
        for (size_t t = 0; t < times; t++)
            floor_add_product(f, p->m, p->n, p->k, a + t * m * k, b + t * k * n, c + t * m * n);
    }
}

/* The floor of forward and, unless it is NULL, backward; false if there is none. */
static bool make_floor(floor_plan *f, const op_floor *forward, const op_floor *backward)
{
    const op_floor *both[] = { forward, backward };
    float *buffers[STREAM_READS + STREAM_WRITES] = { NULL };
    size_t longest = 0;
    *f = (floor_plan){ 0 };
    for (int i = 0; i < 2 && both[i] != NULL; i++)
        for (int m = 0; m < OP_MOVES; m++)
            if ((size_t)both[i]->moves[m].n > longest) longest = (size_t)both[i]->moves[m].n;
    for (int i = 0; longest > 0 && i < STREAM_READS + STREAM_WRITES; i++)
        buffers[i] = floor_buffer(f, longest);
    for (int i = 0; i < 2 && both[i] != NULL; i++) {
        add_products(f, both[i]);
        add_moves(f, both[i], buffers);
    }
    return f->n_parts > 0;
}

/* The gradient that backward begins with is the program's, and is copied: so it is in the floor. */
static void add_arrival(floor_plan *f, const tarn_tensor *dy)
{
    const size_t n = (size_t)tarn_numel(dy) * tarn_dtype_size(tarn_get_dtype(dy)) / sizeof(float);
    stream s = { .reads = 1, .writes = 1, .n = n };
    s.in[0] = floor_buffer(f, n), s.out[0] = floor_buffer(f, n);
    floor_add_stream(f, s);
}

/* ---- arms */

typedef struct work {
    op_bed bed;
    const op_row *row;
} work;

static void run_forward(void *context)
{
    const work *w = context;
    TARN_NO_GRAD(w->bed.tm);
    (void)w->row->run(&w->bed);
}

static void run_both(void *context)
{
    const work *w = context;
    TARN_SCOPE(w->bed.tm);
    for (int i = 0; i < OP_OPERANDS; i++)
        if (w->row->operands[i].content == FLOATS) (void)tarn_zero_grad(w->bed.x[i]);
    (void)tarn_backward_with(w->row->run(&w->bed),
                             &(tarn_backward_options){ .gradient = w->bed.dy });
}

static void run_optimizer(void *context)
{
    const op_bed *b = context;
    if (b->optimizer == NULL) (void)tarn_zero_grad(b->x[0]);
    (void)tarn_backward_with(b->x[0], &(tarn_backward_options){ .gradient = b->dy });
    if (b->optimizer != NULL) (void)tarn_optimizer_step(b->optimizer);
    else if (b->ema != NULL) (void)tarn_ema_update(b->ema);
    else (void)tarn_clip_grad_norm(b->module, 1e-3);
}

/* ---- rows */

/* A row that takes so many times its floor is to have a reason. */
static const double much = 1.5;

static void report(const bench_options *options, const bench_row *row)
{
    printf("| %-52s | %9.2f +- %6.2f |", row->name, row->median_ns / 1e3, row->mad_ns / 1e3);
    if (row->floor_ns > 0)
        printf(" %8.2f | %5.2f |", row->floor_ns / 1e3, row->median_ns / row->floor_ns);
    else printf(" %8s | %5s |", "", "");
    printf(" %s\n", row->reason != NULL ? row->reason : "");
    bench_write(options, row);
}

/* Measures an arm beside its floor. */
static void measure_row(const bench_options *options, const char *name, const char *note, arm *ours,
                        floor_plan *f)
{
    bench_row row = bench_row_of("bench_ops", name, note);
    arm arms[2] = { *ours };
    const bool floored = f->n_parts > 0;
    if (floored) {
        floor_tune(f, options->repetitions < 9 ? options->repetitions : 9);
        arms[1] = (arm){ .run = floor_run, .context = f, .split = f->spent };
        arms[1].calls = calls_for(floor_run, f, 5e5);
    }
    arms[0].calls = calls_for(ours->run, ours->context, 5e5);
    measure(arms, floored ? 2 : 1, options->repetitions);
    row.median_ns = arms[0].median, row.mad_ns = arms[0].mad;
    if (floored) {
        bench_set_floor(&row, &arms[1]);
        row.bytes = floor_bytes(f);
        row.floor = floor_method;
        if (row.median_ns > much * row.floor_ns) row.reason = op_reason(name);
    }
    report(options, &row);
    floor_free(f);
}

static bool finish(tarn_manager *tm, const char *name)
{
    const bool ok = tarn_ok(tm);
    if (!ok) fprintf(stderr, "bench_ops: %s: %s\n", name, tarn_error_message(tm));
    tarn_manager_destroy(tm);
    return ok;
}

static bool measure_op(const bench_options *options, const op_row *row)
{
    char both[96];
    floor_plan f;
    work w = { .row = row, .bed.tm = tarn_manager_create(NULL) };
    tarn_manager *tm = w.bed.tm;
    (void)snprintf(both, sizeof(both), "%s; backward", row->name);
    for (int i = 0; i < OP_OPERANDS; i++)
        w.bed.x[i] = make_operand(tm, &row->operands[i], (uint64_t)i);
    if (bench_wants(options, row->name)) {
        make_floor(&f, &row->forward, NULL);
        measure_row(options, row->name, "forward", &(arm){ .run = run_forward, .context = &w }, &f);
    }
    if (!row->backward.none && bench_wants(options, both)) {
        tarn_tensor *y = row->run(&w.bed);
        w.bed.dy = tarn_random_uniform(tm, tarn_get_dtype(y), tarn_get_shape(y), 0.1, 0.9, 9);
        make_floor(&f, &row->forward, &row->backward);
        add_arrival(&f, w.bed.dy);
        measure_row(options, both, "forward and backward", &(arm){ .run = run_both, .context = &w },
                    &f);
    }
    return finish(tm, row->name);
}

static bool measure_optimizer(const bench_options *options, const optimizer_row *row)
{
    char name[96];
    floor_plan f;
    op_bed b = { .tm = tarn_manager_create(NULL) };
    (void)snprintf(name, sizeof(name), "optimiser: %s", row->name);
    if (bench_wants(options, name)) {
        const tarn_shape shape = TARN_SHAPE(OPTIMIZER_ELEMENTS);
        b.module = tarn_module_create(b.tm);
        b.x[0] = tarn_module_add_parameter(b.module, "w", TARN_F32, shape, NULL);
        b.dy = tarn_random_uniform(b.tm, TARN_F32, shape, 0.1, 0.9, 9);
        if (row->make != NULL) row->make(&b);
        make_floor(&f, &row->floor, NULL);
        measure_row(options, name, "a gradient arrives, and one step",
                    &(arm){ .run = run_optimizer, .context = &b }, &f);
    }
    return finish(b.tm, name);
}

static const op_table *const tables[] = { &ops_elementwise, &ops_rows, &ops_shapes, &ops_products };
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

/* The name of each row's operation, for the test that none is missing. */
static void list_operations(void)
{
    for (int t = 0; t < N_TABLES; t++)
        for (int i = 0; i < tables[t]->n; i++) {
            const char *name = tables[t]->rows[i].name;
            printf("tarn_%.*s\n", (int)strcspn(name, ","), name);
        }
}

int main(int argc, char **argv)
{
    const bench_options options = bench_start_single(
        argc, argv,
        "Times every operation against its floor. With \"list\" it only names the "
        "operations.",
        " [list]");
    bool ok = true;
    if (options.n_operands > 0) {
        list_operations();
        return bench_end(&options);
    }
    printf("one operation, us (median +- MAD of %d interleaved repetitions)\n",
           options.repetitions);
    printf("| %-52s | %-19s | %-8s | %-5s |\n", "", "tarn, us", "floor", "ratio");
    printf("|%.54s|%.21s|%.10s|%.7s|\n",
           "----------------------------------------------------------", "----------------------",
           "----------", "-------");
    for (int t = 0; t < N_TABLES && ok; t++)
        for (int i = 0; i < tables[t]->n && ok; i++) ok = measure_op(&options, &tables[t]->rows[i]);
    for (int i = 0; i < N_OPTIMIZERS && ok; i++)
        ok = measure_optimizer(&options, &optimizer_rows[i]);
    return bench_end(&options) != 0 || !ok;
}
