/* SPDX-License-Identifier: MIT
 * test_faults.c - the fault loop: training in which every acquisition from the pool, and every call
 * to the system, fails once, each in a run of its own.
 *
 * A call that failed is repeated in place, after tarn_clear_error. Whatever failed, the run must
 * end with the same bits as one in which nothing did, and leave nothing behind. */
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* Steps of a run: all 500 of the README's program, or fewer where checking makes them slow. */
static int n_steps(void) { return check_scaled(500) < 500 ? 20 : 500; }

/* ---- a run: create, train, digest, destroy */

typedef struct run {
    tarn_pool *pool;
    tarn_manager *tm;
    tarn_tensor *x, *y;
    tarn_module *net;
    tarn_linear l1, l2;
    tarn_optimizer *opt;
    int n_failed;   /* calls and steps that were repeated */
    int fail_again; /* so many acquisitions fail right after a failure, one a try */
    uint64_t digest;
} run;

/* After a call that may have failed: whether it is to be repeated. */
static bool again(run *r)
{
    if (tarn_ok(r->tm)) return false;
    if (tarn_error_code(r->tm) != TARN_ENOMEM)
        fail_msg("not ENOMEM: %s", tarn_error_message(r->tm));
    assert_non_null(strstr(tarn_error_message(r->tm), "out of memory"));
    assert_int_equal(tarn_pool_check(r->pool), TARN_OK);
    tarn_clear_error(r->tm);
    r->n_failed++;
    if (r->fail_again > 0) {
        r->fail_again--;
        check_fail_acquisition(r->pool, 1);
    }
    return true;
}

static void create(run *r)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    while ((r->tm = tarn_manager_create(&(tarn_manager_options){ .pool = r->pool, .seed = 42 })) ==
           NULL) {
        assert_int_equal(tarn_pool_get_stats(r->pool).live_blocks, 0);
        assert_int_equal(++r->n_failed, 1);
    }
    do r->x = tarn_from_array(r->tm, TARN_F32, TARN_SHAPE(4, 2), X);
    while (again(r));
    do r->y = tarn_from_array(r->tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    while (again(r));
    do r->net = tarn_module_create(r->tm);
    while (again(r));
    do r->l1 = tarn_linear_create(r->net, "l1", 2, 8);
    while (again(r));
    do r->l2 = tarn_linear_create(r->net, "l2", 8, 1);
    while (again(r));
    do r->opt = tarn_adam_create(r->net, &(tarn_adam_options){ .lr = 0.05 });
    while (again(r));
    assert_int_equal(tarn_module_parameter_count(r->net), 4);
}

/* One step; a failure on the way leaves nothing changed but gradients. */
static void try_step(run *r)
{
    TARN_SCOPE(r->tm);
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&r->l1, r->x));
    tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&r->l2, hidden), r->y);
    const tarn_status backward = tarn_backward(loss);
    const tarn_status stepped = tarn_optimizer_step(r->opt);
    assert_int_equal(stepped, tarn_error_code(r->tm));
    if (loss != NULL) assert_int_equal(backward, stepped);
}

static void step(run *r)
{
    const uint64_t digest = tarn_module_digest(r->net), steps = tarn_optimizer_steps(r->opt);
    const size_t live = tarn_pool_get_stats(r->pool).live_blocks;
    for (try_step(r); again(r); try_step(r)) {
        assert_true(tarn_module_digest(r->net) == digest);
        assert_int_equal(tarn_optimizer_steps(r->opt), steps);
        assert_int_equal(tarn_manager_get_stats(r->tm).tape_length, 0);
        assert_in_range(tarn_pool_get_stats(r->pool).live_blocks, live, live + 4); /* gradients */
        tarn_module_zero_grad(r->net);
    }
    assert_int_equal(tarn_optimizer_steps(r->opt), steps + 1);
}

/* The whole of it on the given pool, which is empty again afterwards. */
static void train(run *r, int steps)
{
    create(r);
    for (int i = 0; i < steps; i++) step(r);
    r->digest = tarn_module_digest(r->net);
    const tarn_manager_stats stats = tarn_manager_get_stats(r->tm);
    assert_int_equal(stats.active,
                     2 + 4 * 4); /* x, y; weight, gradient and two moments of each parameter */
    assert_int_equal(stats.handles, 2 + 4 * 4);
    assert_int_equal(tarn_manager_destroy(r->tm), 0);
    assert_int_equal(tarn_pool_get_stats(r->pool).live_blocks, 0);
    assert_int_equal(tarn_pool_get_stats(r->pool).current_usage, 0);
    assert_int_equal(tarn_pool_check(r->pool), TARN_OK);
}

/* ---- the loops */

/* Each acquisition fails in turn; with `compound`, the next acquisitions after it fail as well, one
 * in each try. */
static void fail_each_acquisition(int steps, int compound)
{
    run undisturbed = { .pool = tarn_pool_create(NULL, NULL) };
    train(&undisturbed, steps);
    const uint64_t acquisitions = tarn_pool_get_stats(undisturbed.pool).allocations;
    assert_int_equal(tarn_pool_destroy(undisturbed.pool), TARN_OK);

    uint64_t injected = 0;
    for (uint64_t n = 1; n <= acquisitions; n++) {
        run r = { .pool = tarn_pool_create(NULL, NULL), .fail_again = compound };
        check_fail_acquisition(r.pool, n);
        train(&r, steps);
        const uint64_t failed = tarn_pool_get_stats(r.pool).failed_acquisitions;
        if (r.n_failed != 1 + compound || failed != (uint64_t)(1 + compound))
            fail_msg("acquisition %llu: %d failures seen of %llu", (unsigned long long)n,
                     r.n_failed, (unsigned long long)failed);
        if (r.digest != undisturbed.digest)
            fail_msg("acquisition %llu failed, and the weights differ", (unsigned long long)n);
        injected += failed;
        assert_int_equal(tarn_pool_destroy(r.pool), TARN_OK);
    }
    print_message("faults: %llu acquisitions of %d steps failed (%llu injected)\n",
                  (unsigned long long)acquisitions, steps, (unsigned long long)injected);
    assert_true(acquisitions > (uint64_t)steps * 5);
}

static void every_acquisition_may_fail(void **state)
{
    (void)state;
    fail_each_acquisition(n_steps(), 0);
}

static void and_again_while_recovering(void **state)
{
    (void)state;
    fail_each_acquisition(5, 1);
    fail_each_acquisition(5, 3);
}

/* A run on a pool of its own whose system fails at reserve number `fail_at`. Returns how many
 * reserves succeeded. */
static uint64_t train_on_failing_system(run *r, uint64_t fail_at, int steps)
{
    check_system s;
    check_system_begin(&s);
    check_system_fail(&s, fail_at, false);
    const tarn_pool_options options = { .initial_capacity = 1024,
                                        .growth_factor = 1,
                                        .system = &s.system };
    tarn_status status = TARN_OK;
    while ((r->pool = tarn_pool_create(&options, &status)) == NULL) {
        check_status(status, TARN_ENOMEM);
        assert_int_equal(s.n_live, 0);
        assert_int_equal(++r->n_failed, 1);
    }
    train(r, steps);
    check_status(tarn_pool_destroy(r->pool), TARN_OK);
    assert_int_equal(s.failed, fail_at != 0);
    const uint64_t reserves = s.reserves;
    check_system_end(&s);
    return reserves;
}

/* Each call to the system fails in turn. A pool may make do without: it then asks for less, and
 * nobody notices. */
static void every_call_to_the_system_may_fail(void **state)
{
    (void)state;
    run undisturbed = { 0 };
    const uint64_t reserves = train_on_failing_system(&undisturbed, 0, n_steps());
    assert_int_equal(undisturbed.n_failed, 0);
    int seen = 0;
    for (uint64_t n = 1; n <= reserves; n++) {
        run r = { 0 };
        (void)train_on_failing_system(&r, n, n_steps());
        assert_true(r.n_failed <= 1);
        assert_true(r.digest == undisturbed.digest);
        seen += r.n_failed;
    }
    print_message("faults: %llu calls to the system failed, %d of them seen by the program\n",
                  (unsigned long long)reserves, seen);
    assert_true(reserves >= 12);
    assert_true(seen >= 5);
}

/* The loop itself must notice a step that is not repeated: it then ends with other weights. */
static void a_lost_step_would_be_noticed(void **state)
{
    (void)state;
    run whole = { .pool = tarn_pool_create(NULL, NULL) },
        lacking = { .pool = tarn_pool_create(NULL, NULL) };
    train(&whole, 20);
    train(&lacking, 19);
    assert_true(whole.digest != lacking.digest);
    assert_int_equal(tarn_pool_destroy(whole.pool), TARN_OK);
    assert_int_equal(tarn_pool_destroy(lacking.pool), TARN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acquisition_may_fail),
        cmocka_unit_test(and_again_while_recovering),
        cmocka_unit_test(every_call_to_the_system_may_fail),
        cmocka_unit_test(a_lost_step_would_be_noticed),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
