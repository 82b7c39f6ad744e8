/* SPDX-License-Identifier: MIT
 * bench_step.c - a training step against the time of its matrix products alone, in the same BLAS in
 * the same run. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "products.h"

typedef struct step {
    tarn_manager *tm;
    tarn_module *net;
    tarn_mlp mlp;
    tarn_linear l1, l2;
    tarn_optimizer *opt;
    tarn_tensor *x, *y;
} step;

/* ---- XOR 2-8-1: two linear layers, tanh, binary cross-entropy, Adam */

static void make_xor(step *s, tarn_manager *tm)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    s->tm = tm;
    s->x = tarn_from_array(s->tm, TARN_F32, TARN_SHAPE(4, 2), X);
    s->y = tarn_from_array(s->tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    s->net = tarn_module_create(s->tm);
    s->l1 = tarn_linear_create(s->net, "l1", 2, 8);
    s->l2 = tarn_linear_create(s->net, "l2", 8, 1);
    /* So slow that it never converges: the gradients of a net that knows all underflow, and
     * processors take many times as long over such numbers. */
    s->opt = tarn_adam_create(s->net, &(tarn_adam_options){ .lr = 1e-9 });
}

static void run_xor(void *context)
{
    const step *s = context;
    TARN_SCOPE(s->tm);
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&s->l1, s->x));
    tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&s->l2, hidden), s->y);
    (void)tarn_backward(loss);
    (void)tarn_optimizer_step(s->opt);
}

/* ---- an MLP: relu, cross-entropy, SGD */

static void make_mlp(step *s, tarn_manager *tm, const int64_t *sizes, int n_sizes, int batch)
{
    s->tm = tm;
    s->x = tarn_random_uniform(s->tm, TARN_F32, TARN_SHAPE(batch, sizes[0]), 0, 1, 1);
    s->y = tarn_empty(s->tm, TARN_I64, TARN_SHAPE(batch));
    int64_t *labels = tarn_data_mut(s->y);
    for (int i = 0; labels != NULL && i < batch; i++) labels[i] = i % sizes[n_sizes - 1];
    s->net = tarn_module_create(s->tm);
    s->mlp = tarn_mlp_create(s->net, "mlp", sizes, n_sizes, NULL);
    s->opt = tarn_sgd_create(s->net, &(tarn_sgd_options){ .lr = 0.01 });
}

static void run_mlp(void *context)
{
    const step *s = context;
    TARN_SCOPE(s->tm);
    (void)tarn_backward(tarn_cross_entropy(tarn_mlp_forward(&s->mlp, s->x), s->y));
    (void)tarn_optimizer_step(s->opt);
}

/* ---- rows */

/* Measures a step beside its products; false with the reason printed if it failed. */
static bool measure_step(const bench_options *options, const char *name, step *s,
                         void (*run)(void *), products *p)
{
    products_tune(p, options->repetitions < 31 ? options->repetitions : 31);
    arm arms[] = {
        { .run = run, .context = s, .calls = calls_for(run, s, 2e6) },
        { .run = products_run, .context = p, .calls = calls_for(products_run, p, 2e6) }
    };
    measure(arms, 2, options->repetitions);
    const bool ok = tarn_ok(s->tm);
    if (!ok) fprintf(stderr, "bench_step: %s: %s\n", name, tarn_error_message(s->tm));
    printf("| %-24s | %9.2f +- %6.2f | %9.2f +- %6.2f | %5.2f |\n", name, arms[0].median / 1e3,
           arms[0].mad / 1e3, arms[1].median / 1e3, arms[1].mad / 1e3,
           arms[0].median / arms[1].median);
    bench_write(options, &(bench_row){ .bench = "bench_step",
                                       .name = name,
                                       .note = "floor: the step's matrix products in BLAS alone",
                                       .median_ns = arms[0].median,
                                       .mad_ns = arms[0].mad,
                                       .gemm_ns = arms[1].median,
                                       .stream_ns = -1,
                                       .floor_ns = arms[1].median });
    tarn_manager_destroy(s->tm);
    products_free(p);
    return ok;
}

/* ---- what watching costs */

/* One way of watching; the first switches everything off that can be. */
typedef struct watching {
    const char *name;
    tarn_pool_options pool;
    tarn_manager_options manager;
} watching;

static const watching ways[] = {
    { .name = "nothing",
      .pool = { .track_stats = TARN_OFF },
      .manager = { .track_allocations = TARN_OFF } },
    { .name = "default" },
    { .name = "phases", .manager = { .measure_phases = true } },
    { .name = "time_calls", .manager = { .time_calls = true } },
    { .name = "events", .pool = { .trace_events = 100000 } },
    { .name = "all of these",
      .pool = { .trace_events = 100000 },
      .manager = { .measure_phases = true, .time_calls = true } },
    { .name = "full checking", .pool = { .checking = TARN_CHECK_FULL } },
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* The same step, watched in every way, in turns. */
static bool measure_watching(const bench_options *options, const char *name, void (*run)(void *),
                             int batch)
{
    step steps[WAYS] = { { 0 } };
    tarn_pool *pools[WAYS];
    arm arms[WAYS];
    bool ok = true;
    for (int i = 0; i < WAYS; i++) {
        tarn_manager_options manager = ways[i].manager;
        pools[i] = tarn_pool_create(&ways[i].pool, NULL);
        manager.seed = 42;
        manager.pool = pools[i];
        tarn_manager *tm = tarn_manager_create(&manager);
        if (run == run_xor) make_xor(&steps[i], tm);
        else make_mlp(&steps[i], tm, (const int64_t[]){ 784, 128, 10 }, 3, batch);
        arms[i] =
            (arm){ .run = run, .context = &steps[i], .calls = calls_for(run, &steps[i], 2e6) };
    }
    measure(arms, WAYS, options->repetitions);
    for (int i = 0; i < WAYS; i++) {
        char row[64];
        (void)snprintf(row, sizeof(row), "%s, watched: %s", name, ways[i].name);
        printf("| %-18s | %-13s | %9.2f +- %6.2f | %6.3f |\n", name, ways[i].name,
               arms[i].median / 1e3, arms[i].mad / 1e3, arms[i].median / arms[0].median);
        bench_write(options, &(bench_row){ .bench = "bench_step",
                                           .name = row,
                                           .note = "floor: the same step, watched by nothing",
                                           .median_ns = arms[i].median,
                                           .mad_ns = arms[i].mad,
                                           .gemm_ns = -1,
                                           .stream_ns = -1,
                                           .floor_ns = arms[0].median });
        ok = ok && tarn_ok(steps[i].tm);
        if (!tarn_ok(steps[i].tm))
            fprintf(stderr, "bench_step: %s: %s\n", row, tarn_error_message(steps[i].tm));
        tarn_manager_destroy(steps[i].tm);
        ok = tarn_pool_destroy(pools[i]) == TARN_OK && ok;
    }
    return ok;
}

static tarn_manager *make_manager(void)
{
    return tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
}

int main(int argc, char **argv)
{
    const bench_options options = bench_start(
        argc, argv, "Times training steps against their matrix products in BLAS alone.");
    printf("one training step, us (median +- MAD of %d interleaved repetitions)\n",
           options.repetitions);
    printf("| step                     | tarn, us            | products alone, us  | ratio |\n");
    printf("|--------------------------|---------------------|---------------------|-------|\n");
    products p = { 0 };
    step s = { 0 };
    make_xor(&s, make_manager());
    products_add_mlp(&p, (const int[]){ 2, 8, 1 }, 3, 4);
    bool ok = measure_step(&options, "XOR 2-8-1 b4 Adam", &s, run_xor, &p);
    for (int batch = 32; batch <= 128 && ok; batch *= 2) {
        char name[64];
        (void)snprintf(name, sizeof(name), "784-128-10 b%d SGD", batch);
        s = (step){ 0 };
        make_mlp(&s, make_manager(), (const int64_t[]){ 784, 128, 10 }, 3, batch);
        products_add_mlp(&p, (const int[]){ 784, 128, 10 }, 3, batch);
        ok = measure_step(&options, name, &s, run_mlp, &p);
    }
    printf("\nwhat watching costs\n");
    printf("| step               | watched by    | us                  | ratio  |\n");
    printf("|--------------------|---------------|---------------------|--------|\n");
    ok = ok && measure_watching(&options, "XOR 2-8-1 b4", run_xor, 4);
    ok = ok && measure_watching(&options, "784-128-10 b64", run_mlp, 64);
    return bench_end(&options) != 0 || !ok;
}
