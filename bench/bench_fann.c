/* SPDX-License-Identifier: MIT
 * bench_fann.c - training steps in FANN, for scripts/bench --peers.
 *
 * FANN knows neither cross-entropy nor Adam. Its step is what comes nearest: forward, backward of
 * squared errors and one update of plain gradient descent by a whole batch; tanh in the hidden
 * layers, a sigmoid at the end. */
#include <fann.h>
#include <stdio.h>
#include <stdlib.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"

/* Nets of more weights would take seconds a step. */
enum { MAX_WEIGHTS = 200000 };

typedef struct fann_step {
    struct fann *net;
    struct fann_train_data *data;
} fann_step;

static void run(void *context)
{
    const fann_step *s = context;
    (void)fann_train_epoch(s->net, s->data);
}

static fann_step make(const step_kind *kind, unsigned *sizes, unsigned n)
{
    fann_step s = { .net = fann_create_standard_array(n, sizes),
                    .data = fann_create_train((unsigned)kind->batch, sizes[0], sizes[n - 1]) };
    if (s.net == NULL || s.data == NULL) abort();
    fann_set_training_algorithm(s.net, FANN_TRAIN_BATCH);
    fann_set_train_error_function(s.net, FANN_ERRORFUNC_LINEAR);
    fann_set_activation_function_hidden(s.net, FANN_SIGMOID_SYMMETRIC);
    fann_set_activation_function_output(s.net, FANN_SIGMOID);
    fann_set_learning_rate(s.net, 1e-9f);
    for (int b = 0; b < kind->batch; b++) {
        for (unsigned i = 0; i < sizes[0]; i++)
            s.data->input[b][i] = (float)((unsigned)b * 31 + i * 7 % 97) / 4096;
        for (unsigned i = 0; i < sizes[n - 1]; i++)
            s.data->output[b][i] = (unsigned)b % sizes[n - 1] == i ? 1 : 0;
    }
    return s;
}

static void measure_kind(const bench_options *options, const step_kind *kind)
{
    unsigned sizes[MAX_SIZES], n = 0;
    while (n < MAX_SIZES && kind->sizes[n] > 0) sizes[n] = (unsigned)kind->sizes[n], n++;
    fann_step s = make(kind, sizes, n);
    if (fann_get_total_connections(s.net) <= MAX_WEIGHTS) {
        arm a = { .run = run, .context = &s, .calls = calls_for(run, &s, 2e6) };
        measure(&a, 1, options->repetitions);
        printf("| %-26s | %9.2f +- %7.2f |\n", kind->name, a.median / 1e3, a.mad / 1e3);
        bench_row row = bench_row_of("bench_fann", kind->name,
                                     "squared errors and gradient descent by the batch");
        row.median_ns = a.median, row.mad_ns = a.mad;
        bench_write(options, &row);
    }
    fann_destroy_train(s.data);
    fann_destroy(s.net);
}

int main(int argc, char **argv)
{
    const bench_options options =
        bench_start_single(argc, argv, "Times training steps in FANN.", "");
    printf("one training step in FANN, us (median +- MAD of %d repetitions)\n",
           options.repetitions);
    for (int i = 0; i < N_STEP_KINDS; i++)
        if (bench_wants(&options, step_kinds[i].name)) measure_kind(&options, &step_kinds[i]);
    return bench_end(&options);
}
