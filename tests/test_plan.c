/* SPDX-License-Identifier: MIT
 * test_plan.c - planned steps: the same bits as the step itself, of every kind of model, with every
 * optimiser, whatever changes between steps. */
#include <string.h>

#include "check.h"
#include "plan_models.h"

enum { BATCH = 6, STEPS = 12 };

/* ---- two models side by side */

/* One trained by a plan, one by the function itself. */
typedef struct race {
    tarn_pool *pool;
    tarn_manager *tm[2];
    plan_model model[2];
    tarn_plan *plan;
    uint64_t steps;
} race;

enum { PLANNED, EAGER };

static void race_begin(race *r, const plan_kind *kind, const tarn_plan_options *options)
{
    *r = (race){ .pool = tarn_pool_create(NULL, NULL) };
    for (int i = 0; i < 2; i++) {
        r->tm[i] = tarn_manager_create(&(tarn_manager_options){ .pool = r->pool, .seed = 7 });
        plan_model_begin(&r->model[i], kind, r->tm[i]);
    }
    r->plan = tarn_plan_create(r->tm[PLANNED], plan_model_step, &r->model[PLANNED], options);
    assert_non_null(r->plan);
}

static void race_end(race *r)
{
    for (int i = 0; i < 2; i++) {
        check_no_error(r->tm[i]);
        assert_int_equal(tarn_manager_destroy(r->tm[i]), 0);
    }
    assert_int_equal(tarn_pool_destroy(r->pool), 0);
}

static void check_same_tensor(tarn_tensor *a, tarn_tensor *b, const char *what, const char *name)
{
    const size_t bytes = (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a));
    assert_int_equal(tarn_numel(a), tarn_numel(b));
    if (memcmp(tarn_data(a), tarn_data(b), bytes) != 0) fail_msg("%s %s differs", what, name);
}

/* All parameters, buffers and gradients have the same bits. */
static void check_same(race *r)
{
    tarn_module *a = r->model[PLANNED].net, *b = r->model[EAGER].net;
    assert_int_equal(tarn_module_digest(a), tarn_module_digest(b));
    for (int i = 0; i < tarn_module_parameter_count(a); i++) {
        tarn_tensor *p = tarn_module_parameter(a, i), *q = tarn_module_parameter(b, i);
        check_same_tensor(p, q, "parameter", tarn_name(p));
        assert_int_equal(tarn_has_grad(p), tarn_has_grad(q));
        if (tarn_requires_grad(p))
            check_same_tensor(tarn_grad_of(p), tarn_grad_of(q), "gradient of", tarn_name(p));
    }
    if (r->model[PLANNED].batch_norm.module != NULL) {
        const tarn_batch_norm_layer *n = &r->model[PLANNED].batch_norm;
        const tarn_batch_norm_layer *m = &r->model[EAGER].batch_norm;
        check_same_tensor(n->running_mean, m->running_mean, "running mean", "");
        check_same_tensor(n->running_var, m->running_var, "running var", "");
    }
}

/* One step of both on the same numbers, B rows of them; losses are the same. */
static void race_step(race *r, int64_t B)
{
    double loss[2];
    for (int i = 0; i < 2; i++) {
        TARN_SCOPE(r->tm[i]);
        tarn_tensor *x, *y, *result;
        plan_model_batch(&r->model[i], B, r->steps, &x, &y);
        if (i == PLANNED) result = tarn_plan_run(r->plan, TARN_LIST(x, y));
        else result = plan_model_step((tarn_tensor *[]){ x, y }, 2, &r->model[i]);
        check_no_error(r->tm[i]);
        loss[i] = tarn_item(result);
    }
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    r->steps++;
    check_same(r);
}

/* That all but the first three runs were replays, within memory near the bound. */
static void check_replayed(const race *r, uint64_t eager)
{
    const tarn_plan_stats s = tarn_plan_get_stats(r->plan);
    if (s.runs - s.replays != eager) fail_msg("%s", tarn_plan_reason(r->plan));
    assert_true(s.lower_bound > 0);
    assert_true((double)s.bytes <= 1.02 * (double)s.lower_bound);
    assert_true(s.bytes <= s.arena_bytes);
}

static tarn_optimizer *make_optimizer(int kind, tarn_module *net)
{
    switch (kind) {
    case 0: return tarn_sgd_create(net, NULL);
    case 1: return tarn_sgd_create(net, &(tarn_sgd_options){ .momentum = 0.9, .dampening = 0.1 });
    case 2: return tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.01 });
    case 3: return tarn_adamw_create(net, &(tarn_adam_options){ .weight_decay = 0.1 });
    case 4: return tarn_rmsprop_create(net, NULL);
    case 5: return tarn_adagrad_create(net, NULL);
    default: return tarn_lion_create(net, NULL);
    }
}
enum { OPTIMIZERS = 7 };

static void give_optimizers(race *r, int kind)
{
    for (int i = 0; i < 2; i++) r->model[i].optimizer = make_optimizer(kind, r->model[i].net);
}

/* ---- the same bits */

static void every_model(void **state)
{
    (void)state;
    for (int k = 0; k < n_plan_kinds; k++) {
        race r;
        race_begin(&r, &plan_kinds[k], NULL);
        give_optimizers(&r, 2);
        for (int step = 0; step < STEPS; step++) race_step(&r, BATCH);
        check_replayed(&r, 3);
        assert_int_equal(r.model[PLANNED].calls, 3);
        race_end(&r);
    }
}

static void every_optimizer(void **state)
{
    (void)state;
    for (int k = 0; k < OPTIMIZERS; k++) {
        race r;
        race_begin(&r, plan_kind_named("small"), NULL);
        give_optimizers(&r, k);
        for (int step = 0; step < STEPS; step++) race_step(&r, BATCH);
        check_replayed(&r, 3);
        race_end(&r);
    }
}

static void clipping_averages_and_schedules(void **state)
{
    (void)state;
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE, .steps = STEPS, .warmup = 3 };
    race r;
    race_begin(&r, plan_kind_named("mlp"), NULL);
    give_optimizers(&r, 2);
    for (int i = 0; i < 2; i++) {
        r.model[i].clip_norm = 0.05;
        r.model[i].clip_value = 0.01;
        r.model[i].ema = tarn_ema_create(r.model[i].net, &(tarn_ema_options){ .warm_up = true });
    }
    for (uint64_t step = 0; step < STEPS; step++) {
        for (int i = 0; i < 2; i++)
            check_status(tarn_schedule_apply(r.model[i].optimizer, &schedule, step), TARN_OK);
        race_step(&r, BATCH);
    }
    check_replayed(&r, 3);
    assert_int_equal(tarn_ema_updates(r.model[PLANNED].ema), STEPS);
    for (int i = 0; i < 2; i++) check_status(tarn_ema_apply(r.model[i].ema), TARN_OK);
    check_same(&r);
    race_end(&r);
}

/* Gradients of three steps add up before the program itself makes a step: a recording that stores,
 * and one that adds. */
static void gradients_that_add_up(void **state)
{
    (void)state;
    race r;
    race_begin(&r, plan_kind_named("mlp"), NULL);
    give_optimizers(&r, 1);
    for (int i = 0; i < 2; i++) r.model[i].accumulates = true;
    for (int step = 0; step < 3 * STEPS; step++) {
        race_step(&r, BATCH);
        for (int i = 0; step % 3 == 2 && i < 2; i++)
            check_status(tarn_optimizer_step(r.model[i].optimizer), TARN_OK);
    }
    const tarn_plan_stats s = tarn_plan_get_stats(r.plan);
    assert_int_equal(s.recordings, 2);
    assert_true(s.replays >= 3 * STEPS - 6);
    race_end(&r);
}

static void gradients_that_are_emptied(void **state)
{
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        race r;
        race_begin(&r, plan_kind_named("mixed"), NULL);
        give_optimizers(&r, 0);
        for (int i = 0; i < 2; i++) r.model[i].zeroes = inside == 1;
        for (int step = 0; step < STEPS; step++) {
            race_step(&r, BATCH);
            for (int i = 0; inside == 0 && i < 2; i++) tarn_module_zero_grad(r.model[i].net);
        }
        check_replayed(&r, 3);
        race_end(&r);
    }
}

/* The last batch of an epoch is smaller: it gets a recording of its own. */
static void a_smaller_last_batch(void **state)
{
    (void)state;
    race r;
    race_begin(&r, plan_kind_named("cnn"), NULL);
    give_optimizers(&r, 2);
    for (int epoch = 0; epoch < 5; epoch++)
        for (int step = 0; step < 4; step++) {
            race_step(&r, step == 3 ? BATCH / 2 : BATCH);
            if (epoch == 1 && step == 3)
                assert_non_null(strstr(tarn_plan_reason(r.plan), "recorded"));
        }
    const tarn_plan_stats s = tarn_plan_get_stats(r.plan);
    assert_int_equal(s.recordings, 2);
    assert_int_equal(s.runs - s.replays, 3 + 2);
    race_end(&r);
}

/* Evaluation between the epochs, by the same plan. */
static void training_and_evaluation(void **state)
{
    (void)state;
    race r;
    race_begin(&r, plan_kind_named("cnn"), NULL);
    give_optimizers(&r, 2);
    for (int step = 0; step < 3 * STEPS; step++) {
        for (int i = 0; i < 2; i++)
            (step / 4 % 2 == 0 ? tarn_module_train : tarn_module_eval)(r.model[i].net);
        race_step(&r, BATCH);
    }
    assert_int_equal(tarn_plan_get_stats(r.plan).recordings, 2);
    assert_true(tarn_plan_get_stats(r.plan).replays > 2 * STEPS);
    race_end(&r);
}

/* Steps of the program's own between replays. */
static void replays_between_other_steps(void **state)
{
    (void)state;
    race r;
    race_begin(&r, plan_kind_named("mlp"), NULL);
    give_optimizers(&r, 2);
    for (int step = 0; step < STEPS; step++) {
        race_step(&r, BATCH);
        for (int i = 0; i < 2; i++) {
            TARN_SCOPE(r.tm[i]);
            tarn_tensor *x, *y;
            plan_model_batch(&r.model[i], 3, 1000 + r.steps, &x, &y);
            (void)plan_model_step((tarn_tensor *[]){ x, y }, 2, &r.model[i]);
        }
        check_same(&r);
    }
    assert_true(tarn_plan_get_stats(r.plan).replays >= STEPS - 3);
    race_end(&r);
}

static void verified_steps(void **state)
{
    (void)state;
    for (int k = 0; k < n_plan_kinds; k++) {
        race r;
        race_begin(&r, &plan_kinds[k], &(tarn_plan_options){ .verify = 2 });
        give_optimizers(&r, 2);
        for (int step = 0; step < STEPS; step++) race_step(&r, BATCH);
        const tarn_plan_stats s = tarn_plan_get_stats(r.plan);
        assert_int_equal(s.replays, STEPS - 3);
        assert_int_equal(s.verified, (STEPS - 3) / 2);
        race_end(&r);
    }
}

static tarn_tensor *squares(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    return tarn_square(inputs[0]);
}

static tarn_tensor *run_length(tarn_plan *plan, tarn_manager *tm, int64_t n)
{
    TARN_SCOPE(tm);
    tarn_tensor *y = tarn_plan_run(plan, TARN_LIST(tarn_full(tm, TARN_F32, TARN_SHAPE(n), 3)));
    assert_int_equal(tarn_numel(y), n);
    for (int64_t i = 0; i < n; i++) assert_true(((const float *)tarn_data(y))[i] == 9);
    return y;
}

/* There is one tensor for results of one length, whichever others have ended for the room. */
static void results_of_many_lengths(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_plan *plan = tarn_plan_create(tm, squares, NULL, NULL);
    for (int64_t n = 1; n < 6; n++) (void)run_length(plan, tm, n);
    const tarn_tensor *six = run_length(plan, tm, 6);
    assert_ptr_equal(run_length(plan, tm, 6), six);
    for (int64_t n = 7; n <= 11; n++) (void)run_length(plan, tm, n);
    assert_ptr_equal(run_length(plan, tm, 6), six);
    assert_true(tarn_plan_is_replayed(plan)); /* two runs were alike, the first among them */
    TARN_NO_GRAD(tm);
    assert_ptr_equal(run_length(plan, tm, 6), six);
    assert_false(tarn_plan_is_replayed(plan));
}

/* What has saved the last result is told that the next run writes over it. */
static void a_result_that_is_saved(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_plan *plan = tarn_plan_create(tm, squares, NULL, NULL);
    tarn_tensor *w = tarn_require_grad(tarn_full(tm, TARN_F32, TARN_SHAPE(4), 1));
    for (int i = 0; i < 4; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(4));
        tarn_tensor *y = tarn_sum(tarn_mul(w, tarn_plan_run(plan, TARN_LIST(x))), TARN_ALL_AXES);
        assert_non_null(tarn_plan_run(plan, TARN_LIST(x)));
        assert_int_equal(tarn_plan_is_replayed(plan), i > 0);
        check_status(tarn_backward(y), TARN_ESTATE);
        check_error_part(tm, TARN_ESTATE, "was changed since");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model),
        cmocka_unit_test(every_optimizer),
        cmocka_unit_test(clipping_averages_and_schedules),
        cmocka_unit_test(gradients_that_add_up),
        cmocka_unit_test(gradients_that_are_emptied),
        cmocka_unit_test(a_smaller_last_batch),
        cmocka_unit_test(training_and_evaluation),
        cmocka_unit_test(replays_between_other_steps),
        cmocka_unit_test(verified_steps),
        cmocka_unit_test_setup_teardown(results_of_many_lengths, check_setup, check_teardown),
        cmocka_unit_test_setup_teardown(a_result_that_is_saved, check_setup, check_teardown),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
