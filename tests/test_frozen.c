/* SPDX-License-Identifier: MIT
 * test_frozen.c - frozen modules: what is refused, what passes through them, and that many threads
 * read them at once.
 *
 * cmocka's assertions end the thread of main only; readers note what does not hold with HOLDS. */
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <tarn/tarn.h>

enum { READERS = 4, ROWS = 3, INPUTS = 5, HIDDEN = 16, OUTPUTS = 2 };
static const int64_t sizes[] = { INPUTS, HIDDEN, HIDDEN, OUTPUTS };

static const float X[ROWS * INPUTS] = { 0.5F,   -1, 2,  0.25F, -0.75F, 1.5F,   -2,   0,
                                        0.125F, 1,  -1, 0.5F,  0.75F,  -0.25F, 1.25F };

static _Atomic unsigned missed;

static void miss(const char *condition, int line)
{
    if (atomic_fetch_add(&missed, 1) < 10) print_error("line %d: not so: %s\n", line, condition);
}

#define HOLDS(condition) ((condition) ? (void)0 : miss(#condition, __LINE__))

/* What a forward and backward pass gives. */
typedef struct outcome {
    float y[ROWS * OUTPUTS], dx[ROWS * INPUTS];
} outcome;

static tarn_mlp make_mlp(tarn_module *parent, double dropout)
{
    return tarn_mlp_create(parent, "mlp", sizes, 4,
                           &(tarn_mlp_options){ .activation = TARN_TANH, .dropout = dropout });
}

/* y and dx of sum(y^2) by the operations of one manager; false if it holds an error. */
static bool run(tarn_manager *tm, const tarn_mlp *mlp, outcome *o)
{
    TARN_SCOPE(tm);
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(ROWS, INPUTS), X);
    tarn_require_grad(x);
    tarn_tensor *y = tarn_keep(tarn_mlp_forward(mlp, x));
    tarn_backward(tarn_sum(tarn_square(y), TARN_ALL_AXES));
    (void)tarn_copy_to(y, o->y, sizeof(o->y));
    (void)tarn_copy_to(tarn_grad_of(x), o->dx, sizeof(o->dx));
    return tarn_ok(tm);
}

static tarn_manager *manager_on(tarn_pool *pool)
{
    return tarn_manager_create(&(tarn_manager_options){ .pool = pool, .seed = 7 });
}

/* ---- many readers */

typedef struct reader {
    pthread_t thread;
    tarn_pool *pool; /* NULL: its manager has a pool of its own */
    const tarn_mlp *mlp;
    outcome expected;
    int times;
} reader;

static void read_parts(tarn_manager *tm, const tarn_mlp *mlp)
{
    TARN_SCOPE(tm);
    tarn_tensor *w = mlp->layers[0].weight;
    const tarn_tensor *t = tarn_transpose(tarn_borrow(tm, w), 0, 1);
    HOLDS(tarn_manager_of(t) == tm);
    HOLDS(tarn_dim(t, 0) == INPUTS && tarn_dim(w, 0) == HIDDEN);
    HOLDS(tarn_data(w) != NULL && isfinite(tarn_item(tarn_sum(tarn_borrow(tm, w), TARN_ALL_AXES))));
    HOLDS(strcmp(tarn_name(w), "mlp.0.weight") == 0);
    HOLDS(tarn_module_digest(mlp->module) != 0);
    HOLDS(tarn_module_find(mlp->module, "0.weight") == w);
}

static void *read_frozen(void *argument)
{
    reader *r = argument;
    tarn_manager *tm = manager_on(r->pool);
    outcome o;
    HOLDS(run(tm, r->mlp, &o));
    const tarn_manager_stats before = tarn_manager_get_stats(tm);
    for (int i = 0; i < r->times; i++) {
        memset(&o, 0, sizeof(o));
        HOLDS(run(tm, r->mlp, &o));
        HOLDS(memcmp(&o, &r->expected, sizeof(o)) == 0);
        read_parts(tm, r->mlp);
    }
    const tarn_manager_stats after = tarn_manager_get_stats(tm);
    HOLDS(after.active == before.active && after.handles == before.handles);
    HOLDS(after.total_memory == before.total_memory && after.tape_length == 0);
    HOLDS(tarn_manager_destroy(tm) == 0);
    return NULL;
}

static void run_readers(check_fixture *f, bool one_pool)
{
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_mlp mlp = make_mlp(root, 0);
    outcome expected;
    reader readers[READERS];
    assert_true(run(f->tm, &mlp, &expected)); /* before it is frozen */
    check_status(tarn_module_freeze(root), TARN_OK);
    const uint64_t digest = tarn_module_digest(root);
    const tarn_manager_stats before = tarn_manager_get_stats(f->tm);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (reader){ .pool = one_pool ? f->pool : NULL, .mlp = &mlp };
        readers[i].expected = expected;
        readers[i].times = (int)check_scaled(400);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_frozen, &readers[i]), 0);
    }
    for (int i = 0; i < 10; i++) { /* the owner reads meanwhile */
        outcome own;
        assert_true(run(f->tm, &mlp, &own));
        assert_memory_equal(&own, &expected, sizeof(own));
    }
    for (size_t i = 0; i < READERS; i++) assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
    assert_int_equal(atomic_exchange(&missed, 0), 0);
    assert_true(tarn_module_digest(root) == digest);
    const tarn_manager_stats after = tarn_manager_get_stats(f->tm);
    assert_int_equal(after.active, before.active);
    assert_int_equal(after.handles, before.handles);
    assert_int_equal(after.retained, 0);
    check_pool(f);
}

static void readers_share_a_pool(void **state) { run_readers(*state, true); }

static void readers_have_pools_of_their_own(void **state) { run_readers(*state, false); }

/* ---- refused */

static void writes_are_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l", 3, 2);
    tarn_tensor *mean = tarn_module_add_buffer(root, "mean", TARN_F32, TARN_SHAPE(3));
    const float values[6] = { 1, 2, 3, 4, 5, 6 };
    check_status(tarn_module_freeze(root), TARN_OK);
    const uint64_t digest = tarn_module_digest(root);

    assert_null(tarn_data_mut(l.weight));
    check_error(f->tm, TARN_ESTATE, "tarn_data_mut: \"l.weight\" [2,3] is frozen");
    check_status(tarn_copy_from(l.weight, values, sizeof(values)), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_copy_from: \"l.weight\" [2,3] is frozen");
    check_status(tarn_fill_with(l.bias, 1), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fill_with: \"l.bias\" [2] is frozen");
    check_status(tarn_fill_with(mean, 1), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fill_with: \"mean\" [3] is frozen");
    assert_null(tarn_require_grad(l.weight));
    check_error(f->tm, TARN_ESTATE, "tarn_require_grad: \"l.weight\" [2,3] is frozen");
    assert_null(tarn_require_grad(mean));
    check_error(f->tm, TARN_ESTATE, "tarn_require_grad: \"mean\" [3] is frozen");
    assert_null(tarn_grad_of(l.weight));
    check_error_part(f->tm, TARN_ESTATE, "tarn_grad_of: \"l.weight\" [2,3] requires no gradient");
    check_status(tarn_stop_grad(l.weight), TARN_OK);

    assert_true(tarn_module_digest(root) == digest);
    assert_int_equal(tarn_module_parameter_count(root), 2);
    check_close(mean, ((double[]){ 0, 0, 0 }), 3, 0);
    assert_false(tarn_requires_grad(l.weight));
    assert_false(tarn_has_grad(l.weight));
    tarn_module_zero_grad(root);
    assert_true(tarn_clip_grad_norm(root, 1) == 0);
    check_no_error(f->tm);
}

/* Views and borrowed handles are on the same memory. */
static void writes_through_other_handles_are_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_module_add_parameter(root, "p", TARN_F32, TARN_SHAPE(2, 3), NULL);
    tarn_tensor *early = tarn_reshape(tarn_detach(p), TARN_SHAPE(3, 2));
    check_status(tarn_module_freeze(root), TARN_OK);
    const uint64_t digest = tarn_module_digest(root);
    tarn_tensor *late = tarn_transpose(p, 0, 1), *borrowed = tarn_borrow(f->tm, p);
    tarn_tensor *of_borrowed = tarn_reshape(borrowed, TARN_SHAPE(6));
    tarn_tensor *const all[] = { early, late, borrowed, of_borrowed };
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(all[i]);
        assert_null(tarn_data_mut(all[i]));
        check_error_part(f->tm, TARN_ESTATE, "is frozen");
        check_status(tarn_fill_with(all[i], 3), TARN_ESTATE);
        check_error_part(f->tm, TARN_ESTATE, "is frozen");
    }
    assert_true(tarn_module_digest(root) == digest);
}

static void nothing_is_added(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *child = tarn_module_add_child(root, "c");
    check_status(tarn_module_freeze(child), TARN_OK);

    assert_null(tarn_module_add_child(child, "x"));
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");
    assert_null(tarn_module_add_parameter(child, "x", TARN_F32, TARN_SHAPE(1), NULL));
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");
    assert_null(tarn_module_add_buffer(child, "x", TARN_F32, TARN_SHAPE(1)));
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");
    assert_null(tarn_linear_create(child, "x", 1, 1).module);
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");
    assert_null(tarn_dropout_create(child, "x", 0.5).module);
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");
    assert_null(make_mlp(child, 0).module);
    check_error(f->tm, TARN_ESTATE, "module \"c\": it is frozen: add its parts before");

    assert_non_null(tarn_linear_create(root, "x", 1, 1).module); /* beside it */
    check_no_error(f->tm);
}

static void freezing_is_for_good(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear frozen = tarn_linear_create(root, "frozen", 2, 2);
    tarn_linear trained = tarn_linear_create(root, "trained", 2, 2);
    assert_false(tarn_module_is_frozen(NULL));
    check_status(tarn_module_freeze(NULL), TARN_EARG);
    check_status(tarn_module_freeze(frozen.module), TARN_OK);
    check_status(tarn_module_freeze(frozen.module), TARN_OK);
    assert_true(tarn_module_is_frozen(frozen.module));
    assert_false(tarn_module_is_frozen(root) || tarn_module_is_frozen(trained.module));
    assert_false(tarn_module_is_training(frozen.module));
    assert_true(tarn_module_is_training(root) && tarn_module_is_training(trained.module));
    tarn_module_train(root);
    tarn_module_train(frozen.module);
    assert_false(tarn_module_is_training(frozen.module));
    tarn_module_eval(root);
    tarn_module_train(root);
    assert_true(tarn_module_is_training(trained.module));
    assert_false(tarn_module_is_training(frozen.module));
    check_status(tarn_module_freeze(root), TARN_OK); /* the rest */
    assert_true(tarn_module_is_frozen(trained.module) && tarn_module_is_frozen(frozen.module));
    assert_false(tarn_requires_grad(trained.weight));
    check_status(tarn_module_destroy(frozen.module), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "linear \"frozen\": only the root of a tree can be destroyed");
    check_status(tarn_module_destroy(root), TARN_OK);
}

static void an_error_held_prevents_it(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l", 2, 2);
    assert_null(tarn_matmul(l.weight, NULL));
    check_status(tarn_module_freeze(root), TARN_EARG);
    tarn_clear_error(f->tm);
    assert_false(tarn_module_is_frozen(root));
    assert_non_null(tarn_data_mut(l.weight));
    assert_true(tarn_requires_grad(l.weight));
    check_status(tarn_module_freeze(root), TARN_OK);
}

/* ---- training around what is frozen */

static void an_optimizer_passes_over_it(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear frozen = tarn_linear_create(root, "frozen", 2, 3);
    tarn_linear trained = tarn_linear_create(root, "trained", 3, 1);
    const tarn_sgd_options options = { .lr = 0.1, .momentum = 0.9, .weight_decay = 0.1 };
    tarn_optimizer *optimizer = tarn_sgd_create(root, &options);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 2));
    for (int step = 0; step < 6; step++) {
        TARN_SCOPE(f->tm);
        const uint64_t of_frozen = tarn_module_digest(frozen.module);
        const uint64_t of_trained = tarn_module_digest(trained.module);
        tarn_tensor *y = tarn_linear_forward(&trained, tarn_linear_forward(&frozen, x));
        check_status(tarn_backward(tarn_mean(tarn_square(y), TARN_ALL_AXES)), TARN_OK);
        if (step == 3) check_status(tarn_module_freeze(frozen.module), TARN_OK); /* it has one */
        check_status(tarn_optimizer_step(optimizer), TARN_OK);
        assert_int_equal(tarn_module_digest(frozen.module) == of_frozen, step >= 3);
        assert_true(tarn_module_digest(trained.module) != of_trained);
    }
    check_status(tarn_module_freeze(root), TARN_OK);
    check_status(tarn_optimizer_step(optimizer), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "no parameter has received a gradient");
    tarn_optimizer_zero_grad(optimizer);
    assert_null(tarn_adam_create(root, NULL));
    check_error(f->tm, TARN_ESTATE,
                "adam: module is frozen: nothing of it can be trained (tarn_stop_grad holds single "
                "parameters, and not for good)");
}

/* What was recorded before still gives the gradients of the rest. */
static void freezing_between_forward_and_backward(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear a = tarn_linear_create(root, "a", 2, 3), b = tarn_linear_create(root, "b", 3, 1);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 2));
    tarn_tensor *y = tarn_linear_forward(&b, tarn_linear_forward(&a, x));
    check_status(tarn_module_freeze(a.module), TARN_OK);
    check_status(tarn_backward(tarn_mean(y, TARN_ALL_AXES)), TARN_OK);
    assert_false(tarn_has_grad(a.weight));
    assert_false(tarn_requires_grad(a.weight));
    assert_true(tarn_has_grad(b.weight));
    check_close(tarn_grad_of(b.bias), ((double[]){ 1 }), 1, 1e-6);
}

/* A reader trains a head of its own on a frozen body of another manager. */
static void gradients_pass_through(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_mlp mlp = make_mlp(root, 0);
    outcome own, of_reader;
    assert_true(run(f->tm, &mlp, &own));
    tarn_optimizer *of_owner = tarn_sgd_create(root, NULL);
    check_status(tarn_module_freeze(root), TARN_OK);
    const uint64_t digest = tarn_module_digest(root);

    tarn_manager *tm = manager_on(f->pool);
    assert_true(run(tm, &mlp, &of_reader));
    assert_memory_equal(&of_reader, &own, sizeof(own));
    tarn_module *head = tarn_module_create(tm);
    const tarn_linear l = tarn_linear_create(head, "head", OUTPUTS, 1);
    tarn_optimizer *optimizer = tarn_adam_create(head, &(tarn_adam_options){ .lr = 0.05 });
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(ROWS, INPUTS), X);
    double first = 0, last = 0;
    for (int step = 0; step < 50; step++) {
        TARN_SCOPE(tm);
        tarn_tensor *y = tarn_linear_forward(&l, tarn_mlp_forward(&mlp, x));
        tarn_tensor *loss = tarn_mean(tarn_square(tarn_add_scalar(y, 1)), TARN_ALL_AXES);
        check_status(tarn_backward(loss), TARN_OK);
        check_status(tarn_optimizer_step(optimizer), TARN_OK);
        last = tarn_item(loss);
        if (step == 0) first = last;
    }
    assert_true(last < 0.5 * first);
    check_no_error(tm);
    assert_true(tarn_module_digest(root) == digest);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    tarn_optimizer_destroy(of_owner);
    check_no_error(f->tm);
}

static void dropout_inside_passes_everything(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_mlp mlp = make_mlp(root, 0.5);
    outcome training, eval, frozen, of_reader;
    assert_true(run(f->tm, &mlp, &training));
    tarn_module_eval(root);
    assert_true(run(f->tm, &mlp, &eval));
    tarn_module_train(root);
    check_status(tarn_module_freeze(root), TARN_OK);
    tarn_module_train(root);
    assert_true(run(f->tm, &mlp, &frozen));
    tarn_manager *tm = manager_on(f->pool);
    assert_true(run(tm, &mlp, &of_reader));
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2));
    assert_ptr_equal(tarn_dropout_forward(&mlp.dropouts[0], x), x);
    assert_memory_not_equal(&training, &eval, sizeof(eval));
    assert_memory_equal(&frozen, &eval, sizeof(eval));
    assert_memory_equal(&of_reader, &eval, sizeof(eval));
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

/* ---- two managers */

static void operands_of_two_managers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = manager_on(f->pool);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l", 2, 2);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 2));
    tarn_tensor *own = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 2));
    const char *text = "add: operand b belongs to another manager than the first operand "
                       "(tarn_module_freeze lets every manager read a module)";
    assert_null(tarn_add(x, own));
    check_error(tm, TARN_ESTATE, text);
    assert_null(tarn_add(x, l.weight)); /* not frozen yet */
    check_error(tm, TARN_ESTATE, text);
    check_status(tarn_module_freeze(root), TARN_OK);
    assert_null(tarn_add(x, own));
    check_error(tm, TARN_ESTATE, text);
    tarn_tensor *const sums[] = { tarn_add(x, l.weight), tarn_add(l.weight, x),
                                  tarn_matmul(l.weight, x) };
    for (size_t i = 0; i < 3; i++) assert_ptr_equal(tarn_manager_of(sums[i]), tm);
    assert_ptr_equal(tarn_manager_of(tarn_add(l.weight, l.weight)), f->tm); /* nobody else's */
    assert_ptr_equal(tarn_manager_of(tarn_add(own, l.weight)), f->tm);
    check_no_error(tm);
    check_no_error(f->tm);
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

static void borrowing(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = manager_on(f->pool);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l", 2, 3);
    assert_null(tarn_borrow(tm, l.weight));
    check_error(tm, TARN_ESTATE,
                "tarn_borrow: the tensor is not frozen: tarn_module_freeze makes those of a module "
                "readable");
    check_status(tarn_module_freeze(root), TARN_OK);
    assert_null(tarn_borrow(NULL, l.weight));
    assert_null(tarn_borrow(tm, NULL));
    const tarn_pool_stats before = tarn_pool_get_stats(f->pool);
    tarn_tensor *kept = NULL;
    {
        TARN_SCOPE(tm);
        tarn_tensor *b = tarn_borrow(tm, l.weight);
        assert_ptr_equal(tarn_manager_of(b), tm);
        assert_ptr_equal(tarn_data(b), tarn_data(l.weight));
        assert_int_equal(tarn_dim(b, 0), 3);
        assert_false(tarn_requires_grad(b));
        assert_non_null(tarn_borrow(tm, l.weight)); /* a second time */
        kept = tarn_retain(tarn_borrow(tm, l.weight));
        assert_int_equal(tarn_pool_get_stats(f->pool).allocations, before.allocations);
        assert_int_equal(tarn_pool_get_stats(f->pool).adopted, before.adopted);
    }
    assert_ptr_equal(tarn_data(kept), tarn_data(l.weight));
    tarn_release(kept);
    check_no_error(tm);
    tarn_block block;
    check_status(tarn_take_block(tarn_borrow(tm, l.weight), &block), TARN_ESTATE);
    tarn_clear_error(tm);
    assert_int_equal(tarn_manager_get_stats(tm).total_memory, 0);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    assert_non_null(tarn_data(l.weight));
    check_no_error(f->tm);
}

/* What a reader does wrong is its own: the owner may be in another thread. */
static void errors_of_readers_stay_theirs(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l", 2, 2);
    const tarn_mlp mlp = make_mlp(root, 0.5);
    check_status(tarn_module_freeze(root), TARN_OK);
    tarn_manager *tm = manager_on(f->pool);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3));
    assert_null(tarn_linear_forward(&l, tarn_linear_forward(&l, x)));
    check_error_part(tm, TARN_ESHAPE, "linear \"l\"");
    check_no_error(f->tm);
    assert_null(tarn_mlp_forward(&mlp, NULL));
    assert_null(tarn_dropout_forward(&mlp.dropouts[0], NULL));
    assert_null(tarn_matmul(l.weight, NULL));
    assert_null(tarn_affine(NULL, l.weight, l.bias));
    check_no_error(f->tm);
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MANAGER(readers_share_a_pool),
        WITH_MANAGER(readers_have_pools_of_their_own),
        WITH_MANAGER(writes_are_refused),
        WITH_MANAGER(writes_through_other_handles_are_refused),
        WITH_MANAGER(nothing_is_added),
        WITH_MANAGER(freezing_is_for_good),
        WITH_MANAGER(an_error_held_prevents_it),
        WITH_MANAGER(an_optimizer_passes_over_it),
        WITH_MANAGER(freezing_between_forward_and_backward),
        WITH_MANAGER(gradients_pass_through),
        WITH_MANAGER(dropout_inside_passes_everything),
        WITH_MANAGER(operands_of_two_managers),
        WITH_MANAGER(borrowing),
        WITH_MANAGER(errors_of_readers_stay_theirs),
    };
    return cmocka_run_group_tests_name("frozen", tests, NULL, NULL);
}
