/* SPDX-License-Identifier: MIT
 * bench_share.c - what the pool and the tape take of a training step (784-128-10, batch 32, SGD).
 *
 * The pool: every request of 50 steps is traced, and made again of a pool, with nothing between the
 * requests; the time of a pair times the pairs of one step is the share.
 *
 * The tape: the same expression on a net of single units, whose kernels have next to nothing to
 * compute. What forward takes longer when it is recorded is the recording; all of backward there
 * counts as its walk, though small kernels run in it: the share is an upper bound. */
#include <stdio.h>
#include <stdlib.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"
#include "trace.h"

static const step_kind whole = { "784-128-10 b32 SGD", 32, { 784, 128, 10 }, OPTIMIZER_SGD, false };
static const step_kind single = { "1-1-1 b1 SGD", 1, { 1, 1, 1 }, OPTIMIZER_SGD, false };

/* ---- the pool's requests */

/* Traces some steps; the pairs of acquire and release in each of them, or a negative number. */
static double trace_steps(trace *t)
{
    enum { STEPS = 50 };
    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .trace_events = MAX_EVENTS }, NULL);
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42, .pool = pool });
    FILE *file = tmpfile();
    step s;
    step_make(&s, &whole, tm);
    step_run(&s);
    step_run(&s);
    const unsigned long long before = tarn_pool_get_stats(pool).allocations;
    for (int i = 0; i < STEPS; i++) step_run(&s);
    const unsigned long long after = tarn_pool_get_stats(pool).allocations;
    bool good =
        tarn_ok(tm) && file != NULL && tarn_pool_write_trace(pool, file, TARN_TRACE_CSV) == TARN_OK;
    if (good) rewind(file);
    good = good && trace_read(file, t);
    if (file != NULL) (void)fclose(file);
    tarn_manager_destroy(tm);
    (void)tarn_pool_destroy(pool);
    return good ? (double)(after - before) / STEPS : -1;
}

/* ---- the tape's work */

static void forward_unrecorded(void *context)
{
    const step *s = context;
    TARN_NO_GRAD(s->tm);
    (void)step_forward(s);
}

static void forward_recorded(void *context)
{
    const step *s = context;
    TARN_SCOPE(s->tm);
    (void)step_forward(s);
}

static void forward_and_backward(void *context)
{
    const step *s = context;
    TARN_SCOPE(s->tm);
    (void)tarn_backward(step_forward(s));
}

/* ---- rows */

static void report(const bench_options *options, const char *name, double ns, double mad,
                   const arm *of, const char *note)
{
    bench_row row = bench_row_of("bench_share", name, note);
    row.median_ns = ns > 0 ? ns : 0, row.mad_ns = mad;
    row.floor_ns = of->median, row.floor_mad_ns = of->mad;
    row.floor = "the whole step: the ratio is the share";
    printf("| %-34s | %9.1f +- %6.1f | %6.2f %% |\n", name, row.median_ns, mad,
           100 * row.median_ns / of->median);
    bench_write(options, &row);
}

int main(int argc, char **argv)
{
    static trace t;
    static replay r;
    enum { STEP, REPLAY, UNRECORDED, RECORDED, BACKWARD, ARMS };
    const bench_options options = bench_start_single(
        argc, argv, "Measures what the pool and the tape take of a training step.", "");
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    step large, small;
    const double pairs_a_step = trace_steps(&t);
    step_make(&large, &whole, tm);
    step_make(&small, &single, tm);
    r = (replay){ .trace = &t, .rounds = 1, .pool = tarn_pool_create(NULL, NULL) };
    if (pairs_a_step < 0 || r.pool == NULL) {
        fprintf(stderr, "bench_share: the steps could not be traced\n");
        return 1;
    }
    arm arms[ARMS] = { [STEP] = { .run = step_run, .context = &large },
                       [REPLAY] = { .run = replay_pool, .context = &r },
                       [UNRECORDED] = { .run = forward_unrecorded, .context = &small },
                       [RECORDED] = { .run = forward_recorded, .context = &small },
                       [BACKWARD] = { .run = forward_and_backward, .context = &small } };
    for (int i = 0; i < ARMS; i++)
        arms[i].calls = calls_for(arms[i].run, arms[i].context, i == STEP ? 2e6 : 2e5);
    measure(arms, ARMS, options.repetitions);

    const double share = pairs_a_step / (t.n_events / 2.0);
    printf("%s: %.2f +- %.2f us a step, with %.1f pairs of acquire and release\n", whole.name,
           arms[STEP].median / 1e3, arms[STEP].mad / 1e3, pairs_a_step);
    printf("| %-34s | %-19s | %-8s |\n", "part of a step", "ns", "share");
    printf("|%.36s|%.21s|%.10s|\n", "------------------------------------", "---------------------",
           "----------");
    report(&options, "the pool's calls", arms[REPLAY].median * share, arms[REPLAY].mad * share,
           &arms[STEP], "the requests of 50 steps, made again with nothing between");
    report(&options, "the tape: recording", arms[RECORDED].median - arms[UNRECORDED].median,
           arms[RECORDED].mad + arms[UNRECORDED].mad, &arms[STEP],
           "forward recorded less forward without gradients, of a net of single units");
    report(&options, "the tape: recording and backward",
           arms[BACKWARD].median - arms[UNRECORDED].median,
           arms[BACKWARD].mad + arms[UNRECORDED].mad, &arms[STEP],
           "the same with all of backward, small kernels included: an upper bound");
    const bool ok = tarn_ok(tm);
    if (!ok) fprintf(stderr, "bench_share: %s\n", tarn_error_message(tm));
    tarn_manager_destroy(tm);
    (void)tarn_pool_destroy(r.pool);
    return bench_end(&options) != 0 || !ok;
}
