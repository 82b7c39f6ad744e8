/* SPDX-License-Identifier: MIT
 * bench_scale.c - a training step as the work grows: by batch, and by width. There is to be no
 * cliff. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"

static bool measure_kind(const bench_options *options, step_kind kind)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%d-%d-%d b%d SGD", kind.sizes[0], kind.sizes[1],
                   kind.sizes[2], kind.batch);
    if (!bench_wants(options, name)) return true;
    bench_row row = bench_row_of("bench_scale", name, "one training step");
    kind.name = name;
    if (!step_measure(options, &kind, &row, NULL)) return false;
    printf("| %-22s | %10.2f +- %8.2f | %10.2f | %9.3f | %5.2f |\n", name, row.median_ns / 1e3,
           row.mad_ns / 1e3, row.floor_ns / 1e3, row.median_ns / 1e3 / kind.batch,
           row.median_ns / row.floor_ns);
    bench_write(options, &row);
    return true;
}

int main(int argc, char **argv)
{
    const bench_options options = bench_start_single(
        argc, argv, "Times training steps of growing batches (1 to 4096) and widths (8 to 4096).",
        "");
    bool ok = true;
    printf("one training step, us (median +- MAD of %d interleaved repetitions)\n",
           options.repetitions);
    printf(
        "| step                   | tarn, us               | floor      | an image  | ratio |\n");
    printf(
        "|------------------------|------------------------|------------|-----------|-------|\n");
    for (int batch = 1; batch <= 4096 && ok; batch *= 2)
        ok = measure_kind(&options, (step_kind){ .batch = batch, .sizes = { 784, 128, 10 } });
    for (int width = 8; width <= 4096 && ok; width *= 2)
        if (width != 128) /* measured above */
            ok = measure_kind(&options, (step_kind){ .batch = 64, .sizes = { 784, width, 10 } });
    return bench_end(&options) != 0 || !ok;
}
