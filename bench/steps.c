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

void step_measure(const bench_options *options, bench_row *row, step *s, const step_kind *kind)
{
    floor_plan f = { 0 };
    floor_add_mlp(&f, kind->sizes, count_sizes(kind), kind->batch, kind->optimizer);
    floor_tune(&f, options->repetitions < 21 ? options->repetitions : 21);
    arm arms[] = { { .run = step_run, .context = s, .calls = calls_for(step_run, s, 2e6) },
                   { .run = floor_run, .context = &f, .split = f.spent } };
    arms[1].calls = calls_for(floor_run, &f, 2e6);
    measure(arms, 2, options->repetitions);
    row->median_ns = arms[0].median, row->mad_ns = arms[0].mad;
    bench_set_floor(row, &arms[1]);
    row->bytes = floor_bytes(&f);
    row->floor = floor_method;
    floor_free(&f);
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
