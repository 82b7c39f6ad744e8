/* SPDX-License-Identifier: MIT
 * test_plan_guards.c - what a plan refuses, and what makes it call the step again, each with its
 * reason; nothing is ever replayed that the step would not have done. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "plan_models.h"

enum { BATCH = 6 };

/* A model, its plan, and what tests put into a step. */
typedef struct subject {
    plan_model model;
    tarn_manager *tm;
    tarn_plan *plan;
    tarn_tensor *x, *y; /* of the root scope */
    void (*inside)(struct subject *s, tarn_tensor *loss);
    tarn_tensor *extra, *kept, *third; /* third: an input that the model does not use */
    tarn_loader *loader;
    tarn_plan *inner;
    double number;
    int calls;
} subject;

static tarn_tensor *step(tarn_tensor *const *inputs, int n, void *context)
{
    subject *s = context;
    s->calls++;
    (void)n;
    tarn_tensor *loss = s->model.kind->loss(&s->model, inputs[0], inputs[1]);
    if (s->inside != NULL) s->inside(s, loss);
    (void)tarn_backward(loss);
    (void)tarn_optimizer_step(s->model.optimizer);
    return loss;
}

static void begin(subject *s, void **state, const char *kind)
{
    check_fixture *f = *state;
    *s = (subject){ .tm = f->tm };
    plan_model_begin(&s->model, plan_kind_named(kind), f->tm);
    s->model.optimizer = tarn_adam_create(s->model.net, NULL);
    plan_model_batch(&s->model, BATCH, 1, &s->x, &s->y);
    s->plan = tarn_plan_create(f->tm, step, s, NULL);
}

static tarn_tensor *run(subject *s)
{
    tarn_tensor *const inputs[] = { s->x, s->y, s->third };
    return tarn_plan_run(s->plan, (tarn_list){ s->third != NULL ? 3 : 2, inputs });
}

/* Runs until it is replayed. */
static void begin_planned(subject *s, void **state, const char *kind)
{
    begin(s, state, kind);
    for (int i = 0; i < 3; i++) assert_non_null(run(s));
    assert_non_null(run(s));
    assert_true(tarn_plan_is_replayed(s->plan));
    assert_string_equal(tarn_plan_reason(s->plan), "");
}

/* That the run before was none, for this reason. */
static void check_reason(subject *s, tarn_plan_reason_code code, const char *part)
{
    check_no_error(s->tm);
    assert_false(tarn_plan_is_replayed(s->plan));
    if (strstr(tarn_plan_reason(s->plan), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, tarn_plan_reason(s->plan));
    assert_int_equal(tarn_plan_reason_of(s->plan), code);
    assert_true(tarn_plan_get_stats(s->plan).reasons[code] > 0);
}

/* ---- what a step may not do */

static void reads_item(subject *s, tarn_tensor *loss) { s->number = tarn_item(loss); }
static void reads_data(subject *s, tarn_tensor *loss) { s->number = tarn_data(loss) != NULL; }
static void writes_data(subject *s, tarn_tensor *loss)
{
    (void)loss;
    (void)tarn_data_mut(s->extra);
}
static void copies_out(subject *s, tarn_tensor *loss)
{
    float value = 0;
    (void)tarn_copy_to(loss, &value, sizeof value);
    s->number = (double)value;
}
static void copies_in(subject *s, tarn_tensor *loss)
{
    const float value = 1;
    (void)loss;
    (void)tarn_copy_from(s->extra, &value, sizeof value);
}
static void makes_of_array(subject *s, tarn_tensor *loss)
{
    const float value = 1;
    (void)loss;
    (void)tarn_from_array(s->tm, TARN_F32, TARN_SHAPE(1), &value);
}
static float outside_memory[4];
static void adopts(subject *s, tarn_tensor *loss)
{
    tarn_tensor *t = tarn_from_memory(s->tm, TARN_F32, TARN_SHAPE(1), outside_memory,
                                      sizeof outside_memory, NULL, NULL);
    (void)tarn_add(t, loss);
}
static void sets_rate(subject *s, tarn_tensor *loss)
{
    (void)loss;
    (void)tarn_optimizer_set_lr(s->model.optimizer, 0.01);
}
static void switches_mode(subject *s, tarn_tensor *loss)
{
    (void)loss;
    tarn_module_train(s->model.net);
}
static void takes_batch(subject *s, tarn_tensor *loss)
{
    tarn_tensor *x;
    (void)loss;
    (void)tarn_loader_next(s->loader, &x, NULL);
}
static void told(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context;
    (void)t;
    (void)gradient;
}
static void has_hook(subject *s, tarn_tensor *loss)
{
    (void)s;
    (void)tarn_on_gradient(loss, told, NULL);
}
static void keeps(subject *s, tarn_tensor *loss)
{
    if (s->kept != NULL) tarn_release(s->kept);
    s->kept = tarn_retain(tarn_mul_scalar(loss, 2));
}
static void keeps_unused(subject *s, tarn_tensor *loss)
{
    (void)loss;
    if (s->kept != NULL) tarn_release(s->kept);
    s->kept = tarn_retain(tarn_empty(s->tm, TARN_F32, TARN_SHAPE(3)));
}
static void counts(subject *s, tarn_tensor *loss)
{
    (void)loss;
    tarn_tensor *logits = tarn_linear_forward(&s->model.l1, s->x);
    s->number = (double)tarn_count_correct(
        logits, tarn_cast(tarn_reshape(s->y, TARN_SHAPE(BATCH)), TARN_I64));
}
static void changes_input(subject *s, tarn_tensor *loss)
{
    (void)loss;
    TARN_NO_GRAD(s->tm);
    (void)tarn_mul_scalar_(s->extra, 0.5);
}
static void goes_on_from_outside(subject *s, tarn_tensor *loss) { (void)tarn_add(loss, s->extra); }
static void runs_another(subject *s, tarn_tensor *loss)
{
    (void)loss;
    (void)tarn_plan_run(s->inner, (tarn_list){ 0 });
}
static void makes_module(subject *s, tarn_tensor *loss)
{
    (void)loss;
    (void)tarn_module_destroy(tarn_module_create(s->tm));
}
static void asks_gradients(subject *s, tarn_tensor *loss)
{
    (void)loss;
    s->number = tarn_get_gradient_stats(s->model.l1.weight).norm;
}
static void prints(subject *s, tarn_tensor *loss)
{
    FILE *stream = tmpfile();
    (void)s;
    (void)tarn_print(loss, stream);
    (void)fclose(stream);
}
static void makes_leaf(subject *s, tarn_tensor *loss)
{
    (void)loss;
    (void)tarn_require_grad(s->extra);
}
static void digests(subject *s, tarn_tensor *loss)
{
    (void)loss;
    s->number = (double)tarn_module_digest(s->model.net);
}

static const struct refusal {
    void (*inside)(subject *s, tarn_tensor *loss);
    const char *reason;
} refusals[] = {
    { reads_item, "it reads an element with tarn_item" },
    { reads_data, "it reads elements with tarn_data" },
    { writes_data, "it reaches for elements with tarn_data_mut" },
    { copies_out, "it reads elements with tarn_copy_to" },
    { copies_in, "it writes elements with tarn_copy_from" },
    { makes_of_array, "it makes a tensor with tarn_from_array" },
    { adopts, "memory that is not the pool's" },
    { sets_rate, "it sets a learning rate" },
    { switches_mode, "it switches a module" },
    { takes_batch, "it takes a batch" },
    { has_hook, "a hook is told" },
    { keeps, "outlives it" },
    { keeps_unused, "outlives it" },
    { counts, "tarn_count_correct" },
    { changes_input, "it changes an input" },
    { goes_on_from_outside, "a recorded operation outside computed" },
    { runs_another, "it runs another plan" },
    { makes_module, "it makes or ends modules" },
    { asks_gradients, "what gradients are like" },
    { prints, "it prints a tensor" },
    { makes_leaf, "tarn_require_grad" },
    { digests, "tarn_module_digest" },
};

static tarn_tensor *nothing(tarn_tensor *const *inputs, int n, void *context)
{
    (void)inputs;
    (void)n;
    (void)context;
    return NULL;
}

/* Each is given up at once or after a few calls, and the step goes on as it would without a plan.
 */
static void what_a_step_may_not_do(void **state)
{
    check_fixture *f = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        subject s;
        begin(&s, state, "small");
        tarn_tensor *leaf = tarn_require_grad(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1)));
        s.extra = refusals[i].inside == goes_on_from_outside
                      ? tarn_mul_scalar(leaf, 2)
                      : tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1));
        s.loader = tarn_loader_create(s.x, NULL, &(tarn_loader_options){ .batch_size = 1 });
        s.inner = tarn_plan_create(f->tm, nothing, NULL, NULL);
        s.inside = refusals[i].inside;
        if (s.inside == changes_input) s.third = s.extra;
        for (int k = 1; k <= 12; k++) {
            assert_non_null(run(&s));
            assert_int_equal(s.calls, k);
        }
        check_reason(&s, TARN_PLAN_REFUSED, refusals[i].reason);
        if (s.kept != NULL) tarn_release(s.kept);
    }
}

/* ---- a step that differs from call to call */

static void number_changes(subject *s, tarn_tensor *loss)
{
    (void)tarn_mul_scalar(loss, s->number++);
}
static void branch_changes(subject *s, tarn_tensor *loss)
{
    if (s->calls % 2 == 0 || s->calls % 3 == 0 || s->calls % 7 == 0) loss = tarn_tanh(loss);
    for (int i = 0; i < s->calls; i++) loss = tarn_neg(loss);
}
static void stream_changes(subject *s, tarn_tensor *loss)
{
    (void)tarn_dropout(loss, 0.5, (uint64_t)s->calls);
}
static void noise_changes(subject *s, tarn_tensor *loss)
{
    const uint64_t stream = (uint64_t)s->calls;
    tarn_tensor *noise = tarn_random_normal(s->tm, TARN_F32, TARN_SCALAR, 0, 1, stream);
    (void)tarn_add(loss, noise);
}
static void constant_changes(subject *s, tarn_tensor *loss)
{
    (void)tarn_add(loss, tarn_full(s->tm, TARN_F32, TARN_SCALAR, (double)s->calls));
}

static void steps_that_differ(void **state)
{
    void (*const all[])(subject *, tarn_tensor *) = { number_changes, branch_changes,
                                                      stream_changes, noise_changes,
                                                      constant_changes };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        subject s;
        begin(&s, state, "small");
        s.inside = all[i];
        for (int k = 1; k <= 12; k++) {
            assert_non_null(run(&s));
            assert_int_equal(s.calls, k);
            if (k == 4) check_reason(&s, TARN_PLAN_RECORDING, "not the same in each call");
        }
        check_reason(&s, TARN_PLAN_REFUSED, "not the same twice");
    }
}

/* ---- what calls the step again */

static void inputs_that_differ(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    tarn_tensor *x, *y;
    plan_model_batch(&s.model, 3, 5, &x, &y);
    assert_non_null(tarn_plan_run(s.plan, TARN_LIST(x, y)));
    check_reason(&s, TARN_PLAN_RECORDING, "recorded");
    tarn_tensor *turned = tarn_transpose(tarn_contiguous(tarn_transpose(s.x, 0, 1)), 0, 1);
    assert_non_null(tarn_plan_run(s.plan, TARN_LIST(turned, s.y)));
    assert_false(tarn_plan_is_replayed(s.plan));
    assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
}

/* Four recordings are kept; what fits none of them is told. */
static void too_many_shapes(void **state)
{
    subject s;
    begin(&s, state, "small");
    for (int64_t B = 1; B <= 4; B++) {
        tarn_tensor *x, *y;
        plan_model_batch(&s.model, B, 5, &x, &y);
        for (int i = 0; i < 4; i++) assert_non_null(tarn_plan_run(s.plan, TARN_LIST(x, y)));
        assert_true(tarn_plan_is_replayed(s.plan));
    }
    assert_int_equal(tarn_plan_get_stats(s.plan).recordings, 4);
    for (int i = 0; i < 5; i++) assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_INPUTS, "input 0 is float32 [6,2] instead of float32 [4,2]");
    tarn_tensor *x64 = tarn_cast(s.x, TARN_F64);
    assert_null(tarn_plan_run(s.plan, TARN_LIST(x64, s.y)));
    check_error_part(s.tm, TARN_EDTYPE, "one type is needed");
    assert_non_null(strstr(tarn_plan_reason(s.plan), "input 0 is float64 [6,2]"));
}

/* Fills the plan with other recordings, so that the next that fits none is not recorded. */
static void fill_plan(subject *s)
{
    for (int64_t B = 1; B <= 3; B++) {
        tarn_tensor *x, *y;
        plan_model_batch(&s->model, B, 5, &x, &y);
        for (int i = 0; i < 3; i++) assert_non_null(tarn_plan_run(s->plan, TARN_LIST(x, y)));
    }
    assert_int_equal(tarn_plan_get_stats(s->plan).recordings, 4);
    assert_non_null(run(s));
    assert_true(tarn_plan_is_replayed(s->plan));
}

static void modes_that_differ(void **state)
{
    subject s;
    begin_planned(&s, state, "mlp");
    fill_plan(&s);
    tarn_module_eval(s.model.net);
    assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_MODES, "a mode is not as recorded: a module is evaluating now");
    tarn_module_train(s.model.net);
    assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
}

static void parameters_that_differ(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    fill_plan(&s);
    assert_int_equal(tarn_module_set_trainable(s.model.net, "l1.weight", false), 1);
    assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_TENSORS, "\"l1.weight\" [8,2] requires no gradient any more");
    assert_int_equal(tarn_module_set_trainable(s.model.net, "l1.weight", true), 1);
    assert_non_null(run(&s)); /* its gradient is another one now */
    check_reason(&s, TARN_PLAN_TENSORS, "\"l1.weight\" [8,2] has another gradient");
}

static void gradients_that_differ(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    fill_plan(&s);
    TARN_SCOPE(s.tm);
    check_status(tarn_backward(s.model.kind->loss(&s.model, s.x, s.y)), TARN_OK);
    assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_GRADIENTS, "has a gradient already");
    assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
}

static void hooks_that_come(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    fill_plan(&s);
    check_status(tarn_on_gradient(s.model.l1.weight, told, NULL), TARN_OK);
    assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_TENSORS, "\"l1.weight\" [8,2] has hooks now");
    tarn_clear_hooks(s.model.l1.weight);
    assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
}

static void no_grad_that_comes(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    fill_plan(&s);
    TARN_NO_GRAD(s.tm);
    assert_null(run(&s)); /* backward has nothing to go back on */
    assert_non_null(strstr(tarn_plan_reason(s.plan), "gradients are recorded no more"));
    check_error_part(s.tm, TARN_ESTATE, "nothing that requires a gradient");
}

static void tensors_that_end(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    tarn_optimizer_destroy(s.model.optimizer);
    s.model.optimizer = tarn_adam_create(s.model.net, NULL);
    assert_non_null(run(&s));
    assert_false(tarn_plan_is_replayed(s.plan));
    assert_int_equal(tarn_plan_get_stats(s.plan).reasons[TARN_PLAN_NONE], 1);
    for (int i = 0; i < 2; i++) assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan)); /* recorded anew */
    check_status(tarn_module_destroy(s.model.net), TARN_OK);
    tarn_optimizer_destroy(s.model.optimizer);
    const int calls = s.calls;
    plan_model_begin(&s.model, plan_kind_named("small"), s.tm);
    s.model.optimizer = tarn_adam_create(s.model.net, NULL);
    assert_non_null(run(&s));
    assert_int_equal(s.calls, calls + 1);
}

/* A tensor of the context that ends, and whose handle is used for another. */
static void adds_extra(subject *s, tarn_tensor *loss) { (void)tarn_add(loss, s->extra); }
static void handles_that_are_used_again(void **state)
{
    subject s;
    begin(&s, state, "small");
    s.inside = adds_extra;
    s.extra = tarn_ones(s.tm, TARN_F32, TARN_SHAPE(1));
    for (int i = 0; i < 4; i++) assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
    tarn_release(s.extra);
    s.extra = tarn_full(s.tm, TARN_F32, TARN_SHAPE(1), 2);
    assert_non_null(run(&s));
    assert_false(tarn_plan_is_replayed(s.plan));
}

static void watched_operations(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    tarn_check_finite(s.tm, true);
    assert_non_null(run(&s));
    check_reason(&s, TARN_PLAN_WATCHED, "operations are watched");
    tarn_check_finite(s.tm, false);
    assert_non_null(run(&s));
    assert_true(tarn_plan_is_replayed(s.plan));
}

static void an_input_in_memory_that_changes(void **state)
{
    subject s;
    begin_planned(&s, state, "small");
    fill_plan(&s);
    tarn_tensor *weight = s.model.l1.weight; /* (8, 2) */
    TARN_SCOPE(s.tm);
    tarn_tensor *x = tarn_detach(tarn_slice(weight, 0, 0, BATCH));
    assert_non_null(tarn_plan_run(s.plan, TARN_LIST(x, s.y)));
    check_reason(&s, TARN_PLAN_INPUTS, "input 0 lies in memory that the step changes");
    x = tarn_require_grad(tarn_detach(s.x));
    assert_non_null(tarn_plan_run(s.plan, TARN_LIST(x, s.y)));
    check_reason(&s, TARN_PLAN_INPUTS, "input 0 requires a gradient");
}

/* ---- what cannot be seen is found by verifying */

static tarn_tensor *hidden_state(tarn_tensor *const *inputs, int n, void *context)
{
    subject *s = context;
    (void)n;
    if (s->calls++ > 5) return tarn_mul_scalar(inputs[0], 3);
    return tarn_mul_scalar(inputs[0], 2);
}

static void verifying_finds_what_is_hidden(void **state)
{
    check_fixture *f = *state;
    subject s = { .tm = f->tm };
    s.plan = tarn_plan_create(f->tm, hidden_state, &s, &(tarn_plan_options){ .verify = 1 });
    s.x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4));
    static const double twice[] = { 2, 2, 2, 2 }, thrice[] = { 3, 3, 3, 3 };
    for (int i = 0; i < 6; i++) check_close(tarn_plan_run(s.plan, TARN_LIST(s.x)), twice, 4, 0);
    assert_null(tarn_plan_run(s.plan, TARN_LIST(s.x)));
    check_error_part(f->tm, TARN_ESTATE, "a replay gives other bits than the step: the result");
    check_close(tarn_plan_run(s.plan, TARN_LIST(s.x)), thrice, 4, 0);
    check_reason(&s, TARN_PLAN_REFUSED, "a replay gives other bits");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_a_step_may_not_do),
        TEST(steps_that_differ),
        TEST(inputs_that_differ),
        TEST(too_many_shapes),
        TEST(modes_that_differ),
        TEST(parameters_that_differ),
        TEST(gradients_that_differ),
        TEST(hooks_that_come),
        TEST(no_grad_that_comes),
        TEST(tensors_that_end),
        TEST(handles_that_are_used_again),
        TEST(watched_operations),
        TEST(an_input_in_memory_that_changes),
        TEST(verifying_finds_what_is_hidden),
    };
    return cmocka_run_group_tests_name("plan_guards", tests, NULL, NULL);
}
