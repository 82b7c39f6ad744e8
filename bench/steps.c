/* SPDX-License-Identifier: MIT
 * steps.c - nets, batches and steps. */
#include "steps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double no_progress = 1e-9;

const step_kind step_kinds[N_STEP_KINDS] = {
    { "XOR 2-8-1 b4 Adam", XOR_B, { XOR_I, XOR_H, 1 }, OPTIMIZER_ADAM, .is_xor = true },
    { "784-128-10 b32 SGD", 32, { 784, 128, 10 }, OPTIMIZER_SGD, false },
    { "784-128-10 b64 SGD", 64, { 784, 128, 10 }, OPTIMIZER_SGD, false },
    { "784-128-10 b128 SGD", 128, { 784, 128, 10 }, OPTIMIZER_SGD, false },
    { "784-512-256-10 b128 Adam", 128, { 784, 512, 256, 10 }, OPTIMIZER_ADAM, false },
    { "784-1024-1024-10 b256 Adam", 256, { 784, 1024, 1024, 10 }, OPTIMIZER_ADAM, false },
};

static int count_sizes(const step_kind *kind)
{
    int n = 0;
    while (n < MAX_SIZES && kind->sizes[n] > 0) n++;
    return n;
}

static void make_xor(step *s, double lr)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    s->x = tarn_from_array(s->tm, TARN_F32, TARN_SHAPE(XOR_B, XOR_I), X);
    s->y = tarn_from_array(s->tm, TARN_F32, TARN_SHAPE(XOR_B, 1), Y);
    s->l1 = tarn_linear_create(s->net, "l1", XOR_I, XOR_H);
    s->l2 = tarn_linear_create(s->net, "l2", XOR_H, 1);
    s->opt = tarn_adam_create(s->net, &(tarn_adam_options){ .lr = lr });
}

static void make_mlp(step *s, const step_kind *kind)
{
    int64_t sizes[MAX_SIZES];
    const int n = count_sizes(kind);
    for (int i = 0; i < n; i++) sizes[i] = kind->sizes[i];
    s->x = tarn_random_uniform(s->tm, TARN_F32, TARN_SHAPE(kind->batch, sizes[0]), 0, 1, 1);
    s->y = tarn_empty(s->tm, TARN_I64, TARN_SHAPE(kind->batch));
    int64_t *labels = tarn_data_mut(s->y);
    for (int i = 0; labels != NULL && i < kind->batch; i++) labels[i] = i % sizes[n - 1];
    s->mlp = tarn_mlp_create(s->net, "mlp", sizes, n, NULL);
    s->opt = kind->optimizer == OPTIMIZER_ADAM
                 ? tarn_adam_create(s->net, &(tarn_adam_options){ .lr = no_progress })
                 : tarn_sgd_create(s->net, &(tarn_sgd_options){ .lr = no_progress });
}

void step_make(step *s, const step_kind *kind, tarn_manager *tm)
{
    *s = (step){ .tm = tm, .net = tarn_module_create(tm) };
    if (kind->is_xor) make_xor(s, no_progress);
    else make_mlp(s, kind);
}

tarn_tensor *step_forward(const step *s)
{
    if (s->l1.module == NULL) return tarn_cross_entropy(tarn_mlp_forward(&s->mlp, s->x), s->y);
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&s->l1, s->x));
    return tarn_bce_with_logits(tarn_linear_forward(&s->l2, hidden), s->y);
}

void step_run(void *context)
{
    const step *s = context;
    TARN_SCOPE(s->tm);
    (void)tarn_backward(step_forward(s));
    (void)tarn_optimizer_step(s->opt);
}

static tarn_tensor *planned_step(tarn_tensor *const *inputs, int n, void *context)
{
    step s = *(const step *)context;
    if (n != 2) return NULL;
    s.x = inputs[0], s.y = inputs[1];
    tarn_tensor *loss = step_forward(&s);
    (void)tarn_backward(loss);
    (void)tarn_optimizer_step(s.opt);
    return loss;
}

void step_run_planned(void *context)
{
    step *s = context;
    if (s->plan == NULL) s->plan = tarn_plan_create(s->tm, planned_step, s, NULL);
    (void)tarn_plan_run(s->plan, TARN_LIST(s->x, s->y));
}

/* ---- XOR by hand */

static void copy(float *to, tarn_tensor *from, size_t n)
{
    const void *data = tarn_data(from);
    if (data != NULL) memcpy(to, data, n * sizeof(float));
}

void step_copy_xor(xor_step *to, const step *from, double lr)
{
    *to = (xor_step){ .lr = (float)lr, .power1 = 1, .power2 = 1 };
    copy(&to->x[0][0], from->x, XOR_B * XOR_I);
    copy(to->y, from->y, XOR_B);
    copy(to->w + XOR_W1, from->l1.weight, XOR_H * XOR_I);
    copy(to->w + XOR_B1, from->l1.bias, XOR_H);
    copy(to->w + XOR_W2, from->l2.weight, XOR_H);
    copy(to->w + XOR_B2, from->l2.bias, 1);
}

bool step_check_xor(void)
{
    static const double lr = 0.05, within = 1e-4;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    step s = { .tm = tm, .net = tarn_module_create(tm) };
    xor_step by_hand;
    bool agree = true;
    make_xor(&s, lr);
    step_copy_xor(&by_hand, &s, lr);
    for (int i = 0; agree && i < 300; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *loss = step_forward(&s);
        (void)tarn_backward(loss);
        (void)tarn_optimizer_step(s.opt);
        const double ours = tarn_item(loss), theirs = (double)xor_step_run(&by_hand);
        agree = fabs(ours - theirs) <= within * ours;
        if (!agree)
            fprintf(stderr, "benchmark: XOR, step %d: the loss is %.7g, and by hand %.7g\n", i,
                    ours, theirs);
    }
    tarn_manager_destroy(tm);
    return agree;
}

static void run_by_hand(void *context)
{
    /* The loss must be computed, though nobody reads it. */
    const float loss = xor_step_run(context);
    __asm__ volatile("" : : "m"(loss));
}

/* ---- rows */

/* Runs the arms (floor, eager and, if wanted, planned) and sets the rows. */
static void measure_arms(const bench_options *options, arm *arms, const floor_plan *f,
                         bench_row *const rows[2])
{
    const int n = rows[1] != NULL ? 3 : 2;
    for (int a = 0; a < n; a++) arms[a].calls = calls_for(arms[a].run, arms[a].context, 2e6);
    measure(arms, n, options->repetitions);
    for (int i = 0; i + 1 < n; i++) {
        bench_row *row = rows[i];
        row->median_ns = arms[i + 1].median, row->mad_ns = arms[i + 1].mad;
        if (f->n_parts > 0) {
            bench_set_floor(row, &arms[0]);
            row->bytes = floor_bytes(f);
            row->floor = floor_method;
        } else {
            row->floor_ns = arms[0].median, row->floor_mad_ns = arms[0].mad;
            row->floor = "the same step by hand in plain C, bench/xor_step.c; its losses agree";
        }
    }
}

bool step_measure(const bench_options *options, const step_kind *kind, bench_row *eager,
                  bench_row *planned)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    floor_plan f = { 0 };
    xor_step by_hand;
    step s, p;
    step_make(&s, kind, tm);
    step_make(&p, kind, tm);
    arm arms[3] = { { .run = run_by_hand, .context = &by_hand },
                    { .run = step_run, .context = &s },
                    { .run = step_run_planned, .context = &p } };
    if (kind->is_xor) {
        step_copy_xor(&by_hand, &s, no_progress);
    } else {
        floor_add_mlp(&f, kind->sizes, count_sizes(kind), kind->batch, kind->optimizer);
        floor_tune(&f, options->repetitions < 21 ? options->repetitions : 21);
        arms[0] = (arm){ .run = floor_run, .context = &f, .split = f.spent };
    }
    measure_arms(options, arms, &f, (bench_row *const[]){ eager, planned });
    floor_free(&f);

    bool ok = tarn_ok(tm);
    if (!ok) fprintf(stderr, "benchmark: %s: %s\n", kind->name, tarn_error_message(tm));
    if (ok && planned != NULL && !tarn_plan_is_replayed(p.plan)) {
        fprintf(stderr, "benchmark: %s is not replayed: %s\n", kind->name,
                tarn_plan_reason(p.plan));
        ok = false;
    }
    tarn_manager_destroy(tm);
    return ok;
}
