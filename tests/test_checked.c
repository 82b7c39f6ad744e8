/* SPDX-License-Identifier: MIT
 * test_checked.c - full checking: patterns, red zones, quarantine, handles that are never reused,
 * and what is told of each mistake. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "core/checkers.h"

enum { ZONE_BYTES = 64, MIB = 1024 * 1024 };

/* ---- a fixture that remembers what it was told */

typedef struct checked {
    check_fixture f;
    char told[8][512];
    size_t n_told;
} checked;

static void remember(void *context, const char *message)
{
    checked *c = context;
    if (c->n_told < 8) (void)snprintf(c->told[c->n_told], sizeof(c->told[0]), "%s", message);
    c->n_told++;
}

static int setup(void **state)
{
    checked *c = calloc(1, sizeof(*c));
    if (c == NULL) return -1;
    check_begin(&c->f, &(tarn_pool_options){
                           .checking = TARN_CHECK_FULL, .on_mistake = remember, .context = c });
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    checked *c = *state;
    check_end(&c->f);
    free(c);
    return 0;
}

/* What was told last, and nothing but that since the last call. */
static void expect_told(checked *c, const char *part)
{
    if (c->n_told != 1 || strstr(c->told[0], part) == NULL)
        fail_msg("told %zu times, first \"%s\", not \"%s\"", c->n_told, c->told[0], part);
    c->n_told = 0;
}

static tarn_block acquire(checked *c, size_t bytes, tarn_fill fill)
{
    tarn_block block;
    check_status(tarn_pool_acquire(c->f.pool, bytes, fill, &block), TARN_OK);
    return block;
}

static uint64_t damaged(const checked *c) { return tarn_pool_get_stats(c->f.pool).damaged_blocks; }

/* Makes a mistake: sanitizers and Valgrind look away. */
static void write_forbidden(void *data, ptrdiff_t place, int value)
{
    unsigned char *byte = (unsigned char *)data + place;
    tarn__allow_defined(byte, 1);
    *(volatile unsigned char *)byte = (unsigned char)value;
}

static unsigned char read_forbidden(void *data, ptrdiff_t place)
{
    unsigned char *byte = (unsigned char *)data + place;
    tarn__allow_defined(byte, 1);
    return *(volatile unsigned char *)byte;
}

/* ---- patterns */

static void fresh_memory_reads_as_nan(void **state)
{
    checked *c = *state;
    for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3 + 1) {
        const tarn_block block = acquire(c, bytes, TARN_UNINITIALIZED);
        assert_int_equal((uintptr_t)block.data % 64, 0);
        tarn__allow_defined(block.data, bytes);
        check_bytes(block.data, 0xff, bytes);
        check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    }
    tarn_tensor *f32 = tarn_empty(c->f.tm, TARN_F32, TARN_SHAPE(5));
    tarn_tensor *f64 = tarn_empty(c->f.tm, TARN_F64, TARN_SHAPE(5));
    float x[5];
    double y[5];
    memcpy(x, tarn_data(f32), sizeof(x));
    memcpy(y, tarn_data(f64), sizeof(y));
    tarn__allow_defined(x, sizeof(x));
    tarn__allow_defined(y, sizeof(y));
    for (int i = 0; i < 5; i++) assert_true(isnan(x[i]) && isnan(y[i]));
}

static void zeroed_memory_reads_as_zero(void **state)
{
    checked *c = *state;
    for (int round = 0; round < 3; round++) {
        const tarn_block block = acquire(c, 1000, TARN_ZEROED);
        check_bytes(block.data, 0, 1000);
        memset(block.data, 0x5a, 1000);
        check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
        check_status(tarn_pool_check(c->f.pool), TARN_OK);
    }
    assert_int_equal(c->n_told, 0);
}

static void released_memory_is_overwritten(void **state)
{
    checked *c = *state;
    const tarn_block block = acquire(c, 300, TARN_UNINITIALIZED);
    memset(block.data, 1, 300);
    check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    for (ptrdiff_t i = 0; i < 300; i++) assert_int_equal(read_forbidden(block.data, i), 0xfd);
}

/* ---- red zones */

static void red_zones_are_verified_on_release(void **state)
{
    checked *c = *state;
    static const struct {
        size_t bytes;
        ptrdiff_t place;
        const char *told;
    } cases[] = {
        { 100, 100, "100 bytes, was written 1 byte after its end" },
        { 100, 163, "100 bytes, was written 64 bytes after its end" },
        { 64, 64, "64 bytes, was written 1 byte after its end" },
        { 0, 0, "0 bytes, was written 1 byte after its end" },
        { 100, -1, "100 bytes, was written 1 byte before its begin" },
        { 100, -64, "100 bytes, was written 64 bytes before its begin" },
        { 40000, 40000, "40000 bytes, was written 1 byte after its end" },
        { 3 * MIB, 3 * MIB + 63, "bytes, was written 64 bytes after its end" },
        { 3 * MIB, -1, "bytes, was written 1 byte before its begin" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const tarn_block block = acquire(c, cases[i].bytes, TARN_UNINITIALIZED);
        const uint64_t before = damaged(c);
        write_forbidden(block.data, cases[i].place, 7);
        check_status(tarn_pool_release(c->f.pool, block), TARN_ECORRUPT);
        expect_told(c, cases[i].told);
        assert_int_equal(strncmp(c->told[0], cases[i].place < 0 ? "underrun: " : "overrun: ", 9),
                         0);
        assert_int_equal(damaged(c), before + 1);
        /* It was released all the same. */
        check_status(tarn_pool_release(c->f.pool, block), TARN_ESTATE);
        expect_told(c, "was released before");
        assert_int_equal(tarn_pool_get_stats(c->f.pool).live_blocks, 0);
        check_status(tarn_pool_check(c->f.pool), TARN_OK);
    }
}

static void both_ends_are_told(void **state)
{
    checked *c = *state;
    const tarn_block block = acquire(c, 10, TARN_ZEROED);
    write_forbidden(block.data, -3, 0);
    write_forbidden(block.data, 12, 0);
    check_status(tarn_pool_release(c->f.pool, block), TARN_ECORRUPT);
    assert_int_equal(c->n_told, 2);
    assert_non_null(strstr(c->told[0], "3 bytes before its begin"));
    assert_non_null(strstr(c->told[1], "3 bytes after its end"));
    assert_int_equal(damaged(c), 1);
}

static void red_zones_are_verified_by_check(void **state)
{
    checked *c = *state;
    const tarn_block other = acquire(c, 100, TARN_ZEROED), block = acquire(c, 100, TARN_ZEROED);
    check_status(tarn_pool_check(c->f.pool), TARN_OK);
    write_forbidden(block.data, 127, 7);
    check_status(tarn_pool_check(c->f.pool), TARN_ECORRUPT);
    expect_told(c, "was written 28 bytes after its end");
    write_forbidden(block.data, 127, 0xfb); /* as if nothing had been */
    check_status(tarn_pool_check(c->f.pool), TARN_OK);
    assert_int_equal(c->n_told, 0);
    check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    check_status(tarn_pool_release(c->f.pool, other), TARN_OK);
}

/* ---- quarantine */

static void quarantine_delays_reuse(void **state)
{
    checked *c = *state;
    enum { BYTES = 1 << 20, ROUNDS = 40 };
    unsigned char *first = NULL;
    int reused_in = 0;
    for (int i = 0; i < ROUNDS && reused_in == 0; i++) {
        const tarn_block block = acquire(c, BYTES, TARN_UNINITIALIZED);
        if (first == NULL) first = block.data;
        else if (block.data == (void *)first) reused_in = i;
        check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    }
    /* 16 MiB wait, in blocks of a little more than one. */
    assert_in_range(reused_in, 15, 17);
    const tarn_pool_stats s = tarn_pool_get_stats(c->f.pool);
    assert_true(s.pool_allocations > 0 && s.reserved < (size_t)18 * MIB);
    check_pool(&c->f);
}

static void late_writes_are_found(void **state)
{
    checked *c = *state;
    const tarn_block block = acquire(c, 100, TARN_UNINITIALIZED);
    check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    check_status(tarn_pool_check(c->f.pool), TARN_OK);
    write_forbidden(block.data, 10, 7);
    check_status(tarn_pool_check(c->f.pool), TARN_ECORRUPT);
    expect_told(c, "was written at byte 10 after it was released");
    assert_int_equal(damaged(c), 1);
    (void)tarn_pool_trim(c->f.pool, 0); /* ends the wait, which tells as well */
    expect_told(c, "use after release: block");
    assert_int_equal(damaged(c), 2);
    check_status(tarn_pool_check(c->f.pool), TARN_OK); /* its memory is gone */
}

/* Also once the block lies in its bucket, when it is handed out again. */
static void later_writes_are_found_on_reuse(void **state)
{
    checked *c = *state;
    const tarn_block kept = acquire(c, 100, TARN_UNINITIALIZED); /* keeps the region */
    const tarn_block block = acquire(c, 100, TARN_UNINITIALIZED);
    check_status(tarn_pool_release(c->f.pool, block), TARN_OK);
    (void)tarn_pool_trim(c->f.pool, 0);
    assert_int_equal(c->n_told, 0);
    write_forbidden(block.data, -64, 7);
    const tarn_block again = acquire(c, 100, TARN_UNINITIALIZED);
    assert_ptr_equal(again.data, block.data);
    expect_told(c, "was written at byte -64 after it was released");
    assert_int_equal(damaged(c), 1);
    check_status(tarn_pool_release(c->f.pool, again), TARN_OK);
    check_status(tarn_pool_release(c->f.pool, kept), TARN_OK);
}

/* What waits is used before the cap refuses. */
static void the_cap_ends_the_wait(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(
        &f, &(tarn_pool_options){ .checking = TARN_CHECK_FULL, .max_capacity = (size_t)3 * MIB });
    for (int i = 0; i < 20; i++) {
        tarn_block block;
        check_status(tarn_pool_acquire(f.pool, MIB, TARN_UNINITIALIZED, &block), TARN_OK);
        check_status(tarn_pool_release(f.pool, block), TARN_OK);
    }
    check_pool(&f);
    check_end(&f);
}

/* ---- messages */

static void messages_carry_the_tag(void **state)
{
    checked *c = *state;
    tarn_manager *tm = c->f.tm;
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 3, 5);
    {
        TARN_SCOPE(tm);
        tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3));
        tarn_tensor *y = tarn_relu(tarn_linear_forward(&l1, x));
        write_forbidden(tarn_data_mut(y), 40, 7);
    }
    expect_told(c, "overrun: block");
    assert_non_null(strstr(c->told[0], "by relu"));
    assert_non_null(strstr(c->told[0], "40 bytes, was written 1 byte after its end"));
    check_error_part(tm, TARN_ECORRUPT, c->told[0]); /* the manager holds it, too */
    write_forbidden(tarn_data_mut(l1.weight), -1, 7);
    check_status(tarn_pool_check(c->f.pool), TARN_ECORRUPT);
    expect_told(c, "underrun: block");
    assert_non_null(strstr(c->told[0], "of l1"));
    assert_non_null(strstr(c->told[0], "(parameter)"));
    write_forbidden(tarn_data_mut(l1.weight), -1, 0xfb);
    tarn_clear_error(tm);
}

static void leaks_are_told(void **state)
{
    checked *c = *state;
    tarn_pool *pool = tarn_pool_create(
        &(tarn_pool_options){ .checking = TARN_CHECK_FULL, .on_mistake = remember, .context = c },
        NULL);
    tarn_block block;
    check_status(tarn_pool_acquire(pool, 100, TARN_ZEROED, &block), TARN_OK);
    check_status(tarn_pool_destroy(pool), TARN_ESTATE);
    expect_told(c, "was never released");
    check_status(tarn_pool_release(pool, block), TARN_OK);
    check_status(tarn_pool_destroy(pool), TARN_OK);
    assert_int_equal(c->n_told, 0);
}

/* ---- handles */

static void handles_are_never_reused(void **state)
{
    checked *c = *state;
    tarn_manager *tm = c->f.tm;
    enum { N = 200 };
    tarn_tensor *ended[N];
    for (int i = 0; i < N; i++) {
        TARN_SCOPE(tm);
        ended[i] = tarn_ones(tm, TARN_F32, TARN_SHAPE(2));
        for (int j = 0; j < i; j++) assert_ptr_not_equal(ended[i], ended[j]);
    }
    check_no_error(tm);
    for (int i = 0; i < N; i++) {
        assert_null(tarn_data(ended[i]));
        check_error_part(tm, TARN_ESTALE, "ended with its scope");
        assert_int_equal(tarn_numel(ended[i]), 0);
    }
    tarn_tensor *t = tarn_ones(tm, TARN_F32, TARN_SHAPE(2));
    assert_null(tarn_add(t, ended[0]));
    check_error_part(tm, TARN_ESTALE, "ended with its scope");
    tarn_release(t);
    assert_true(isnan(tarn_item(t)));
    check_error_part(tm, TARN_ESTALE, "tarn_release");
    assert_int_equal(tarn_manager_get_stats(tm).handles, 0);
}

/* ---- the same results */

static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };

/* The weights after `steps` steps on the exclusive or, as a digest. */
static uint64_t train(const tarn_pool_options *options, int steps)
{
    check_fixture f;
    check_begin(&f, options);
    tarn_tensor *x = tarn_from_array(f.tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(f.tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    tarn_module *net = tarn_module_create(f.tm);
    tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });
    for (int step = 0; step < steps; step++) {
        TARN_SCOPE(f.tm);
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&l1, x));
        tarn_backward(tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y));
        tarn_optimizer_step(opt);
    }
    const uint64_t digest = tarn_module_digest(net);
    check_end(&f);
    return digest;
}

static void training_gives_the_same_weights(void **state)
{
    (void)state;
    const int steps = (int)check_scaled(500);
    const uint64_t pooled = train(NULL, steps);
    assert_true(train(&(tarn_pool_options){ .checking = TARN_CHECK_FULL }, steps) == pooled);
    assert_true(train(&(tarn_pool_options){ .mode = TARN_PASS_THROUGH }, steps) == pooled);
    assert_true(
        train(&(tarn_pool_options){ .mode = TARN_PASS_THROUGH, .checking = TARN_CHECK_FULL },
              steps) == pooled);
    assert_true(train(&(tarn_pool_options){ .wipe_on_release = true }, steps) == pooled);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fresh_memory_reads_as_nan),
        TEST(zeroed_memory_reads_as_zero),
        TEST(released_memory_is_overwritten),
        TEST(red_zones_are_verified_on_release),
        TEST(both_ends_are_told),
        TEST(red_zones_are_verified_by_check),
        TEST(quarantine_delays_reuse),
        TEST(late_writes_are_found),
        TEST(later_writes_are_found_on_reuse),
        cmocka_unit_test(the_cap_ends_the_wait),
        TEST(messages_carry_the_tag),
        TEST(leaks_are_told),
        TEST(handles_are_never_reused),
        cmocka_unit_test(training_gives_the_same_weights),
    };
    return cmocka_run_group_tests_name("checked", tests, NULL, NULL);
}
