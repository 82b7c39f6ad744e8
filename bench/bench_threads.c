/* SPDX-License-Identifier: MIT
 * bench_threads.c - training steps on several threads beside the same steps on one.
 *
 * No arm calls BLAS by itself: its idle threads would look for work for a while, and take the
 * processors from the arm that follows. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"

/* A step that is made on a number of threads. */
typedef struct run {
    step step;
    int threads;
} run;

/* The number changes with the first call of a repetition. */
static void run_on(void *context)
{
    static int now;
    run *r = context;
    if (now != r->threads) (void)tarn_runtime_set_threads(now = r->threads);
    step_run(&r->step);
}

static bool measure_kind(const bench_options *options, const step_kind *kind)
{
    if (!bench_wants(options, kind->name)) return true;
    bench_row row = bench_row_of("bench_threads", kind->name, "one training step");
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    run one = { .threads = 1 }, all = { .threads = options->threads };
    step_make(&one.step, kind, tm);
    step_make(&all.step, kind, tm);
    arm arms[] = { { .run = run_on, .context = &one }, { .run = run_on, .context = &all } };
    arms[0].calls = arms[1].calls = calls_for(run_on, &one, 1e7);
    measure(arms, 2, options->repetitions);

    const bool ok = tarn_ok(tm);
    if (!ok) fprintf(stderr, "benchmark: %s: %s\n", kind->name, tarn_error_message(tm));
    tarn_manager_destroy(tm);
    row.median_ns = arms[1].median, row.mad_ns = arms[1].mad;
    row.floor_ns = arms[0].median, row.floor_mad_ns = arms[0].mad;
    row.floor = "the same step on one thread: the ratio is what several take of its time";
    printf("| %-27s | %9.2f +- %8.2f | %9.2f +- %8.2f | %5.2f | %6.2fx |\n", kind->name,
           row.floor_ns / 1e3, row.floor_mad_ns / 1e3, row.median_ns / 1e3, row.mad_ns / 1e3,
           row.median_ns / row.floor_ns, row.floor_ns / row.median_ns);
    bench_write(options, &row);
    return ok;
}

/* Steps that are too small to be shared, beside those of bench_step. */
static const step_kind small_kinds[] = {
    { "784-128-10 b1 SGD", 1, { 784, 128, 10 }, OPTIMIZER_SGD, false },
    { "784-128-10 b8 SGD", 8, { 784, 128, 10 }, OPTIMIZER_SGD, false },
    { "784-8-10 b64 SGD", 64, { 784, 8, 10 }, OPTIMIZER_SGD, false },
};

int main(int argc, char **argv)
{
    bench_options options = bench_start(
        argc, argv, "Times training steps on several threads (default 2) beside the same on one.");
    if (options.threads == 1) options.threads = 2;
    bool ok = true;
    printf("one training step, us (median +- MAD of %d interleaved repetitions)\n",
           options.repetitions);
    printf("| step                        | one thread, us        | %2d threads, us        | ratio "
           "| faster |\n",
           options.threads);
    printf(
        "|-----------------------------|-----------------------|-----------------------|-------|-"
        "-------|\n");
    for (size_t i = 0; i < sizeof(small_kinds) / sizeof(small_kinds[0]) && ok; i++)
        ok = measure_kind(&options, &small_kinds[i]);
    for (int i = 0; i < N_STEP_KINDS && ok; i++) ok = measure_kind(&options, &step_kinds[i]);
    return bench_end(&options) != 0 || !ok;
}
