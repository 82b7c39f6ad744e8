/* SPDX-License-Identifier: MIT
 * bench_step.c - a training step against its floor, in the same run.
 *
 * The floor is the time of the step's matrix products in the same BLAS and of plain loops that move
 * the bytes that must move besides; of XOR, whose products are too small to speak of, a step
 * written by hand. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"

static void run_by_hand(void *context)
{
    /* The loss must be computed, though nobody reads it. */
    const float loss = xor_step_run(context);
    __asm__ volatile("" : : "m"(loss));
}

/* A figure of a column of that width, in thousands or millions of what it is in; blank if negative.
 */
static void print_figure(double value, double unit, int decimals)
{
    if (value < 0) printf(" %8s |", "");
    else printf(" %8.*f |", decimals, value / unit);
}

static void report(const bench_options *options, const bench_row *row)
{
    printf("| %-26s | %9.2f +- %7.2f |", row->name, row->median_ns / 1e3, row->mad_ns / 1e3);
    print_figure(row->gemm_ns, 1e3, 2);
    print_figure(row->stream_ns, 1e3, 2);
    print_figure(row->bytes, 1e6, 3);
    print_figure(row->floor_ns, 1e3, 2);
    printf(" %5.2f |\n", row->median_ns / row->floor_ns);
    bench_write(options, row);
}

static void measure_xor(const bench_options *options, bench_row *row, step *s)
{
    xor_step by_hand;
    step_copy_xor(&by_hand, s, 1e-9);
    arm arms[] = { { .run = step_run, .context = s, .calls = calls_for(step_run, s, 2e6) },
                   { .run = run_by_hand, .context = &by_hand } };
    arms[1].calls = calls_for(run_by_hand, &by_hand, 2e6);
    measure(arms, 2, options->repetitions);
    row->median_ns = arms[0].median, row->mad_ns = arms[0].mad;
    row->floor_ns = arms[1].median, row->floor_mad_ns = arms[1].mad;
    row->floor = "the same step written by hand in plain C, bench/xor_step.c; its losses agree";
}

/* Measures a step beside its floor; false with the reason printed if it failed. */
static bool measure_step(const bench_options *options, const step_kind *kind)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    step s;
    bench_row row = bench_row_of("bench_step", kind->name, "one training step");
    step_make(&s, kind, tm);
    if (kind->is_xor) measure_xor(options, &row, &s);
    else step_measure(options, &row, &s, kind);
    const bool ok = tarn_ok(tm);
    if (ok) report(options, &row);
    else fprintf(stderr, "bench_step: %s: %s\n", kind->name, tarn_error_message(tm));
    tarn_manager_destroy(tm);
    return ok;
}

int main(int argc, char **argv)
{
    const bench_options options =
        bench_start(argc, argv, "Times training steps against their floors.");
    printf("one training step, us (median +- MAD of %d interleaved repetitions); floor = products "
           "in BLAS + streams\n",
           options.repetitions);
    printf("| step                       | tarn, us             | products |  streams |       MB | "
           "   floor | ratio |\n");
    printf("|----------------------------|----------------------|----------|----------|----------|-"
           "---------|-------|\n");
    bool ok = step_check_xor();
    for (int i = 0; i < N_STEP_KINDS && ok; i++)
        if (bench_wants(&options, step_kinds[i].name)) ok = measure_step(&options, &step_kinds[i]);
    return bench_end(&options) != 0 || !ok;
}
