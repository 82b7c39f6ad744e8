/* SPDX-License-Identifier: MIT
 * regression.c - an ensemble of networks learns a curve from noisy points, how noisy they are, and
 * where it does not know.
 *
 * Each network gives a mean and a variance for every x and is trained by the likelihood of what was
 * measured (Lakshminarayanan et al. 2017). Their variances are the noise of the measurements; their
 * means agree only where there were any, and how far they do not is doubt. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flags.h"

enum { MEMBERS = 5, HIDDEN = 32, TRAIN = 512, HELD_OUT = 1000, COLUMNS = 73, ROWS = 21 };

/* Points were measured for x from -3 to 3; the curve is asked for from -6 to 6. */
static const double measured = 3, asked = 6;

static double curve(double x) { return sin(1.6 * x) + 0.4 * x; }
static double noise(double x) { return 0.08 + 0.4 / (1 + exp(-2 * x)); }

typedef struct ensemble {
    tarn_manager *tm;
    tarn_module *net;
    tarn_mlp members[MEMBERS];
} ensemble;

/* What the ensemble says about one x. */
typedef struct answer {
    double x, mean;
    double noise; /* deviation of the measurements: the mean of the members' variances */
    double doubt; /* deviation of the members' means from each other */
    double sigma; /* of both */
} answer;

/* Measurements at n random places. */
static void measure(tarn_manager *tm, int n, uint64_t stream, float *x, float *y)
{
    TARN_SCOPE(tm);
    const size_t bytes = (size_t)n * sizeof(float);
    const tarn_shape shape = TARN_SHAPE(n);
    tarn_copy_to(tarn_random_uniform(tm, TARN_F32, shape, -measured, measured, stream), x, bytes);
    tarn_copy_to(tarn_random_normal(tm, TARN_F32, shape, 0, 1, stream + 1), y, bytes);
    for (int i = 0; i < n; i++)
        y[i] = (float)(curve((double)x[i]) + noise((double)x[i]) * (double)y[i]);
}

/* x (n, 1)  ->  mean (n, 1) and variance (n, 1). */
static void predict(const tarn_mlp *member, tarn_tensor *x, tarn_tensor **mean,
                    tarn_tensor **variance)
{
    tarn_tensor *both = tarn_mlp_forward(member, x);
    *mean = tarn_slice(both, 1, 0, 1);
    *variance = tarn_exp(tarn_slice(both, 1, 1, 2));
}

static void train(const ensemble *e, const float *xs, const float *ys, int64_t steps)
{
    tarn_tensor *x = tarn_from_array(e->tm, TARN_F32, TARN_SHAPE(TRAIN, 1), xs);
    tarn_tensor *y = tarn_from_array(e->tm, TARN_F32, TARN_SHAPE(TRAIN, 1), ys);
    tarn_optimizer *optimizer = tarn_adam_create(e->net, &(tarn_adam_options){ .lr = 0.02 });
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE, .steps = (uint64_t)steps };
    for (int64_t step = 0; step < steps && tarn_ok(e->tm); step++) {
        double sum = 0;
        for (int i = 0; i < MEMBERS; i++) {
            TARN_SCOPE(e->tm);
            tarn_tensor *mean, *variance;
            predict(&e->members[i], x, &mean, &variance);
            tarn_tensor *loss = tarn_gaussian_nll(mean, y, variance);
            tarn_backward(loss);
            sum += tarn_item(loss);
        }
        tarn_schedule_apply(optimizer, &schedule, (uint64_t)step);
        tarn_optimizer_step(optimizer);
        if (step >= 2) tarn_expect_steady(e->tm);
        if (tarn_ok(e->tm) && (step % (steps / 5 + 1) == 0 || step == steps - 1))
            printf("step %4lld  loss %7.4f\n", (long long)step, sum / MEMBERS);
    }
}

static void ask(const ensemble *e, int n, const float *xs, answer *answers)
{
    TARN_NO_GRAD(e->tm);
    tarn_tensor *x = tarn_from_array(e->tm, TARN_F32, TARN_SHAPE(n, 1), xs);
    tarn_tensor *means[MEMBERS], *variances[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) predict(&e->members[i], x, &means[i], &variances[i]);
    tarn_tensor *all_means = tarn_stack(means, MEMBERS, 0);
    tarn_tensor *all_variances = tarn_stack(variances, MEMBERS, 0);
    const float *mean = tarn_data(tarn_mean(all_means, TARN_AXES(0)));
    const float *doubt = tarn_data(tarn_var(all_means, TARN_AXES(0), 0));
    const float *spread = tarn_data(tarn_mean(all_variances, TARN_AXES(0)));
    for (int i = 0; i < n && tarn_ok(e->tm); i++) {
        const double v = (double)spread[i], w = (double)doubt[i];
        answers[i] = (answer){ (double)xs[i], (double)mean[i], sqrt(v), sqrt(w), sqrt(v + w) };
    }
}

/* ---- what came of it */

/* From 4 in the first row to -4 in the last. */
static int row_of(double y) { return (int)lround((1 - fmax(-9, fmin(y, 9)) / 4) * (ROWS - 1) / 2); }

static void plot(const answer *answers)
{
    char rows[ROWS][COLUMNS];
    memset(rows, ' ', sizeof(rows));
    for (int column = 0; column < COLUMNS; column++) {
        const answer *a = &answers[column];
        const int top = row_of(a->mean + 2 * a->sigma), bottom = row_of(a->mean - 2 * a->sigma);
        for (int row = 0; row < ROWS; row++) {
            if (row >= top && row <= bottom) rows[row][column] = '.';
            if (row == row_of(curve(a->x))) rows[row][column] = 'o';
            if (row == row_of(a->mean)) rows[row][column] = '*';
        }
    }
    printf("\nthe mean *, the curve o where that is elsewhere, and the mean +- 2 sigma ...\n");
    for (int row = 0; row < ROWS; row++) printf("  %.*s\n", COLUMNS, rows[row]);
    printf("  x = -6            -3 <-------- points measured --------> 3               6\n");
}

/* Every `step`-th answer as a line, its numbers so wide and with this between them. */
static void write_table(FILE *file, const answer *answers, int step, int width, const char *comma)
{
    static const char *const names[] = { "x",     "curve",      "mean", "sigma",
                                         "noise", "true_noise", "doubt" };
    for (int k = 0; k < 7; k++) fprintf(file, "%s%*s", k > 0 ? comma : "", width, names[k]);
    for (int i = 0; i < COLUMNS; i += step) {
        const answer *a = &answers[i];
        const double numbers[] = { a->x,     curve(a->x), a->mean, a->sigma,
                                   a->noise, noise(a->x), a->doubt };
        for (int k = 0; k < 7; k++)
            fprintf(file, "%s%*.4f", k > 0 ? comma : "\n", width, numbers[k]);
    }
    fputc('\n', file);
}

/* Asks for points held out and for the whole curve. Returns what was not reached; NULL: nothing. */
static const char *report(const ensemble *e, const float *held_x, const float *held_y,
                          answer answers[COLUMNS])
{
    static answer held_out[HELD_OUT];
    float xs[COLUMNS];
    double inside = 0, known = 0, unknown = 0;
    for (int i = 0; i < COLUMNS; i++) xs[i] = (float)(asked * (2.0 * i / (COLUMNS - 1) - 1));
    ask(e, COLUMNS, xs, answers);
    ask(e, HELD_OUT, held_x, held_out);
    if (!tarn_ok(e->tm)) return NULL;
    plot(answers);
    printf("\n");
    write_table(stdout, answers, 6, 9, "  ");
    for (int i = 0; i < HELD_OUT; i++)
        inside += fabs((double)held_y[i] - held_out[i].mean) <= 1.96 * held_out[i].sigma;
    for (const answer *a = answers; a < answers + COLUMNS; a++)
        *(fabs(a->x) <= measured ? &known : &unknown) += a->doubt;
    const double growth = unknown / known; /* both are halves of the columns */
    inside *= 100.0 / HELD_OUT;
    printf("\n%.1f%% of held-out points within 1.96 sigma; outside, doubt is %.1f times larger\n",
           inside, growth);
    if (!(inside >= 90 && inside <= 99)) return "the share inside is not between 90% and 99%";
    return growth >= 3 ? NULL : "doubt does not grow where nothing was measured";
}

int main(int argc, char **argv)
{
    static float x[TRAIN], y[TRAIN], held_x[HELD_OUT], held_y[HELD_OUT];
    answer answers[COLUMNS];
    uint64_t seed = 1;
    int64_t steps = 800;
    const char *csv = NULL, *missed = NULL;
    bool check = false;
    int status;
    const flag flags[] = {
        { "--steps", "training steps", 1, 1000000, .count = &steps },
        { "--seed", "of points and weights", .seed = &seed },
        { "--csv", "write the curve there", .file = &csv },
        { "--check", "fail unless the intervals are right", .on = &check },
    };
    static const char purpose[] = "Learns a curve, its noise, and where it is not known.";
    if (!flags_parse("regression", purpose, FLAGS(flags), argc, argv, &status)) return status;

    tarn_runtime_init(&(tarn_runtime_options){ .threads = 1 });
    ensemble e = { .tm = tarn_manager_create(&(tarn_manager_options){ .seed = seed }) };
    e.net = tarn_module_create(e.tm);
    for (int i = 0; i < MEMBERS; i++) {
        const char name[] = { (char)('a' + i), '\0' };
        e.members[i] =
            tarn_mlp_create(e.net, name, (const int64_t[]){ 1, HIDDEN, HIDDEN, 2 }, 4, NULL);
    }
    measure(e.tm, TRAIN, 1, x, y);
    measure(e.tm, HELD_OUT, 3, held_x, held_y);
    train(&e, x, y, steps);
    if (tarn_ok(e.tm)) missed = report(&e, held_x, held_y, answers);
    if (!check) missed = NULL;
    FILE *file = csv != NULL && tarn_ok(e.tm) ? fopen(csv, "w") : NULL;
    if (file != NULL) write_table(file, answers, 1, 0, ",");
    if (csv != NULL && (file == NULL || fclose(file) != 0))
        missed = "the file for --csv cannot be written";
    return flags_end("regression", e.tm, missed);
}
