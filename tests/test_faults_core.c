/* SPDX-License-Identifier: MIT
 * test_faults_core.c - whichever request for memory fails, in the life of a pool and a manager: a
 * status, no leak, and the same values when it is tried again. */
#include "check.h"

#include <string.h>

#include "core/manager.h"

/* ---- a program that uses all that core has */

enum { N_RESULTS = 64 };

/* Makes tensors of many sizes in scopes. Returns whether all went well; the sums of what was made
 * are in results. */
static bool work(tarn_manager *tm, double results[N_RESULTS])
{
    static const int64_t sizes[] = { 0, 1, 7, 16, 100, 1000, 8192, 8193 };
    enum { N_SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    size_t n = 0;
    tarn_tensor *kept = NULL;
    for (uint64_t step = 0; step < 2 && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        for (size_t i = 0; i < N_SIZES && tarn_ok(tm); i++) {
            TARN_SCOPE(tm);
            tarn_tensor *u = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(sizes[i]), 0, 1, step);
            tarn_tensor *z = tarn_set_name(tarn_zeros(tm, TARN_F64, TARN_SHAPE(sizes[i])), "zeros");
            const float *a = tarn_data(u);
            const double *b = tarn_data(z);
            if (!tarn_ok(tm)) break;
            results[n] = 0;
            for (int64_t k = 0; k < sizes[i]; k++) results[n] += (double)a[k] + b[k];
            n++;
            if (i == 4 && step == 0) kept = tarn_retain(u);
            (void)tarn_escape(z);
            (void)tarn_empty(tm, TARN_U8, TARN_SHAPE(100 * sizes[i]));
        }
        for (int deep = 0; deep < 20; deep++) {
            const tarn_scope forgotten = tarn_scope_begin(tm); /* the outer scope ends it */
            (void)forgotten;
        }
    }
    const double *data = kept != NULL && tarn_ok(tm) ? tarn_data(tarn_eye(tm, TARN_F64, 5)) : NULL;
    if (data != NULL) results[n] = data[6];
    tarn_release(kept);
    return tarn_ok(tm);
}

/* What must hold after a failure: the code, and that only what was given is missing. */
static void expect_out_of_memory(const check_fixture *f)
{
    check_status(tarn_error_code(f->tm), TARN_ENOMEM);
    assert_non_null(strstr(tarn_error_message(f->tm), ": out of memory: "));
    const tarn_manager_stats s = tarn_manager_get_stats(f->tm);
    assert_int_equal(s.created - s.released, s.active);
    assert_int_equal(s.retained, 0);
    assert_int_equal(s.root_handles, s.handles);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, s.active);
    check_pool(f);
}

/* ---- the loop */

typedef struct fault_case {
    tarn_pool_options options;
    bool fail_on;     /* every request after the n-th fails, too */
    bool at_the_pool; /* the n-th acquisition fails, not the n-th reserve */
} fault_case;

/* One run with the n-th request failing. Returns whether the failure was met; if not, n is more
 * than there are. */
static bool run_with_fault(const fault_case *c, uint64_t n, const double expected[N_RESULTS])
{
    check_fixture f = { .tm = NULL };
    double results[N_RESULTS] = { 0 };
    tarn_status status = TARN_EARG;
    check_system_begin(&f.system);
    tarn_pool_options options = c->options;
    options.system = &f.system.system;
    if (!c->at_the_pool) check_system_fail(&f.system, n, c->fail_on);

    f.pool = tarn_pool_create(&options, &status);
    if (f.pool == NULL) {
        check_status(status, TARN_ENOMEM);
        check_system_end(&f.system);
        return true;
    }
    check_status(status, TARN_OK);
    const tarn_manager_options manager_options = { .pool = f.pool, .seed = 1 };
    f.tm = tarn_manager_create(&manager_options);
    if (f.tm == NULL) {
        assert_true(f.system.failed > 0);
        check_pool(&f);
        assert_int_equal(tarn_pool_get_stats(f.pool).metadata,
                         f.system.live_bytes - tarn_pool_get_stats(f.pool).reserved);
        check_system_fail(&f.system, 0, false);
        f.tm = tarn_manager_create(&manager_options);
        assert_non_null(f.tm);
    }
    if (c->at_the_pool) check_fail_acquisition(f.pool, n);

    const bool done = work(f.tm, results);
    const bool met = f.system.failed > 0 || tarn_pool_get_stats(f.pool).failed_acquisitions > 0;
    if (!done) {
        assert_true(met);
        expect_out_of_memory(&f);
        tarn_clear_error(f.tm);
        check_system_fail(&f.system, 0, false);
        memset(results, 0, sizeof(results));
        assert_true(work(f.tm, results));
    }
    assert_memory_equal(results, expected, sizeof(results));
    check_end(&f);
    return met;
}

static void run_faults(const fault_case *c)
{
    enum { MANY = 1000 };
    check_fixture f;
    double expected[N_RESULTS] = { 0 };
    check_begin(&f, &c->options);
    f.tm->seed = 1;
    assert_true(work(f.tm, expected));
    check_end(&f);
    uint64_t n = 1;
    while (run_with_fault(c, n, expected)) {
        n++;
        assert_true(n < MANY);
    }
    assert_true(n > 8); /* the loop did meet requests */
}

static void each_reserve_fails_once(void **state)
{
    (void)state;
    run_faults(&(fault_case){ .fail_on = false });
}

static void each_reserve_fails_and_all_after_it(void **state)
{
    (void)state;
    run_faults(&(fault_case){ .fail_on = true });
}

static void each_reserve_fails_without_a_cache(void **state)
{
    (void)state;
    run_faults(&(fault_case){ .options = { .cache_limit = TARN_NONE } });
}

static void each_reserve_fails_after_an_initial_capacity(void **state)
{
    (void)state;
    run_faults(&(fault_case){
        .options = { .initial_capacity = 100000, .max_capacity = 4000000, .growth_factor = 1.0 } });
}

static void each_acquisition_fails_once(void **state)
{
    (void)state;
    run_faults(&(fault_case){ .at_the_pool = true });
}

static void each_acquisition_fails_without_a_cache(void **state)
{
    (void)state;
    run_faults(&(fault_case){ .options = { .cache_limit = TARN_NONE }, .at_the_pool = true });
}

/* ---- requests that the loop does not meet */

/* With memory for everything but records. */
static void records_fail_one_by_one(void **state)
{
    check_fixture *f = *state;
    const tarn_manager_stats before = tarn_manager_get_stats(f->tm);
    check_system_fail(&f->system, 1, true);
    assert_null(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(10)));
    expect_out_of_memory(f);
    tarn_clear_error(f->tm);
    assert_null(tarn__object_new(f->tm, 1000, NULL));
    check_status(tarn_error_code(f->tm), TARN_ENOMEM);
    tarn_clear_error(f->tm);
    check_system_fail(&f->system, 0, false);
    const tarn_manager_stats after = tarn_manager_get_stats(f->tm);
    assert_int_equal(after.active, before.active);
    assert_int_equal(after.handles, before.handles);

    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(10));
    assert_non_null(t);
    check_system_fail(&f->system, 1, true);
    assert_ptr_equal(tarn_set_name(t, "x"), t); /* the first name needs a record */
    check_status(tarn_error_code(f->tm), TARN_ENOMEM);
    assert_string_equal(tarn_name(t), "");
    tarn_clear_error(f->tm);
    check_system_fail(&f->system, 0, false);
    assert_string_equal(tarn_name(tarn_set_name(t, "x")), "x");
    check_pool(f);
}

/* More blocks than fit into the first chunks of records, with each growth
 * failing first. */
static void tables_of_records_grow_in_spite_of_failures(void **state)
{
    check_fixture *f = *state;
    enum { N = 3000 };
    static tarn_block blocks[N];
    size_t failures = 0;
    for (size_t i = 0; i < N; i++) {
        check_system_fail(&f->system, 1, true);
        tarn_status status = tarn_pool_acquire(f->pool, 64, TARN_ZEROED, &blocks[i]);
        check_system_fail(&f->system, 0, false);
        if (status != TARN_OK) {
            check_status(status, TARN_ENOMEM);
            assert_null(blocks[i].data);
            check_pool(f);
            failures++;
            check_status(tarn_pool_acquire(f->pool, 64, TARN_ZEROED, &blocks[i]), TARN_OK);
        }
        memset(blocks[i].data, (int)(i % 251), 64);
    }
    assert_true(failures >= 6);
    for (size_t i = 0; i < N; i++) {
        check_bytes(blocks[i].data, (int)(i % 251), 64);
        check_status(tarn_pool_release(f->pool, blocks[i]), TARN_OK);
    }
}

/* A manager with a pool of its own, on the operating system. */
static void the_default_system_serves_all_sizes(void **state)
{
    (void)state;
    double results[N_RESULTS] = { 0 }, again[N_RESULTS] = { 0 };
    tarn_manager *tm = tarn_manager_create(NULL);
    assert_non_null(tm);
    assert_true(work(tm, results));
    assert_true(tarn_pool_trim(tarn_manager_pool(tm), 0) > 0 ||
                !check_is_plain(tarn_manager_pool(tm)));
    assert_true(work(tm, again));
    assert_memory_equal(results, again, sizeof(results));
    check_status(tarn_pool_check(tarn_manager_pool(tm)), TARN_OK);
    assert_null(tarn_zeros(tm, TARN_U8, TARN_SHAPE(PTRDIFF_MAX - 8192)));
    check_status(tarn_error_code(tm), TARN_ENOMEM);
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

int main(void)
{
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reserve_fails_once),
        cmocka_unit_test(each_reserve_fails_and_all_after_it),
        cmocka_unit_test(each_reserve_fails_without_a_cache),
        cmocka_unit_test(each_reserve_fails_after_an_initial_capacity),
        cmocka_unit_test(each_acquisition_fails_once),
        cmocka_unit_test(each_acquisition_fails_without_a_cache),
        WITH_MANAGER(records_fail_one_by_one),
        WITH_MANAGER(tables_of_records_grow_in_spite_of_failures),
        cmocka_unit_test(the_default_system_serves_all_sizes),
    };
    return cmocka_run_group_tests_name("faults_core", tests, NULL, NULL);
}
