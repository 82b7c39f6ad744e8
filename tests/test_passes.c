/* SPDX-License-Identifier: MIT
 * test_passes.c - every kind of pass over the tape in every circumstance: memory that ends
 * anywhere, steps that ask the system for nothing, dry runs.
 *
 * A scenario computes something in a scope of its own and reports numbers. Whatever happened, it
 * leaves the tape empty and the manager as it was. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "autograd/tape.h"
#include "check.h"
#include "cube.h"

/* ---- what scenarios work on */

enum { MOST = 128 };

typedef struct numbers {
    int n;
    double of[MOST];
} numbers;

typedef struct world {
    tarn_manager *tm;
    tarn_tensor *x, *v; /* (4, 3): a leaf, a constant */
    tarn_module *net;
    tarn_linear linear;           /* 3 to 5 */
    tarn_dropout_layer dropout;   /* in pieces that are run again */
    tarn_batch_norm_layer batch;  /* the same */
    tarn_layer_norm_layer layers; /* differentiated twice as a composition */
    tarn_mlp mlp;                 /* 5 to 3, whose activations are in place */
    tarn_custom *cube;
} world;

static size_t cube_room(const tarn_custom_call *c, bool backward)
{
    (void)backward;
    return (size_t)c->in[0].n * sizeof(double);
}

static world make_world(tarn_pool *pool, bool dry)
{
    static const int64_t sizes[] = { 5, 4, 3 };
    const tarn_norm_options norm = { .dtype = TARN_F64 };
    const tarn_linear_options linear = { .dtype = TARN_F64 };
    tarn_custom_options cube = cube_options;
    cube.scratch_bytes = cube_room;
    world w = { .tm = tarn_manager_create(
                    &(tarn_manager_options){ .pool = pool, .seed = 3, .dry_run = dry }) };
    tarn_tensor *x = tarn_random_uniform(w.tm, TARN_F64, TARN_SHAPE(4, 3), -1, 1, 1);
    w.x = tarn_require_grad(x);
    w.v = tarn_random_uniform(w.tm, TARN_F64, TARN_SHAPE(4, 3), -1, 1, 2);
    w.net = tarn_module_create(w.tm);
    w.linear = tarn_linear_create_with(w.net, "linear", 3, 5, &linear);
    w.dropout = tarn_dropout_create(w.net, "dropout", 0.4);
    w.batch = tarn_batch_norm_create_with(w.net, "batch", 5, &norm);
    w.layers = tarn_layer_norm_create_with(w.net, "layers", TARN_SHAPE(5), &norm);
    w.mlp = tarn_mlp_create(w.net, "mlp", sizes, 3,
                            &(tarn_mlp_options){ .dtype = TARN_F64, .activation = TARN_TANH });
    w.cube = tarn_custom_create(w.tm, &cube);
    check_no_error(w.tm);
    return w;
}

/* Gradients arrive nowhere yet. */
static void empty_gradients(world *w)
{
    tarn_module_zero_grad(w->net);
    check_status(tarn_zero_grad(w->x), TARN_OK);
}

/* ---- scenarios */

static void report(numbers *out, tarn_tensor *t)
{
    const double *values = tarn_data(t);
    for (int64_t i = 0; values != NULL && i < tarn_numel(t) && out->n < MOST; i++)
        out->of[out->n++] = values[i];
}

static void report_leaves(world *w, numbers *out)
{
    report(out, tarn_grad_of(w->x));
    report(out, tarn_grad_of(w->linear.weight));
    report(out, tarn_grad_of(w->linear.bias));
}

static tarn_tensor *forward(tarn_tensor *const *inputs, int n, void *context)
{
    world *w = context;
    (void)n;
    tarn_tensor *h = tarn_tanh(tarn_linear_forward(&w->linear, inputs[0]));
    h = tarn_layer_norm_forward(&w->layers, h);
    return tarn_mlp_forward(&w->mlp, h);
}

static tarn_tensor *loss_of(world *w, tarn_tensor *x)
{
    return tarn_sum(forward(&x, 1, w), TARN_ALL_AXES);
}

/* The loss with a penalty on its slope, differentiated. */
static void penalise(world *w, tarn_tensor *loss, numbers *out)
{
    tarn_tensor *slope[1];
    const tarn_grad_options create = { .create_graph = true };
    if (tarn_grad(TARN_LIST(loss), TARN_LIST(w->x), slope, &create) != TARN_OK) return;
    tarn_tensor *penalty = tarn_sum(tarn_square(slope[0]), TARN_ALL_AXES);
    if (tarn_backward(tarn_add(penalty, loss)) == TARN_OK) report_leaves(w, out);
}

static void backward(world *w, numbers *out)
{
    if (tarn_backward(loss_of(w, w->x)) == TARN_OK) report_leaves(w, out);
}

static void by_inputs(world *w, numbers *out)
{
    tarn_tensor *h = tarn_mul(w->x, w->x), *g[3];
    tarn_tensor *loss = loss_of(w, h);
    const tarn_status status =
        tarn_grad(TARN_LIST(loss, h), TARN_LIST(w->x, h, w->linear.weight), g,
                  &(tarn_grad_options){ .gradients = (tarn_tensor *[]){ NULL, w->v } });
    for (int i = 0; i < 3 && status == TARN_OK; i++) report(out, g[i]);
}

static void penalty(world *w, numbers *out) { penalise(w, loss_of(w, w->x), out); }

static void jvp(world *w, numbers *out)
{
    tarn_tensor *y = forward(&w->x, 1, w), *product[1];
    if (tarn_jvp(TARN_LIST(y), TARN_LIST(w->x), &w->v, product) == TARN_OK) report(out, product[0]);
}

static void hvp(world *w, numbers *out)
{
    tarn_tensor *product[1];
    if (tarn_hvp(loss_of(w, w->x), TARN_LIST(w->x), &w->v, product) == TARN_OK)
        report(out, product[0]);
}

static tarn_tensor *inner_piece(tarn_tensor *const *inputs, int n, void *context)
{
    world *w = context;
    (void)n;
    tarn_tensor *h = tarn_tanh(tarn_linear_forward(&w->linear, inputs[0]));
    h = tarn_dropout_forward(&w->dropout, h);
    return tarn_mul(h, inputs[1]);
}

static tarn_tensor *outer_piece(tarn_tensor *const *inputs, int n, void *context)
{
    world *w = context;
    tarn_tensor *h = tarn_checkpoint(inner_piece, (tarn_list){ n, inputs }, w);
    return tarn_exp(tarn_batch_norm_forward(&w->batch, h));
}

/* The draws of dropout differ from step to step; a factor of zero takes them out of what is
 * reported, so that a repetition can be compared. */
static tarn_tensor *pieces(world *w)
{
    tarn_tensor *factor = tarn_full(w->tm, TARN_F64, TARN_SHAPE(5), 0);
    tarn_tensor *y = tarn_checkpoint(outer_piece, TARN_LIST(w->x, factor), w);
    return tarn_add(tarn_sum(y, TARN_ALL_AXES), loss_of(w, w->x));
}

static void checkpoints(world *w, numbers *out)
{
    tarn_tensor *loss = pieces(w);
    if (tarn_backward_with(loss, &(tarn_backward_options){ .keep_graph = true }) == TARN_OK &&
        tarn_backward(loss) == TARN_OK)
        report_leaves(w, out);
}

static void checkpoints_by_inputs(world *w, numbers *out)
{
    tarn_tensor *loss = pieces(w), *g[2];
    const tarn_list inputs = TARN_LIST(w->linear.weight, w->batch.bias);
    if (tarn_grad(TARN_LIST(loss), inputs, g, NULL) != TARN_OK) return;
    report(out, g[0]);
    report(out, g[1]);
}

static void double_it(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    tarn_tensor **held = context;
    (void)t;
    tarn_tensor *twice = tarn_mul_scalar(gradient, 2);
    (void)tarn_square(twice);
    (void)tarn_mul_scalar_(gradient, 2);
    if (*held == NULL) *held = tarn_retain(gradient);
}

static void hooks(world *w, numbers *out)
{
    tarn_tensor *held = NULL, *h = tarn_mul(w->x, w->x);
    tarn_tensor *loss = loss_of(w, h);
    (void)tarn_on_gradient(h, double_it, &held);
    (void)tarn_on_gradient(loss, double_it, &held);
    if (tarn_on_gradient(w->x, double_it, &held) == TARN_OK && tarn_backward(loss) == TARN_OK)
        report_leaves(w, out);
    tarn_clear_hooks(w->x);
    tarn_release(held);
}

static void in_place(world *w, numbers *out)
{
    tarn_tensor *h = tarn_linear_forward(&w->linear, w->x);
    (void)tarn_add_scalar_(h, 1);
    tarn_tensor *y = tarn_sum(tarn_sigmoid_(h), TARN_ALL_AXES);
    penalise(w, tarn_mul_scalar_(y, 2), out);
}

static void custom(world *w, numbers *out)
{
    tarn_tensor *turned = tarn_transpose(w->x, 0, 1);
    tarn_tensor *y = tarn_custom_apply(w->cube, TARN_LIST(turned), NULL, 0);
    penalise(w, tarn_sum(y, TARN_ALL_AXES), out);
}

static void watched(world *w, numbers *out)
{
    (void)tarn_check_finite(w->tm, true);
    penalty(w, out);
    (void)tarn_check_finite(w->tm, false);
}

static void model_tools(world *w, numbers *out)
{
    const tarn_model_pass pass = { forward, TARN_LIST(w->x), w };
    const tarn_gradcheck_options few = { .relative = 1e-5, .samples = 1 };
    const int found = tarn_model_check(loss_of(w, w->x), NULL);
    FILE *stream = tmpfile();
    if (found >= 0) out->of[out->n++] = found;
    (void)tarn_model_summary(w->net, stream, &pass);
    (void)tarn_model_gradcheck(w->net, &pass, &few, NULL);
    fclose(stream);
}

typedef struct scenario {
    const char *name;
    void (*run)(world *w, numbers *out);
} scenario;

static const scenario scenarios[] = {
    { "backward", backward },
    { "by inputs", by_inputs },
    { "penalty", penalty },
    { "jvp", jvp },
    { "hvp", hvp },
    { "checkpoints", checkpoints },
    { "checkpoints by inputs", checkpoints_by_inputs },
    { "hooks", hooks },
    { "in place", in_place },
    { "custom", custom },
    { "watched", watched },
    { "model tools", model_tools },
};
enum {
    SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]),
    STEPS = SCENARIOS - 1 /* all but the tools are parts of training */
};

/* ---- around a scenario */

static numbers run(world *w, const scenario *s)
{
    numbers out = { 0 };
    {
        TARN_SCOPE(w->tm);
        s->run(w, &out);
    }
    const tarn__tape *tape = w->tm->tape;
    assert_int_equal(tape->nodes.taken, 0);
    assert_int_equal(tape->additions.taken, 0);
    assert_false(tape->running);
    assert_int_equal(w->x->target, 0);
    assert_int_equal(w->linear.weight->target, 0);
    assert_true(w->tm->draws == NULL && w->tm->label == NULL && w->tm->next_hook == NULL);
    assert_true(w->tm->depth == 0 && w->tm->held == 0 && !w->tm->replaying);
    return out;
}

static void expect_same(const numbers *actual, const numbers *expected, const char *name, int n)
{
    assert_int_equal(actual->n, expected->n);
    if (memcmp(actual->of, expected->of, (size_t)expected->n * sizeof(double)) != 0)
        fail_msg("%s: other numbers after failure %d", name, n);
}

/* A world on a pool whose system can fail, and its end. */
static world begin(check_system *system, tarn_pool **pool)
{
    check_system_begin(system);
    *pool = tarn_pool_create(&(tarn_pool_options){ .system = &system->system,
                                                   .initial_capacity = 1024,
                                                   .growth_factor = 1 },
                             NULL);
    return make_world(*pool, false);
}

static void end(world *w, check_system *system, tarn_pool *pool)
{
    assert_int_equal(tarn_manager_destroy(w->tm), 0);
    assert_int_equal(tarn_pool_get_stats(pool).live_blocks, 0);
    check_status(tarn_pool_destroy(pool), TARN_OK);
    check_system_end(system);
}

/* ---- tests */

/* The n-th acquisition fails, or the n-th call to the system: alone or with all after it. */
typedef enum failing { ACQUISITION, SYSTEM_ONCE, SYSTEM_FROM_THEN } failing;

static bool fail_one(const scenario *s, failing what, int n, const numbers *expected)
{
    check_system system;
    tarn_pool *pool = NULL;
    world w = begin(&system, &pool);
    if (what == ACQUISITION) check_fail_acquisition(pool, (uint64_t)n);
    else check_system_fail(&system, (uint64_t)n, what == SYSTEM_FROM_THEN);
    numbers out = run(&w, s);
    check_fail_acquisition(pool, 0);
    const bool fired = tarn_pool_get_stats(pool).failed_acquisitions + system.failed > 0;
    check_system_fail(&system, 0, false);
    if (!tarn_ok(w.tm)) { /* a pool may also have made do without */
        check_error_part(w.tm, TARN_ENOMEM, "out of memory");
        assert_int_equal(tarn_pool_check(pool), TARN_OK);
        empty_gradients(&w);
        out = run(&w, s);
        check_no_error(w.tm);
    }
    expect_same(&out, expected, s->name, n);
    end(&w, &system, pool);
    return fired;
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        check_system system;
        tarn_pool *pool = NULL;
        world w = begin(&system, &pool);
        const numbers expected = run(&w, &scenarios[i]);
        check_no_error(w.tm);
        assert_true(expected.n > 0);
        end(&w, &system, pool);
        int failures[3] = { 0 };
        for (int what = 0; what < 3; what++)
            while (fail_one(&scenarios[i], (failing)what, failures[what] + 1, &expected))
                failures[what]++;
        print_message("%s: %d acquisitions and %d calls to the system failed\n", scenarios[i].name,
                      failures[ACQUISITION], failures[SYSTEM_ONCE]);
        assert_true(failures[ACQUISITION] > 5 && failures[SYSTEM_ONCE] > 0);
    }
}

/* Once it has run a few times, a scenario asks the system for nothing and leaves nothing behind. */
static void steps_are_steady(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        tarn_pool *pool = tarn_pool_create(NULL, NULL);
        const bool reuses = check_is_plain(pool); /* full checking keeps handles */
        world w = make_world(pool, false);
        for (int step = 0; step < 6; step++) {
            (void)run(&w, &scenarios[i]);
            empty_gradients(&w);
            check_no_error(w.tm);
            if (tarn_expect_steady(w.tm) != TARN_OK && step >= 3 && reuses)
                fail_msg("%s: %s", scenarios[i].name, tarn_error_message(w.tm));
            tarn_clear_error(w.tm);
        }
        assert_int_equal(tarn_manager_destroy(w.tm), 0);
        check_status(tarn_pool_destroy(pool), TARN_OK);
    }
}

/* A dry run takes the same way. */
static void dry_runs(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS; i++) {
        world w = make_world(NULL, true);
        assert_true(run(&w, &scenarios[i]).n > 0);
        check_no_error(w.tm);
        assert_int_equal(tarn_manager_destroy(w.tm), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(steps_are_steady),
        cmocka_unit_test(dry_runs),
    };
    return cmocka_run_group_tests_name("passes", tests, NULL, NULL);
}
