/* SPDX-License-Identifier: MIT
 * test_plan_faults.c - plans where memory ends: every acquisition from the pool, and every call to
 * the system, fails once while a step is recorded, laid out or replayed. The model is trained all
 * the same, with the same bits; and misuse. */
#include <string.h>

#include "check.h"
#include "plan_models.h"

enum { BATCH = 4, STEPS = 6 };

typedef struct subject {
    plan_model model;
    tarn_plan *plan;
} subject;

static void begin(subject *s, tarn_manager *tm, const char *kind)
{
    plan_model_begin(&s->model, plan_kind_named(kind), tm);
    s->model.optimizer = tarn_adam_create(s->model.net, NULL);
    s->plan = tarn_plan_create(tm, plan_model_step, &s->model, NULL);
    assert_non_null(s->plan);
}

/* One step on the batch of that number, tried until it succeeds: what fails leaves the model as it
 * was. Returns how often it failed. */
static int train(subject *s, uint64_t number)
{
    tarn_manager *tm = s->model.tm;
    TARN_SCOPE(tm);
    for (int failures = 0;; failures++) {
        assert_true(failures < 3);
        tarn_tensor *x, *y;
        plan_model_batch(&s->model, BATCH, number, &x, &y);
        if (tarn_ok(tm) && tarn_plan_run(s->plan, TARN_LIST(x, y)) != NULL) return failures;
        assert_int_equal(tarn_error_code(tm), TARN_ENOMEM);
        tarn_clear_error(tm);
        tarn_module_zero_grad(s->model.net);
    }
}

static uint64_t train_without_plan(tarn_manager *tm, const char *kind)
{
    subject s;
    begin(&s, tm, kind);
    for (uint64_t i = 0; i < STEPS; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *x, *y;
        plan_model_batch(&s.model, BATCH, i, &x, &y);
        assert_non_null(plan_model_step((tarn_tensor *[]){ x, y }, 2, &s.model));
    }
    return tarn_module_digest(s.model.net);
}

/* What a fixture trains to without any failure and any plan. */
static uint64_t expected_digest(const char *kind)
{
    check_fixture f;
    check_begin(&f, NULL);
    const uint64_t digest = train_without_plan(f.tm, kind);
    check_end(&f);
    return digest;
}

/* Trains with one fault; returns whether it came to that. */
static bool train_with_fault(const char *kind, uint64_t n, bool of_system, uint64_t expected,
                             int *seen, int *replays)
{
    check_fixture f;
    subject s;
    check_begin(&f, NULL);
    begin(&s, f.tm, kind);
    if (of_system) check_system_fail(&f.system, n, false);
    else check_fail_acquisition(f.pool, n);
    for (uint64_t i = 0; i < STEPS; i++) *seen += train(&s, i);
    const bool injected =
        of_system ? f.system.failed > 0 : tarn_pool_get_stats(f.pool).failed_acquisitions > 0;
    check_fail_acquisition(f.pool, 0);
    check_system_fail(&f.system, 0, false);
    assert_int_equal(tarn_module_digest(s.model.net), expected);
    *replays += (int)tarn_plan_get_stats(s.plan).replays;
    check_end(&f);
    return injected;
}

static void every_fault(bool of_system)
{
    static const char *const kinds[] = { "small", "mixed", "attention" };
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const uint64_t expected = expected_digest(kinds[k]);
        int seen = 0, replays = 0;
        uint64_t n = 1;
        while (train_with_fault(kinds[k], n, of_system, expected, &seen, &replays)) n++;
        print_message("%s: %llu faults, %d seen by the program, %d replays\n", kinds[k],
                      (unsigned long long)n - 1, seen, replays);
        assert_true(n > (of_system ? 3 : 30));
        assert_true(replays > 0);
    }
}

static void every_acquisition_fails_once(void **state)
{
    (void)state;
    every_fault(false);
}

static void every_call_to_the_system_fails_once(void **state)
{
    (void)state;
    every_fault(true);
}

/* The block that all recordings share cannot be had: the step is called. */
static void no_memory_for_the_arena(void **state)
{
    check_fixture *f = *state;
    subject s;
    begin(&s, f->tm, "mixed");
    uint64_t before = 0;
    for (uint64_t i = 0; i < 3; i++) {
        const uint64_t now = tarn_pool_get_stats(f->pool).allocations;
        if (i == 2) check_fail_acquisition(f->pool, before);
        assert_int_equal(train(&s, i), 0);
        before = tarn_pool_get_stats(f->pool).allocations - now + 1;
    }
    assert_int_equal(tarn_pool_get_stats(f->pool).failed_acquisitions, 1);
    assert_non_null(strstr(tarn_plan_reason(s.plan), "no memory for the plan"));
    for (uint64_t i = 3; i < STEPS; i++) assert_int_equal(train(&s, i), 0);
    assert_true(tarn_plan_is_replayed(s.plan));
}

/* A replay that fails leaves what the step would have left. */
static void replays_that_fail(void **state)
{
    check_fixture *f = *state;
    subject s;
    begin(&s, f->tm, "mlp");
    for (uint64_t i = 0; i < 5; i++) (void)train(&s, i);
    assert_true(tarn_plan_is_replayed(s.plan));
    const uint64_t digest = tarn_module_digest(s.model.net);
    const uint64_t steps = tarn_optimizer_steps(s.model.optimizer);
    tarn_tensor *x, *y;
    plan_model_batch(&s.model, BATCH, 9, &x, &y);
    tarn_tensor *wrong = tarn_full(f->tm, TARN_I64, TARN_SHAPE(BATCH), 100);
    assert_null(tarn_plan_run(s.plan, TARN_LIST(x, wrong)));
    assert_true(tarn_plan_is_replayed(s.plan));
    char planned[512];
    (void)snprintf(planned, sizeof planned, "%s", tarn_error_message(f->tm));
    assert_null(tarn_plan_run(s.plan, TARN_LIST(x, y))); /* an error is held */
    tarn_clear_error(f->tm);
    assert_int_equal(tarn_module_digest(s.model.net), digest);
    assert_int_equal(tarn_optimizer_steps(s.model.optimizer), steps);
    assert_null(plan_model_step((tarn_tensor *[]){ x, wrong }, 2, &s.model));
    assert_string_equal(tarn_error_message(f->tm), planned);
    tarn_clear_error(f->tm);
    assert_non_null(tarn_plan_run(s.plan, TARN_LIST(x, y)));
    assert_true(tarn_plan_is_replayed(s.plan));
}

/* ---- misuse */

static tarn_plan *own;
static tarn_tensor *runs_itself(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    (void)tarn_plan_run(own, TARN_LIST(inputs[0]));
    return inputs[0];
}

static tarn_tensor *destroys_itself(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    tarn_plan_destroy(own);
    return inputs[0];
}

static tarn_tensor *ends_scopes(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    tarn_scope_end(*(tarn_scope *)context);
    return inputs[0];
}

static tarn_tensor *nothing(tarn_tensor *const *inputs, int n, void *context)
{
    (void)inputs;
    (void)n;
    (void)context;
    return NULL;
}

static tarn_tensor *the_input(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    return inputs[0];
}

static tarn_tensor *the_context(tarn_tensor *const *inputs, int n, void *context)
{
    (void)inputs;
    (void)n;
    return context;
}

static void misuse(void **state)
{
    check_fixture *f = *state;
    assert_null(tarn_plan_create(NULL, nothing, NULL, NULL));
    assert_null(tarn_plan_create(f->tm, NULL, NULL, NULL));
    check_error(f->tm, TARN_EARG, "tarn_plan_create: the step is NULL");
    assert_null(tarn_plan_run(NULL, (tarn_list){ 0 }));
    assert_false(tarn_plan_is_replayed(NULL));
    assert_string_equal(tarn_plan_reason(NULL), "");
    assert_int_equal(tarn_plan_reason_of(NULL), TARN_PLAN_NONE);
    assert_int_equal(tarn_plan_get_stats(NULL).runs, 0);
    check_status(tarn_plan_print(NULL, stdout), TARN_EARG);
    tarn_plan_destroy(NULL);

    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2));
    own = tarn_plan_create(f->tm, runs_itself, NULL, NULL);
    assert_false(tarn_plan_is_replayed(own));
    check_status(tarn_plan_print(own, NULL), TARN_EARG);
    assert_null(tarn_plan_run(own, TARN_LIST(x)));
    check_error(f->tm, TARN_ESTATE, "tarn_plan_run: called inside its own step");
    assert_null(tarn_plan_run(own, (tarn_list){ 1, NULL }));
    check_error_part(f->tm, TARN_EARG, "1 inputs, but none is given");
    assert_null(tarn_plan_run(own, TARN_LIST(x, NULL)));
    check_error(f->tm, TARN_EARG, "tarn_plan_run: input 1 is NULL");
    tarn_plan_destroy(own);

    own = tarn_plan_create(f->tm, destroys_itself, NULL, NULL);
    assert_null(tarn_plan_run(own, TARN_LIST(x)));
    check_error(f->tm, TARN_ESTATE, "tarn_plan_destroy: called inside its own step");

    tarn_scope scope = tarn_scope_begin(f->tm);
    tarn_plan *plan = tarn_plan_create(f->tm, ends_scopes, &scope, NULL);
    assert_null(tarn_plan_run(plan, TARN_LIST(x)));
    check_error_part(f->tm, TARN_ESTATE, "tarn_scope_end: called in a hook");
    tarn_scope_end(scope);
    tarn_release(x);
    assert_null(tarn_plan_run(plan, TARN_LIST(x)));
    check_error_part(f->tm, TARN_ESTALE, "tarn_plan_run: tensor [2] was ended by tarn_release");
}

static void other_managers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_tensor *x = tarn_ones(other, TARN_F32, TARN_SHAPE(2));
    tarn_plan *plan = tarn_plan_create(f->tm, the_context, x, NULL);
    assert_null(tarn_plan_run(plan, TARN_LIST(x)));
    check_error_part(f->tm, TARN_ESTATE, "input 0 belongs to another manager");
    assert_null(tarn_plan_run(plan, (tarn_list){ 0 }));
    check_error_part(f->tm, TARN_ESTATE, "the step returned a tensor of another manager");
    assert_int_equal(tarn_manager_destroy(other), 0);
}

/* Steps that return nothing, an input, or a tensor from outside, and have no inputs. */
static void what_steps_return(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *outside = tarn_full(f->tm, TARN_F32, TARN_SHAPE(2), 3);
    tarn_plan *plans[] = { tarn_plan_create(f->tm, nothing, NULL, NULL),
                           tarn_plan_create(f->tm, the_input, NULL, NULL),
                           tarn_plan_create(f->tm, the_context, outside, NULL) };
    for (int i = 0; i < 5; i++) {
        const double value[] = { i, i }, three[] = { i + 3, i + 3 };
        TARN_SCOPE(f->tm);
        tarn_tensor *x = tarn_full(f->tm, TARN_F32, TARN_SHAPE(2), i);
        assert_null(tarn_plan_run(plans[0], (tarn_list){ 0 }));
        check_close(tarn_plan_run(plans[1], TARN_LIST(x)), value, 2, 0);
        check_status(tarn_fill_with(outside, i + 3), TARN_OK);
        check_close(tarn_plan_run(plans[2], (tarn_list){ 0 }), three, 2, 0);
    }
    for (int i = 0; i < 3; i++) assert_true(tarn_plan_is_replayed(plans[i]));
}

static void options_and_tables(void **state)
{
    check_fixture *f = *state;
    subject s;
    begin(&s, f->tm, "small");
    tarn_plan *eager =
        tarn_plan_create(f->tm, the_input, NULL, &(tarn_plan_options){ .eager = true });
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2));
    for (int i = 0; i < 5; i++) assert_non_null(tarn_plan_run(eager, TARN_LIST(x)));
    assert_string_equal(tarn_plan_reason(eager), "options.eager");
    FILE *stream = tmpfile();
    check_status(tarn_plan_print(eager, stream), TARN_OK);
    assert_string_equal(check_stream_text(stream), "nothing is planned\n");
    for (uint64_t i = 0; i < 4; i++) (void)train(&s, i);
    check_status(tarn_plan_print(s.plan, stream), TARN_OK);
    const char *text = check_stream_text(stream);
    assert_non_null(strstr(text, " affine "));
    assert_non_null(strstr(text, " bce_with_logits backward "));
    assert_non_null(strstr(text, "gradient of \"l1.weight\" [8,2]"));
    assert_non_null(strstr(text, "  adam\n"));
    assert_non_null(strstr(text, ", in place\n"));
    (void)fclose(stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acquisition_fails_once),
        cmocka_unit_test(every_call_to_the_system_fails_once),
        TEST(no_memory_for_the_arena),
        TEST(replays_that_fail),
        TEST(misuse),
        TEST(other_managers),
        TEST(what_steps_return),
        TEST(options_and_tables),
    };
    return cmocka_run_group_tests_name("plan_faults", tests, NULL, NULL);
}
