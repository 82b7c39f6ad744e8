/* SPDX-License-Identifier: MIT
 * bench_watching.c - what it costs a training step to be watched: statistics, phases, events,
 * checking. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"

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

static void report(const bench_options *options, const step_kind *kind, int way, const arm *arms)
{
    char name[96];
    const arm *a = &arms[way];
    (void)snprintf(name, sizeof(name), "%s, watched: %s", kind->name, ways[way].name);
    printf("| %-18s | %-13s | %9.2f +- %6.2f | %6.3f |\n", kind->name, ways[way].name,
           a->median / 1e3, a->mad / 1e3, a->median / arms[0].median);
    bench_row row = bench_row_of("bench_watching", name, "one training step");
    row.median_ns = a->median, row.mad_ns = a->mad;
    row.floor_ns = arms[0].median, row.floor_mad_ns = arms[0].mad;
    row.floor = "the same step, watched by nothing";
    bench_write(options, &row);
}

/* The same step, watched in every way, in turns. */
static bool measure_watching(const bench_options *options, const step_kind *kind)
{
    step steps[WAYS];
    tarn_pool *pools[WAYS];
    arm arms[WAYS];
    bool ok = true;
    for (int i = 0; i < WAYS; i++) {
        tarn_manager_options manager = ways[i].manager;
        pools[i] = tarn_pool_create(&ways[i].pool, NULL);
        manager.seed = 42;
        manager.pool = pools[i];
        step_make(&steps[i], kind, tarn_manager_create(&manager));
        arms[i] = (arm){ .run = step_run, .context = &steps[i] };
        arms[i].calls = calls_for(step_run, &steps[i], 2e6);
    }
    measure(arms, WAYS, options->repetitions);
    for (int i = 0; i < WAYS; i++) {
        report(options, kind, i, arms);
        if (!tarn_ok(steps[i].tm)) {
            fprintf(stderr, "bench_watching: %s\n", tarn_error_message(steps[i].tm));
            ok = false;
        }
        tarn_manager_destroy(steps[i].tm);
        ok = tarn_pool_destroy(pools[i]) == TARN_OK && ok;
    }
    return ok;
}

int main(int argc, char **argv)
{
    const bench_options options =
        bench_start_single(argc, argv, "Times training steps that are watched in every way.", "");
    printf("what watching costs a training step, us (median +- MAD of %d interleaved "
           "repetitions)\n",
           options.repetitions);
    printf("| step               | watched by    | us                  | ratio  |\n");
    printf("|--------------------|---------------|---------------------|--------|\n");
    bool ok = true;
    for (int i = 0; i < N_STEP_KINDS && ok; i++)
        if ((step_kinds[i].is_xor || step_kinds[i].batch == 64) &&
            bench_wants(&options, step_kinds[i].name))
            ok = measure_watching(&options, &step_kinds[i]);
    return bench_end(&options) != 0 || !ok;
}
