/* SPDX-License-Identifier: MIT
 * test_fit.c - the usual loop of training: the same bits as a loop by hand, when it ends and with
 * which weights, what it tells, and what is left where it fails. */
#define _GNU_SOURCE /* posix_openpt */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"

/* ---- what is trained: a small chain with everything that changes in training */

enum { ROWS = 50, BATCH = 8, BATCHES = 5 }; /* 40 rows to train with, 10 to validate with */

typedef struct task {
    tarn_manager *tm;
    tarn_module *root;
    tarn_sequential net;
    tarn_optimizer *optimizer;
    tarn_loader *train, *validation;

    /* What callbacks note and do. */
    int64_t epoch, step; /* of the latest call */
    int calls, evaluated;
    int64_t stop_epoch, stop_step;
    int64_t poison_epoch, poison_step; /* whose loss is not a number */
    const double *losses;              /* of the validation, by epoch; NULL: as it is */
    uint64_t digest, digests[32];      /* after the latest step; after each epoch */
    float buffer, buffers[32];         /* the first running mean, likewise */
    double lrs[64];
    bool steady; /* tarn_expect_steady from the second epoch on */
} task;

static void begin(task *t, tarn_manager *tm, bool adam)
{
    *t = (task){ .tm = tm };
    tarn_tensor *x = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(ROWS, 6), -1, 1, 1);
    tarn_tensor *y =
        tarn_cast(tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(ROWS), 0, 3, 2), TARN_I32);
    t->train = tarn_loader_create(
        x, y,
        &(tarn_loader_options){ .batch_size = BATCH, .shuffle = true, .to = 0.8, .mix = true });
    t->validation = tarn_loader_create(
        x, y, &(tarn_loader_options){ .batch_size = BATCH, .from = 0.8, .mix = true });
    t->root = tarn_module_create(tm);
    t->net = tarn_sequential_create(t->root, "net");
    tarn_sequential_add_linear(&t->net, 6, 10, NULL);
    tarn_sequential_add_batch_norm(&t->net, 10, NULL);
    tarn_sequential_add_activation(&t->net, TARN_TANH);
    tarn_sequential_add_dropout(&t->net, 0.1);
    tarn_sequential_add_linear(&t->net, 10, 3, NULL);
    t->optimizer = adam ? tarn_adam_create(t->root, &(tarn_adam_options){ .lr = 0.01 })
                        : tarn_sgd_create(t->root, &(tarn_sgd_options){ .lr = 0.1 });
    check_no_error(tm);
}

static float read_buffer(const task *t)
{
    return *(const float *)tarn_data(tarn_module_find(t->root, "net.1.running_mean"));
}

/* The loss; in a validation with a table of losses, that of the epoch; NaN where it is poisoned. */
static tarn_tensor *step(void *context, tarn_tensor *x, tarn_tensor *y, double *metric)
{
    task *t = context;
    tarn_tensor *logits = tarn_sequential_forward(&t->net, x);
    assert_true(isnan(*metric));
    if (logits != NULL) *metric = tarn_accuracy(logits, y);
    tarn_tensor *loss = tarn_cross_entropy(logits, y);
    const int64_t epoch = tarn_loader_epoch(t->train) + 1;
    if (!tarn_module_is_training(t->root)) {
        t->evaluated++;
        assert_false(tarn_requires_grad(loss));
        if (t->losses == NULL) return loss;
        *metric = -t->losses[epoch - 1];
        return tarn_full(t->tm, TARN_F32, TARN_SCALAR, t->losses[epoch - 1]);
    }
    if (epoch == t->poison_epoch && t->step % BATCHES + 1 == t->poison_step)
        return tarn_mul_scalar(loss, NAN);
    return loss;
}

static bool on_step(void *context, const tarn_fit_figures *f)
{
    task *t = context;
    if (t->calls < 64) t->lrs[t->calls] = f->lr;
    t->calls++;
    t->epoch = f->epoch;
    t->step = f->step;
    t->digest = tarn_module_digest(t->root);
    t->buffer = read_buffer(t);
    assert_true(tarn_module_is_training(t->root));
    if (t->steady && f->epoch > 1) check_status(tarn_expect_steady(t->tm), TARN_OK);
    return f->epoch != t->stop_epoch || f->step != t->stop_step;
}

static bool on_epoch(void *context, const tarn_fit_figures *f)
{
    task *t = context;
    t->digests[f->epoch] = tarn_module_digest(t->root);
    t->buffers[f->epoch] = read_buffer(t);
    assert_int_equal(f->step, f->steps);
    return f->epoch != t->stop_epoch || t->stop_step != 0;
}

/* Options that watch everything. */
static tarn_fit_options watched(task *t)
{
    return (tarn_fit_options){ .step = step,
                               .context = t,
                               .epochs = 4,
                               .validation = t->validation,
                               .on_step = on_step,
                               .on_epoch = on_epoch };
}

static tarn_fit_result fit(task *t, const tarn_fit_options *o)
{
    tarn_fit_result result;
    check_status(tarn_fit(t->optimizer, t->root, t->train, o, &result), TARN_OK);
    check_no_error(t->tm);
    return result;
}

/* ---- the same bits as a loop by hand */

/* The loop that fit.h shows, with parts of batches. */
static void fit_by_hand(task *t, const tarn_fit_options *o)
{
    const int64_t k = o->accumulate == 0 ? 1 : o->accumulate;
    tarn_tensor *x, *y;
    uint64_t number = 0;
    for (int64_t epoch = 0; epoch < o->epochs; epoch++) {
        for (int64_t batch = 0; tarn_loader_next(t->train, &x, &y); batch++) {
            TARN_SCOPE(t->tm);
            const int64_t first = batch / k * k, parts = BATCHES - first < k ? BATCHES - first : k;
            if (o->schedule != NULL && batch == first)
                tarn_schedule_apply(t->optimizer, o->schedule,
                                    o->schedule_epochs ? (uint64_t)epoch : number);
            tarn_tensor *loss = tarn_cross_entropy(tarn_sequential_forward(&t->net, x), y);
            if (parts > 1) loss = tarn_div_scalar(loss, (double)parts);
            tarn_backward(loss);
            if (batch - first + 1 < parts) continue;
            if (o->clip_value > 0) tarn_clip_grad_value(t->root, o->clip_value);
            if (o->clip_norm > 0) (void)tarn_clip_grad_norm(t->root, o->clip_norm);
            tarn_optimizer_step(t->optimizer);
            if (o->ema != NULL) tarn_ema_update(o->ema);
            number++;
        }
    }
    check_no_error(t->tm);
}

static void same_bits(tarn_fit_options o, bool adam, bool averages)
{
    task a, b;
    check_fixture f, g;
    check_begin(&f, NULL);
    check_begin(&g, NULL);
    begin(&a, f.tm, adam);
    begin(&b, g.tm, adam);
    o.step = step;
    o.epochs = 3;
    if (averages) o.ema = tarn_ema_create(b.root, &(tarn_ema_options){ .decay = 0.9 });
    tarn_ema *by_hand = o.ema;
    fit_by_hand(&b, &o);
    o.context = &a;
    o.validation = a.validation;
    if (averages) o.ema = tarn_ema_create(a.root, &(tarn_ema_options){ .decay = 0.9 });
    const tarn_fit_result r = fit(&a, &o);
    assert_int_equal(r.end, TARN_FIT_COMPLETED);
    assert_int_equal(r.epochs, 3);
    const int64_t k = o.accumulate == 0 ? 1 : o.accumulate;
    assert_int_equal(r.steps, 3 * ((BATCHES + k - 1) / k));
    assert_int_equal(tarn_optimizer_steps(a.optimizer), tarn_optimizer_steps(b.optimizer));
    assert_true(tarn_module_digest(a.root) == tarn_module_digest(b.root));
    assert_true(read_buffer(&a) == read_buffer(&b));
    if (averages) {
        check_status(tarn_ema_apply(o.ema), TARN_OK);
        check_status(tarn_ema_apply(by_hand), TARN_OK);
        assert_true(tarn_module_digest(a.root) == tarn_module_digest(b.root));
    }
    check_end(&f);
    check_end(&g);
}

static void it_is_the_loop_that_one_writes(void **state)
{
    (void)state;
    const tarn_schedule cosine = { .kind = TARN_SCHEDULE_COSINE, .steps = 15, .warmup = 3 };
    const tarn_schedule halves = { .kind = TARN_SCHEDULE_STEP, .every = 1, .gamma = 0.5 };
    same_bits((tarn_fit_options){ .epochs = 3 }, false, false);
    same_bits((tarn_fit_options){ .epochs = 3 }, true, true);
    same_bits((tarn_fit_options){ .schedule = &cosine }, true, false);
    same_bits((tarn_fit_options){ .schedule = &halves, .schedule_epochs = true }, false, false);
    same_bits((tarn_fit_options){ .clip_norm = 0.1, .clip_value = 0.05 }, false, false);
    for (int64_t k = 2; k <= 6; k++)
        same_bits((tarn_fit_options){ .accumulate = k, .clip_norm = 0.5 }, k % 2 == 0, k == 3);
}

/* Two trainings, one after the other, are one. */
static void it_goes_on_after_an_earlier_call(void **state)
{
    check_fixture *f = *state, g;
    const tarn_schedule cosine = { .kind = TARN_SCHEDULE_COSINE, .steps = 20 };
    task a, b;
    check_begin(&g, NULL);
    begin(&a, f->tm, true);
    begin(&b, g.tm, true);
    tarn_fit_options o = watched(&a);
    o.schedule = &cosine;
    fit(&a, &o);
    o.context = &b;
    o.validation = b.validation;
    o.epochs = 2;
    fit(&b, &o);
    tarn_tensor *x, *y;
    assert_true(tarn_loader_next(b.train, &x, &y)); /* it is sought, wherever it stands */
    o.done = 2;
    o.epochs = 4;
    const tarn_fit_result r = fit(&b, &o);
    assert_int_equal(r.epochs, 4);
    assert_int_equal(r.steps, 10);
    assert_int_equal(b.epoch, 4);
    assert_true(tarn_module_digest(a.root) == tarn_module_digest(b.root));
    o.done = 4;
    const tarn_fit_result none = fit(&b, &o);
    assert_int_equal(none.end, TARN_FIT_COMPLETED);
    assert_int_equal(none.steps, 0);
    check_end(&g);
}

/* ---- figures */

static void figures_are_means_over_rows(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    tarn_fit_options o = watched(&t);
    o.epochs = 2;
    o.clip_norm = INFINITY;
    const tarn_fit_result r = fit(&t, &o);
    assert_int_equal(r.last.epoch, 2);
    assert_int_equal(r.last.epochs, 2);
    assert_int_equal(r.last.step, BATCHES);
    assert_int_equal(r.last.steps, BATCHES);
    assert_true(r.last.gradient_norm > 0);
    assert_true(r.last.lr == 0.1);
    assert_true(r.last.seconds > 0);
    assert_true(r.last.loss > 0 && r.last.metric >= 0 && r.last.metric <= 1);
    assert_int_equal(t.evaluated, 2 * 2);

    double loss = 0;
    int64_t correct = 0;
    tarn_tensor *x, *y;
    tarn_module_eval(t.root);
    while (tarn_loader_next(t.validation, &x, &y)) { /* 8 rows and 2 */
        TARN_NO_GRAD(f->tm);
        tarn_tensor *logits = tarn_sequential_forward(&t.net, x);
        loss += tarn_item(tarn_cross_entropy(logits, y)) * (double)tarn_dim(x, 0);
        correct += tarn_count_correct(logits, y);
    }
    assert_true(fabs(r.last.validation_loss - loss / 10) < 1e-12);
    assert_true(fabs(r.last.validation_metric - (double)correct / 10) < 1e-12);
    assert_true(r.best >= r.last.validation_loss - 1e-12 || r.best_epoch != 2);
}

static void without_validation_training_is_judged(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, true);
    tarn_fit_options o = watched(&t);
    o.validation = NULL;
    const tarn_fit_result r = fit(&t, &o);
    assert_true(isnan(r.last.validation_loss) && isnan(r.last.validation_metric));
    assert_true(isnan(r.last.gradient_norm));
    assert_true(r.best_epoch >= 1 && r.best <= r.last.loss);
    assert_false(r.restored);
    assert_int_equal(t.evaluated, 0);
}

/* ---- early stopping */

static void the_best_weights_come_back(void **state)
{
    static const double losses[] = { 5, 4, 4.5, 3, 3.5, 3.2, 3, 1, 1 };
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, true);
    t.losses = losses;
    tarn_fit_options o = watched(&t);
    o.epochs = 9;
    o.patience = 3;
    const tarn_fit_result r = fit(&t, &o);
    assert_int_equal(r.end, TARN_FIT_NO_IMPROVEMENT);
    assert_int_equal(r.epochs, 7);
    assert_int_equal(r.best_epoch, 4);
    assert_true(r.best == 3);
    assert_true(r.restored);
    assert_true(t.digests[4] != t.digests[7] && t.buffers[4] != t.buffers[7]);
    assert_true(tarn_module_digest(t.root) == t.digests[4]);
    assert_true(read_buffer(&t) == t.buffers[4]);
    assert_false(r.last.best);
}

/* Patience counts improvements by more than min_delta; the best is the best all the same. */
static void small_improvements_do_not_count(void **state)
{
    static const double losses[] = { 5, 4.9, 4.8, 4.7, 3, 2, 1, 1, 1 };
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, true);
    t.losses = losses;
    tarn_fit_options o = watched(&t);
    o.epochs = 9;
    o.patience = 2;
    o.min_delta = 0.25;
    const tarn_fit_result r = fit(&t, &o);
    assert_int_equal(r.end, TARN_FIT_NO_IMPROVEMENT);
    assert_int_equal(r.epochs, 3);
    assert_int_equal(r.best_epoch, 3);
    assert_true(r.best == 4.8 || fabs(r.best - 4.8) < 1e-6);
    assert_true(tarn_module_digest(t.root) == t.digests[3]);
}

/* The metric of the table is the negative loss. */
static void metrics_can_be_the_goal(void **state)
{
    static const double losses[] = { 5, 4, 4.5, 6, 7, 1, 1, 1 };
    check_fixture *f = *state;
    for (int smaller = 0; smaller < 2; smaller++) {
        task t;
        begin(&t, f->tm, true);
        t.losses = losses;
        tarn_fit_options o = watched(&t);
        o.epochs = 8;
        o.patience = 3;
        o.goal = smaller ? TARN_FIT_METRIC_MIN : TARN_FIT_METRIC_MAX;
        const tarn_fit_result r = fit(&t, &o);
        assert_int_equal(r.end, TARN_FIT_NO_IMPROVEMENT);
        assert_int_equal(r.best_epoch, smaller ? 5 : 2);
        assert_true(r.best == (smaller ? -7 : -4));
        assert_int_equal(r.epochs, smaller ? 8 : 5);
        assert_true(tarn_module_digest(t.root) == t.digests[r.best_epoch]);
    }
}

static void restoring_can_be_chosen(void **state)
{
    static const double losses[] = { 1, 2, 3, 4 };
    check_fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        task t;
        begin(&t, f->tm, true);
        t.losses = losses;
        tarn_fit_options o = watched(&t);
        o.patience = i == 0 ? 0 : 3;
        o.restore_best = i == 0 ? TARN_ON : TARN_OFF;
        const tarn_fit_result r = fit(&t, &o);
        assert_int_equal(r.best_epoch, 1);
        assert_int_equal(r.restored, i == 0);
        assert_true(tarn_module_digest(t.root) == t.digests[i == 0 ? 1 : 4]);
        assert_true(read_buffer(&t) == t.buffers[i == 0 ? 1 : 4]);
    }
}

/* With averages, they are what is validated and restored; the weights train on in between. */
static void averages_are_validated_and_restored(void **state)
{
    static const double losses[] = { 5, 1, 4, 4 };
    check_fixture *f = *state, g;
    task a, b;
    check_begin(&g, NULL);
    begin(&a, f->tm, true);
    begin(&b, g.tm, true);
    a.losses = b.losses = losses;
    tarn_fit_options o = watched(&a);
    o.ema = tarn_ema_create(a.root, &(tarn_ema_options){ .decay = 0.9 });
    o.restore_best = TARN_ON;
    assert_int_equal(fit(&a, &o).best_epoch, 2);
    assert_false(tarn_ema_is_applied(o.ema));
    assert_true(a.digests[4] != tarn_module_digest(a.root));

    o = watched(&b);
    o.ema = tarn_ema_create(b.root, &(tarn_ema_options){ .decay = 0.9 });
    o.epochs = 2;
    fit(&b, &o);
    assert_true(a.digests[2] == b.digests[2]);
    check_status(tarn_ema_apply(o.ema), TARN_OK);
    assert_true(tarn_module_digest(a.root) == tarn_module_digest(b.root));
    assert_true(read_buffer(&a) == read_buffer(&b));
    check_end(&g);
}

/* ---- callbacks and rates */

static void callbacks_end_the_training(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    tarn_fit_options o = watched(&t);
    t.stop_epoch = 2;
    t.stop_step = 3;
    tarn_fit_result r = fit(&t, &o);
    assert_int_equal(r.end, TARN_FIT_STOPPED);
    assert_int_equal(r.epochs, 1);
    assert_int_equal(r.steps, BATCHES + 3);
    assert_int_equal(r.last.step, 3);
    assert_true(tarn_module_digest(t.root) == t.digest);
    t.stop_step = 0;
    r = fit(&t, &o);
    assert_int_equal(r.end, TARN_FIT_STOPPED);
    assert_int_equal(r.epochs, 2);
    assert_int_equal(r.steps, 2 * BATCHES);
}

static void rates_follow_what_is_measured(void **state)
{
    static const double losses[] = { 5, 6, 6, 6 };
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    t.losses = losses;
    tarn_fit_options o = watched(&t);
    tarn_plateau plateau = { .patience = TARN_NONE, .factor = 0.5 };
    o.plateau = &plateau;
    fit(&t, &o);
    assert_true(t.lrs[0] == 0.1 && t.lrs[2 * BATCHES - 1] == 0.1);
    assert_true(t.lrs[2 * BATCHES] == 0.05 && t.lrs[3 * BATCHES] == 0.025);
}

/* ---- modes, and what stays */

static void modes_are_given_back(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    const tarn_fit_options o = watched(&t);
    tarn_module *norm = tarn_module_child(t.net.module, 1);
    tarn_module_eval(norm); /* a part that is not to follow the batches */
    const float before = read_buffer(&t);
    fit(&t, &o);
    assert_true(tarn_module_is_training(t.root));
    assert_false(tarn_module_is_training(norm));
    assert_true(read_buffer(&t) == before);

    tarn_module_eval(t.root);
    fit(&t, &o);
    assert_true(read_buffer(&t) != before);
    for (int i = 0; i < 5; i++)
        assert_false(tarn_module_is_training(tarn_module_child(t.net.module, i)));
    assert_false(tarn_module_is_training(t.root));
}

static void steps_acquire_nothing_new(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, true);
    t.steady = check_is_plain(f->pool);
    tarn_fit_options o = watched(&t);
    const tarn_manager_stats before = tarn_manager_get_stats(f->tm);
    o.epochs = (int64_t)check_scaled(20) + 2;
    o.ema = tarn_ema_create(t.root, NULL);
    o.restore_best = TARN_ON;
    o.clip_norm = 1;
    o.accumulate = 2;
    fit(&t, &o);
    tarn_ema_destroy(o.ema);
    const tarn_manager_stats after = tarn_manager_get_stats(f->tm);
    assert_int_equal(after.root_handles, before.root_handles);
    assert_int_equal(after.tape_length, 0);
    /* gradients of six parameters, and two batches of each loader */
    assert_int_equal(after.handles, before.handles + 6 + 4);
}

/* ---- failures */

/* After a failure: weights and buffers of the last good step, no gradients, no operations. */
static void expect_last_good_step(const task *t)
{
    assert_true(tarn_module_digest(t->root) == t->digest);
    assert_true(read_buffer(t) == t->buffer);
    assert_int_equal(tarn_manager_get_stats(t->tm).tape_length, 0);
    for (int i = 0; i < tarn_module_parameter_count(t->root); i++)
        assert_false(tarn_has_grad(tarn_module_parameter(t->root, i)));
    assert_true(tarn_module_is_training(t->root));
}

static void losses_that_are_no_numbers(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    tarn_fit_options o = watched(&t);
    tarn_fit_result r;
    t.poison_epoch = 2;
    t.poison_step = 3;
    check_status(tarn_fit(t.optimizer, t.root, t.train, &o, &r), TARN_ENUMERIC);
    check_error(f->tm, TARN_ENUMERIC, "tarn_fit: epoch 2, step 3: the loss is not a number");
    assert_int_equal(r.end, TARN_FIT_FAILED);
    assert_int_equal(r.epochs, 1);
    assert_int_equal(r.steps, BATCHES + 2);
    assert_int_equal(r.last.step, 2);
    expect_last_good_step(&t);

    static const double losses[] = { 1, INFINITY };
    task u;
    begin(&u, f->tm, false);
    u.losses = losses;
    o = watched(&u);
    o.ema = tarn_ema_create(u.root, NULL);
    check_status(tarn_fit(u.optimizer, u.root, u.train, &o, &r), TARN_ENUMERIC);
    check_error(f->tm, TARN_ENUMERIC, "tarn_fit: epoch 2: the validation loss is infinite");
    assert_int_equal(r.steps, 2 * BATCHES);
    assert_false(tarn_ema_is_applied(o.ema));
    expect_last_good_step(&u);

    o.allow_non_finite = true;
    o.epochs = 2;
    u.losses = (const double[]){ NAN, NAN, NAN, NAN };
    r = fit(&u, &o);
    assert_int_equal(r.end, TARN_FIT_COMPLETED);
    assert_int_equal(r.best_epoch, 0);
    assert_true(isnan(r.best));
}

static tarn_tensor *returns_null(void *context, tarn_tensor *x, tarn_tensor *y, double *metric)
{
    (void)context, (void)x, (void)y, (void)metric;
    return NULL;
}

static tarn_tensor *gives_no_metric(void *context, tarn_tensor *x, tarn_tensor *y, double *metric)
{
    (void)metric;
    task *t = context;
    return tarn_cross_entropy(tarn_sequential_forward(&t->net, x), y);
}

static tarn_tensor *misfits(void *context, tarn_tensor *x, tarn_tensor *y, double *metric)
{
    (void)metric, (void)y;
    task *t = context;
    tarn_tensor *logits = tarn_sequential_forward(&t->net, x);
    return t->calls == 7 ? tarn_add(logits, x) : tarn_sum(logits, TARN_ALL_AXES);
}

/* Uses up what is left of the epoch. */
static bool uses_loader(void *context, const tarn_fit_figures *figures)
{
    task *t = context;
    for (int64_t i = figures->step; i < BATCHES; i++) (void)tarn_loader_next(t->train, NULL, NULL);
    return true;
}

static void step_functions_that_fail(void **state)
{
    check_fixture *f = *state;
    task t;
    tarn_fit_result r;
    begin(&t, f->tm, false);
    tarn_fit_options o = watched(&t);
    o.step = returns_null;
    check_status(tarn_fit(t.optimizer, t.root, t.train, &o, &r), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the step function returned NULL");
    o.step = gives_no_metric;
    o.goal = TARN_FIT_METRIC_MAX;
    check_status(tarn_fit(t.optimizer, t.root, t.train, &o, &r), TARN_ENUMERIC);
    check_error(f->tm, TARN_ENUMERIC,
                "tarn_fit: epoch 1: the figure that shall get better is not a number");
    o.goal = TARN_FIT_LOSS;
    o.step = misfits;
    o.validation = NULL;
    t.calls = 0;
    check_status(tarn_fit(t.optimizer, t.root, t.train, &o, &r), TARN_ESHAPE);
    check_error_part(f->tm, TARN_ESHAPE, "add: a [8,3], b [8,6]");
    assert_int_equal(r.steps, 7);
    expect_last_good_step(&t);
    o.on_step = uses_loader;
    o.step = step;
    check_status(tarn_fit(t.optimizer, t.root, t.train, &o, &r), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE,
                "tarn_fit: the loader has no batch where one was left: did another use it?");
}

static tarn_status try(task *t, const tarn_fit_options *o)
{
    tarn_fit_result r;
    const tarn_status status = tarn_fit(t->optimizer, t->root, t->train, o, &r);
    assert_int_equal(status, tarn_error_code(t->tm));
    assert_int_equal(r.end, TARN_FIT_FAILED);
    assert_int_equal(r.steps, 0);
    return status;
}

static void options_that_cannot_be(void **state)
{
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    const tarn_fit_options good = watched(&t);
    const struct {
        tarn_fit_options o;
        const char *text;
    } cases[] = {
        { { .epochs = 1 }, "the step function is NULL" },
        { { .step = step, .epochs = -1 }, "epochs -1 is out of range" },
        { { .step = step, .done = -2 }, "done -2 is out of range" },
        { { .step = step, .goal = (tarn_fit_goal)7 }, "goal 7 is out of range" },
        { { .step = step, .patience = -1 }, "patience -1 is out of range" },
        { { .step = step, .min_delta = -0.5 }, "min_delta -0.5 is out of range" },
        { { .step = step, .clip_norm = -1 }, "clip_norm -1 is out of range" },
        { { .step = step, .clip_value = -1 }, "clip_value -1 is out of range" },
        { { .step = step, .accumulate = -1 }, "accumulate -1 is out of range" },
        { { .step = step, .schedule = &(tarn_schedule){ 0 }, .plateau = &(tarn_plateau){ 0 } },
          "a schedule and a plateau: one is possible" },
        { { .step = step, .goal = TARN_FIT_METRIC_MAX, .plateau = &(tarn_plateau){ 0 } },
          "more is better for the goal, and less for the plateau" },
        { { .step = step, .plateau = &(tarn_plateau){ .mode = TARN_PLATEAU_MAX } },
          "less is better for the goal, and more for the plateau" },
        { { .step = step, .validation = t.train }, "one loader for training and validation" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        check_status(try(&t, &cases[i].o), TARN_EARG);
        (void)snprintf(text, sizeof text, "tarn_fit: %s", cases[i].text);
        check_error(f->tm, TARN_EARG, text);
    }
    assert_int_equal(tarn_fit(NULL, NULL, NULL, &good, NULL), TARN_EARG);
    check_status(tarn_fit(NULL, t.root, t.train, &good, NULL), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the optimizer is NULL");
    check_status(tarn_fit(t.optimizer, NULL, t.train, &good, NULL), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the module is NULL");
    check_status(tarn_fit(t.optimizer, t.root, NULL, &good, NULL), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the loader is NULL");
    check_status(tarn_fit(NULL, NULL, t.train, NULL, NULL), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the optimizer is NULL");
    check_status(tarn_fit(t.optimizer, t.root, t.train, NULL, NULL), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_fit: the step function is NULL");
}

static void parts_that_do_not_belong_together(void **state)
{
    check_fixture *f = *state, g;
    check_begin(&g, NULL);
    task t, other, foreign;
    begin(&t, f->tm, false);
    begin(&other, f->tm, false);
    begin(&foreign, g.tm, false);
    tarn_fit_options o = watched(&t);
    check_status(tarn_fit(other.optimizer, t.root, t.train, &o, NULL), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the sgd is of another tree than module");
    check_status(tarn_fit(t.optimizer, t.root, foreign.train, &o, NULL), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: parts of several managers");
    o.ema = tarn_ema_create(other.root, NULL);
    check_status(try(&t, &o), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the averages are of another tree than module");
    o.ema = tarn_ema_create(t.root, NULL);
    check_status(tarn_ema_apply(o.ema), TARN_OK);
    check_status(try(&t, &o), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the averages are applied");
    o.ema = NULL;
    tarn_tensor *none = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(0, 6));
    tarn_loader *empty = tarn_loader_create(none, NULL, NULL);
    check_status(tarn_fit(t.optimizer, t.root, empty, &o, NULL), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the loader has no batch");
    o.validation = empty;
    check_status(try(&t, &o), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the loader of the validation has no batch");
    (void)tarn_add(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2)),
                   tarn_ones(f->tm, TARN_F32, TARN_SHAPE(3)));
    check_status(try(&t, &o), TARN_ESHAPE);
    tarn_clear_error(f->tm);
    check_status(tarn_module_destroy(other.root), TARN_OK);
    check_status(tarn_fit(other.optimizer, t.root, t.train, &o, NULL), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fit: the module of the sgd was destroyed");
    check_end(&g);
}

/* Every acquisition fails in turn, in a run of its own. */
static void short_memory_leaves_the_last_good_step(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1;; n += check_scaled(100) < 100 ? 7 : 1) {
        check_fixture f;
        task t;
        check_begin(&f, NULL);
        begin(&t, f.tm, true);
        tarn_fit_options o = watched(&t);
        o.epochs = 2;
        o.restore_best = TARN_ON;
        o.accumulate = 2;
        o.ema = tarn_ema_create(t.root, NULL);
        t.digest = tarn_module_digest(t.root);
        t.buffer = read_buffer(&t);
        const tarn_manager_stats before = tarn_manager_get_stats(f.tm);
        check_fail_acquisition(f.pool, n);
        tarn_fit_result r;
        const tarn_status status = tarn_fit(t.optimizer, t.root, t.train, &o, &r);
        check_fail_acquisition(f.pool, 0);
        if (status == TARN_OK) {
            check_end(&f);
            break;
        }
        failures++;
        assert_int_equal(r.end, TARN_FIT_FAILED);
        check_error_part(f.tm, TARN_ENOMEM, "out of memory");
        expect_last_good_step(&t);
        assert_false(tarn_ema_is_applied(o.ema));
        const tarn_manager_stats after = tarn_manager_get_stats(f.tm);
        assert_int_equal(after.root_handles, before.root_handles);
        assert_true(after.handles <= before.handles + 6 + 4);
        fit(&t, &o);
        check_end(&f);
    }
    print_message("%d acquisitions failed\n", failures);
    assert_true(failures > (check_scaled(100) < 100 ? 10 : 100));
}

static void short_records_leave_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        check_fixture f;
        task t;
        check_begin(&f, NULL);
        begin(&t, f.tm, true);
        tarn_fit_options o = watched(&t);
        o.epochs = 1;
        o.restore_best = TARN_ON;
        check_system_fail(&f.system, n, true);
        const tarn_status status = tarn_fit(t.optimizer, t.root, t.train, &o, NULL);
        check_system_fail(&f.system, 0, false);
        if (status != TARN_OK) {
            check_error_part(f.tm, TARN_ENOMEM, "out of memory");
            fit(&t, &o);
        }
        check_end(&f);
        if (status == TARN_OK) break;
    }
}

static tarn_status program(tarn_manager *tm, void *context)
{
    (void)context;
    task t = { .tm = tm };
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(ROWS, 6));
    tarn_tensor *y = tarn_zeros(tm, TARN_I32, TARN_SHAPE(ROWS));
    t.train = tarn_loader_create(x, y, &(tarn_loader_options){ .batch_size = BATCH });
    t.root = tarn_module_create(tm);
    t.net = tarn_sequential_create(t.root, "net");
    tarn_sequential_add_linear(&t.net, 6, 3, NULL);
    t.optimizer = tarn_adam_create(t.root, NULL);
    const tarn_fit_options o = {
        .step = step, .context = &t, .epochs = 2, .restore_best = TARN_ON, .progress = stdout
    };
    return tarn_fit(t.optimizer, t.root, t.train, &o, NULL);
}

static void it_can_be_rehearsed(void **state)
{
    (void)state;
    tarn_dry_run_result result;
    char message[256] = "";
    check_status(tarn_dry_run(program, NULL, NULL, NULL, &result, message, sizeof message),
                 TARN_OK);
    assert_true(result.min_capacity > 0);
}

/* ---- what is written */

/* The text with numbers that time decides replaced by #. */
static const char *without_times(const char *text)
{
    static char out[8192];
    size_t n = 0;
    for (const char *c = text; *c != '\0' && n + 1 < sizeof out;) {
        const size_t digits = strspn(c, "0123456789.:"), word = strcspn(c, "0123456789.:");
        const bool timed = strncmp(c + digits, " s", 2) == 0 ||
                           strncmp(c + digits, " rows/s", 7) == 0 ||
                           strncmp(c + digits, " left", 5) == 0;
        if (digits > 0 && timed) {
            out[n++] = '#';
            c += digits;
            continue;
        }
        for (size_t k = digits > 0 ? digits : word; k > 0 && n + 1 < sizeof out; k--)
            out[n++] = *c++;
    }
    out[n] = '\0';
    return out;
}

static void progress_is_a_line_an_epoch(void **state)
{
    static const double losses[] = { 0.75, 0.5, 0.5, 0.625 };
    check_fixture *f = *state;
    task t;
    begin(&t, f->tm, false);
    t.losses = losses;
    tarn_fit_options o = watched(&t);
    FILE *stream = tmpfile();
    o.epochs = 10;
    o.patience = 2;
    o.progress = stream;
    o.metric_name = "accuracy";
    tarn_fit_result r = fit(&t, &o);
    assert_int_equal(r.epochs, 4);
    char expected[1024];
    (void)snprintf(expected, sizeof expected,
                   "epoch  4/10  loss %.4f  accuracy %.4f  validation loss 0.6250  "
                   "validation accuracy -0.6250  lr 0.1  # s\n"
                   "no improvement in 2 epochs\n"
                   "weights of epoch 2 restored\n",
                   r.last.loss, r.last.metric);
    const char *text = without_times(check_stream_text(stream));
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "validation accuracy -0.5000  lr 0.1  # s  best\n"));
    assert_int_equal(strncmp(text, "epoch  1/10  loss ", 18), 0);
    assert_null(strchr(text, '\r'));
    int lines = 0;
    for (const char *c = text; *c != '\0'; c++) lines += *c == '\n';
    assert_int_equal(lines, 6);
    (void)fclose(stream);

    stream = tmpfile();
    o = (tarn_fit_options){ .step = gives_no_metric, .context = &t, .progress = stream };
    r = fit(&t, &o);
    (void)snprintf(expected, sizeof expected, "epoch 1/1  loss %.4f  lr 0.1  # s\n", r.last.loss);
    assert_string_equal(without_times(check_stream_text(stream)), expected);
    (void)fclose(stream);
}

/* Steps that take long enough for a live line. */
static bool dawdle(void *context, const tarn_fit_figures *figures)
{
    (void)context, (void)figures;
    (void)nanosleep(&(struct timespec){ .tv_nsec = 120000000 }, NULL);
    return true;
}

static void a_terminal_shows_a_live_line(void **state)
{
    check_fixture *f = *state;
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) skip();
    FILE *terminal = fopen(ptsname(master), "w");
    if (terminal == NULL) skip();
    task t;
    begin(&t, f->tm, false);
    const tarn_fit_options o = {
        .step = gives_no_metric, .context = &t, .on_step = dawdle, .progress = terminal
    };
    fit(&t, &o);
    char text[4096];
    size_t n = 0;
    do { /* what was written arrives in pieces */
        const ssize_t more = read(master, text + n, sizeof text - 1 - n);
        assert_true(more > 0);
        n += (size_t)more;
        text[n] = '\0';
    } while (strchr(text, '\n') == NULL);
    const char *shown = without_times(text);
    assert_non_null(strstr(shown, "epoch 1/1   40%  loss "));
    assert_non_null(strstr(shown, "  # rows/s  # left\r\033[Kepoch 1/1   60%  loss "));
    assert_non_null(strstr(shown, "  # left\r\033[Kepoch 1/1  loss "));
    assert_null(strstr(shown, "100%"));
    (void)fclose(terminal);
    (void)close(master);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_the_loop_that_one_writes),
        TEST(it_goes_on_after_an_earlier_call),
        TEST(figures_are_means_over_rows),
        TEST(without_validation_training_is_judged),
        TEST(the_best_weights_come_back),
        TEST(small_improvements_do_not_count),
        TEST(metrics_can_be_the_goal),
        TEST(restoring_can_be_chosen),
        TEST(averages_are_validated_and_restored),
        TEST(callbacks_end_the_training),
        TEST(rates_follow_what_is_measured),
        TEST(modes_are_given_back),
        TEST(steps_acquire_nothing_new),
        TEST(losses_that_are_no_numbers),
        TEST(step_functions_that_fail),
        TEST(options_that_cannot_be),
        TEST(parts_that_do_not_belong_together),
        TEST(short_memory_leaves_the_last_good_step),
        TEST(short_records_leave_nothing),
        TEST(it_can_be_rehearsed),
        TEST(progress_is_a_line_an_epoch),
        TEST(a_terminal_shows_a_live_line),
    };
#undef TEST
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
