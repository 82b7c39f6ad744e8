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

/* A figure of a column of that width, in thousands or millions of what it is in; blank if negative.
 */
static void print_figure(double value, double unit, int decimals)
{
    if (value < 0) printf(" %8s |", "");
    else printf(" %8.*f |", decimals, value / unit);
}

static void report(const bench_options *options, const bench_row *row)
{
    printf("| %-35s | %9.2f +- %7.2f |", row->name, row->median_ns / 1e3, row->mad_ns / 1e3);
    print_figure(row->gemm_ns, 1e3, 2);
    print_figure(row->stream_ns, 1e3, 2);
    print_figure(row->bytes, 1e6, 3);
    print_figure(row->floor_ns, 1e3, 2);
    printf(" %5.2f |\n", row->median_ns / row->floor_ns);
    bench_write(options, row);
}

/* Measures a step, eager and planned, beside its floor. */
static bool measure_step(const bench_options *options, const step_kind *kind)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s, planned", kind->name);
    bench_row eager = bench_row_of("bench_step", kind->name, "one training step");
    bench_row planned = bench_row_of("bench_step", name, "one training step, replayed by a plan");
    if (!step_measure(options, kind, &eager, &planned)) return false;
    report(options, &eager);
    report(options, &planned);
    return true;
}

int main(int argc, char **argv)
{
    const bench_options options =
        bench_start_single(argc, argv, "Times training steps against their floors.", "");
    printf("one training step, us (median +- MAD of %d interleaved repetitions); floor = products "
           "in BLAS + streams\n",
           options.repetitions);
    printf("| step                                | tarn, us             | products |  streams |   "
           "    MB | "
           "   floor | ratio |\n");
    printf("|-------------------------------------|----------------------|----------|----------|---"
           "-------|-"
           "---------|-------|\n");
    bool ok = step_check_xor();
    for (int i = 0; i < N_STEP_KINDS && ok; i++)
        if (bench_wants(&options, step_kinds[i].name)) ok = measure_step(&options, &step_kinds[i]);
    return bench_end(&options) != 0 || !ok;
}
