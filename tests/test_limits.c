/* SPDX-License-Identifier: MIT
 * test_limits.c - what keeps a pool within bounds: the cap and the ladder of attempts below it, the
 * limit of what is cached, decay by steps, the window of reuse, and the options that shape regions
 * and blocks. */
#define _POSIX_C_SOURCE 200809L /* fork, waitpid */

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static tarn_pool_stats stats_of(const check_fixture *f) { return tarn_pool_get_stats(f->pool); }

static tarn_block take(check_fixture *f, size_t bytes)
{
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block), TARN_OK);
    assert_non_null(block.data);
    return block;
}

static void give(check_fixture *f, tarn_block block)
{
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
}

static bool can_take(check_fixture *f, size_t bytes)
{
    tarn_block block;
    const tarn_status status = tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block);
    assert_true(status == TARN_OK || status == TARN_ENOMEM);
    if (status == TARN_OK) give(f, block);
    return status == TARN_OK;
}

static void skip_under_valgrind(void)
{
    if (check_scaled(1000) == 20) skip();
}

/* ---- the ladder */

static void what_is_cached_makes_way(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = MIB });
    give(&f, take(&f, 600 * KIB));
    assert_int_equal(stats_of(&f).cached, 600 * KIB);
    const tarn_block block = take(&f, 700 * KIB);
    const tarn_pool_stats s = stats_of(&f);
    assert_int_equal(s.retries, 1);
    assert_int_equal(s.trims, 1);
    assert_int_equal(s.trimmed_bytes, 600 * KIB);
    assert_int_equal(s.failed_acquisitions, 0);
    assert_int_equal(s.decayed_bytes, 0);
    give(&f, block);
    check_pool(&f);
    check_end(&f);
}

/* What another manager keeps makes way, too. */
static void what_others_cache_makes_way(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .max_capacity = MIB });
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool });
    tarn_release(tarn_empty(other, TARN_U8, TARN_SHAPE(600 * KIB)));
    tarn_tensor *t = tarn_empty(f.tm, TARN_U8, TARN_SHAPE(700 * KIB));
    assert_non_null(t);
    tarn_release(t);
    assert_int_equal(tarn_manager_destroy(other), 0);
    check_end(&f);
}

/* What a callback is told and does. */
typedef struct helper {
    tarn_pool *pool;
    size_t bytes;
    int calls, yes; /* how often it says yes */
    tarn_block block;
    tarn_tensor *tensor;
    size_t cap;
    bool wrong;
} helper;

static bool help(void *context, tarn_pool *pool, size_t bytes, int attempt)
{
    helper *h = context;
    h->wrong = h->wrong || pool != h->pool || bytes != h->bytes || attempt != h->calls + 1;
    h->calls++;
    if (h->block.data != NULL) {
        h->wrong = h->wrong || tarn_pool_release(pool, h->block) != TARN_OK;
        h->block = (tarn_block){ 0 };
    }
    if (h->tensor != NULL) tarn_release(h->tensor);
    h->tensor = NULL;
    if (h->cap != 0) (void)tarn_pool_set_max_capacity(pool, h->cap);
    h->cap = 0;
    h->wrong = h->wrong || tarn_pool_get_stats(pool).reserved > 2 * (size_t)MIB;
    return h->calls <= h->yes;
}

static void begin_helped(check_fixture *f, helper *h, size_t bytes)
{
    check_begin(
        f, &(tarn_pool_options){ .max_capacity = MIB, .on_out_of_memory = help, .context = h });
    h->pool = f->pool;
    h->bytes = bytes;
}

static void end_helped(check_fixture *f, const helper *h)
{
    assert_false(h->wrong);
    check_end(f);
}

static void a_callback_may_release_blocks(void **state)
{
    (void)state;
    check_fixture f;
    helper h = { .yes = 16 };
    begin_helped(&f, &h, 700 * KIB);
    h.block = take(&f, 600 * KIB);
    const tarn_block block = take(&f, 700 * KIB);
    assert_int_equal(h.calls, 1);
    assert_int_equal(stats_of(&f).failed_acquisitions, 0);
    assert_true(stats_of(&f).retries >= 2); /* after trimming and after the callback */
    give(&f, block);
    end_helped(&f, &h);
}

static void a_callback_may_release_tensors(void **state)
{
    (void)state;
    check_fixture f;
    helper h = { .yes = 16 };
    begin_helped(&f, &h, 700 * KIB);
    h.tensor = tarn_empty(f.tm, TARN_U8, TARN_SHAPE(600 * KIB));
    assert_non_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(700 * KIB)));
    assert_int_equal(h.calls, 1);
    end_helped(&f, &h);
}

static void a_callback_may_raise_the_cap(void **state)
{
    (void)state;
    check_fixture f;
    helper h = { .yes = 16, .cap = 2 * (size_t)MIB };
    begin_helped(&f, &h, 1500 * KIB);
    give(&f, take(&f, 1500 * KIB));
    assert_int_equal(h.calls, 1);
    assert_int_equal(tarn_pool_get_options(f.pool).max_capacity, 2 * MIB);
    end_helped(&f, &h);
}

static void a_callback_may_refuse(void **state)
{
    (void)state;
    check_fixture f;
    helper h = { .yes = 2 };
    begin_helped(&f, &h, 2 * (size_t)MIB);
    assert_false(can_take(&f, 2 * (size_t)MIB));
    assert_int_equal(h.calls, 3); /* twice yes, then no */
    assert_int_equal(stats_of(&f).failed_acquisitions, 1);
    assert_int_equal(stats_of(&f).live_blocks, 0);
    check_pool(&f);
    end_helped(&f, &h);
}

static void attempts_are_bounded(void **state)
{
    (void)state;
    check_fixture f;
    helper h = { .yes = 1000 };
    begin_helped(&f, &h, 2 * (size_t)MIB);
    assert_false(can_take(&f, 2 * (size_t)MIB));
    assert_int_equal(h.calls, 16);
    assert_int_equal(stats_of(&f).failed_acquisitions, 1);
    assert_true(stats_of(&f).retries >= 16);
    h.calls = 0;
    assert_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(2 * MIB)));
    assert_int_equal(h.calls, 16);
    check_error_part(f.tm, TARN_ENOMEM, "out of memory");
    end_helped(&f, &h);
}

/* The message gives what was tried, the limit, the figures, the five who hold most, the knob. */
static void the_message_tells_who_holds_what(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .max_capacity = 4 * (size_t)MIB });
    tarn_module *net = tarn_module_create(f.tm);
    (void)tarn_linear_create(net, "big", 100, 1000);
    (void)tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(50000));
    (void)tarn_ones(f.tm, TARN_F32, TARN_SHAPE(40000));
    (void)tarn_empty(f.tm, TARN_F32, TARN_SHAPE(30000));
    (void)tarn_eye(f.tm, TARN_F32, 160);
    (void)tarn_full(f.tm, TARN_F32, TARN_SHAPE(20000), 1);
    tarn_tensor *released = tarn_empty(f.tm, TARN_U8, TARN_SHAPE(500));
    tarn_release(released);
    assert_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(8 * MIB)));
    const tarn_pool_stats s = stats_of(&f);
    char figures[256];
    (void)snprintf(figures, sizeof(figures),
                   "out of memory: 8388608 bytes more are not to be had (max_capacity 4194304, "
                   "reserved %zu, in use %zu, cached %zu, largest free block %zu; held by "
                   "big weight parameter 400000, zeros data 200000, ones data 160000, "
                   "empty data 120000, eye data 102400); ",
                   s.reserved, s.in_use, s.cached, s.largest_free);
    assert_int_equal(s.largest_free, 512);
    if (strstr(tarn_error_message(f.tm), figures) == NULL)
        fail_msg("%s\nis not\n%s", tarn_error_message(f.tm), figures);
    check_error_part(f.tm, TARN_ENOMEM, "raise max_capacity");

    (void)tarn_pool_set_max_capacity(f.pool, 0);
    f.system.refuse_from = MIB;
    assert_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(8 * MIB)));
    assert_non_null(strstr(tarn_error_message(f.tm), "no cap"));
    check_error_part(f.tm, TARN_ENOMEM, "there is no more");

    check_fail_acquisition(f.pool, 1);
    assert_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(8)));
    check_error_part(f.tm, TARN_ENOMEM, "injected with tarn_pool_inject_faults");
    check_end(&f);
}

/* ---- the cap */

static void the_cap_can_be_changed(void **state)
{
    check_fixture *f = *state;
    assert_true(tarn_pool_set_max_capacity(f->pool, MIB) == TARN_UNLIMITED);
    assert_int_equal(tarn_pool_get_options(f->pool).max_capacity, MIB);
    assert_false(can_take(f, MIB + 1));
    const tarn_block block = take(f, 500 * KIB);
    assert_int_equal(tarn_pool_set_max_capacity(f->pool, 100 * KIB), MIB);
    assert_false(can_take(f, 64)); /* nothing more is reserved, */
    give(f, block);
    give(f, take(f, 500 * KIB)); /* but what is there stays */
    assert_int_equal(stats_of(f).reserved, 500 * KIB);
    assert_int_equal(tarn_pool_set_max_capacity(f->pool, TARN_UNLIMITED), 100 * KIB);
    assert_true(can_take(f, 3 * (size_t)MIB));
    assert_true(tarn_pool_set_max_capacity(f->pool, 0) == TARN_UNLIMITED);
    assert_int_equal(tarn_pool_set_max_capacity(NULL, 5), 0);
    check_pool(f);
}

/* Whatever is asked for, in any order, no more than the cap is ever reserved. */
static void no_sequence_exceeds_the_cap(void **state)
{
    (void)state;
    enum { N = 40 };
    const size_t cap = 3 * (size_t)MIB;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = cap });
    tarn_block held[N] = { { 0 } };
    uint64_t seed = check_seed();
    for (size_t k = 0; k < 2000 + check_scaled(20000); k++) {
        const size_t i = (size_t)(check_random(&seed) % N);
        give(&f, held[i]);
        const size_t bytes = (size_t)(check_random(&seed) >> (44 + check_random(&seed) % 20));
        (void)!tarn_pool_acquire(f.pool, bytes, TARN_UNINITIALIZED, &held[i]);
        if (f.system.live_bytes - stats_of(&f).metadata > cap) fail_msg("%zu calls", k);
    }
    assert_true(stats_of(&f).failed_acquisitions > 0 && stats_of(&f).retries > 0);
    assert_true(stats_of(&f).peak_reserved <= cap);
    for (size_t i = 0; i < N; i++) give(&f, held[i]);
    check_end(&f);
}

/* ---- what is cached */

static void the_cache_keeps_its_limit(void **state)
{
    (void)state;
    enum { N = 8 };
    static const size_t limits[] = { MIB, 100 * KIB, TARN_NONE, 3 * (size_t)MIB, 0 };
    for (size_t l = 0; limits[l] != 0; l++) {
        const size_t limit = limits[l] == TARN_NONE ? 0 : limits[l];
        check_fixture f;
        check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = limits[l] });
        tarn_block blocks[N];
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < N; i++) blocks[i] = take(&f, (300 + i) * KIB);
            for (size_t i = 0; i < N; i++) {
                give(&f, blocks[i]);
                assert_true(stats_of(&f).cached <= limit);
                check_pool(&f);
            }
        }
        assert_true(stats_of(&f).cached + 310 * KIB > limit || limit > 8 * 310 * KIB);
        assert_true(stats_of(&f).peak_cached <= limit);
        check_end(&f);
    }
}

static void by_default_the_cache_is_finite(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, NULL);
    const size_t allowed = 64 * (size_t)MIB;
    for (size_t mib = 1; mib <= 40; mib++) { /* every size once, for ever growing */
        tarn_release(tarn_empty(f.tm, TARN_U8, TARN_SHAPE((int64_t)(mib * MIB))));
        const tarn_pool_stats s = stats_of(&f);
        if (s.cached > allowed + s.peak_in_use) fail_msg("%zu MiB: %zu cached", mib, s.cached);
    }
    assert_true(stats_of(&f).trimmed_bytes > 500 * (uint64_t)MIB);
    check_pool(&f);
    check_end(&f);
}

static void growing_sizes_stay_in_bounds(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, NULL);
    for (size_t bytes = 1000; bytes < 200 * (size_t)MIB; bytes += bytes / 16 + 64) {
        const tarn_block a = take(&f, bytes), b = take(&f, bytes / 2);
        give(&f, a);
        give(&f, b);
        tarn_pool_step(f.pool);
        const tarn_pool_stats s = stats_of(&f);
        if (s.reserved > 64 * (size_t)MIB + s.peak_in_use)
            fail_msg("%zu bytes: %zu reserved", bytes, s.reserved);
    }
    check_pool(&f);
    check_end(&f);
}

static void neighbouring_sizes_settle(void **state)
{
    check_fixture *f = *state;
    static const int64_t batches[] = { 256, 255, 256, 257 };
    size_t most = 0;
    for (int64_t i = -1; i <= 1; i++)
        most += 2 * tarn_pool_block_capacity((size_t)(256 + i) * 784 * 4);
    for (int round = 0; round < 100; round++) {
        const int64_t n = batches[round % 4];
        const tarn_scope scope = tarn_scope_begin(f->tm);
        tarn_tensor *x = tarn_empty(f->tm, TARN_F32, TARN_SHAPE(n, 784));
        assert_non_null(tarn_empty(f->tm, TARN_F32, TARN_SHAPE(n, 784)));
        assert_non_null(x);
        tarn_scope_end(scope);
        assert_true(stats_of(f).reserved <= most);
        if (round == 3) tarn_pool_reset_peaks(f->pool);
    }
    const tarn_pool_stats s = stats_of(f);
    assert_true(s.misses <= 6);
    assert_int_equal(s.peak_reserved, s.reserved); /* since all were seen: not a byte more */
    check_pool(f);
}

/* Address space only: nothing is touched. */
static void a_huge_block_serves_no_small_request(void **state)
{
    check_fixture *f = *state;
    const size_t huge = check_scaled(4096) * MIB;
    give(f, take(f, huge));
    const tarn_block small = take(f, 10 * KIB);
    tarn_pool_stats s = stats_of(f);
    assert_true(s.in_use <= 12 * KIB);
    assert_true(s.reserved <= huge + MIB);
    give(f, take(f, huge)); /* and is still there */
    s = stats_of(f);
    assert_true(s.reserved <= huge + MIB);
    assert_int_equal(s.misses, 2);
    give(f, small);
    check_pool(f);
}

/* ---- the window of reuse */

/* Free blocks that are much too large are passed over, and that is counted, wherever they lie. */
static void much_too_large_blocks_are_counted_as_passed_over(void **state)
{
    check_fixture *f = *state;
    const tarn_block pin = take(f, 64); /* keeps the region of the small blocks */
    give(f, take(f, 4096));
    (void)tarn_pool_trim(f->pool, 0); /* from the cache into the bucket */
    assert_int_equal(stats_of(f).window_rejects, 0);
    const tarn_block small = take(f, 3000);
    assert_int_equal(stats_of(f).window_rejects, 1);
    give(f, take(f, 4000)); /* 4096 wastes less than an eighth: no reject */
    assert_int_equal(stats_of(f).window_rejects, 1);
    give(f, small);
    give(f, pin);
}

static void passing_over_in_a_cache_counts(void **state)
{
    check_fixture *f = *state;
    give(f, take(f, 4096));
    give(f, take(f, 3000));
    assert_int_equal(stats_of(f).window_rejects, 1);
}

static void passing_over_large_blocks_counts(void **state)
{
    check_fixture *f = *state;
    give(f, take(f, 4 * (size_t)MIB));
    give(f, take(f, 100 * KIB));
    assert_int_equal(stats_of(f).window_rejects, 1);
}

/* ---- decay */

/* Steps until nothing is reserved any more; `most` if that does not happen. */
static size_t steps_until_gone(const check_fixture *f, size_t most)
{
    size_t n = 0;
    while (n < most && stats_of(f).reserved > 0) {
        tarn_pool_step(f->pool);
        n++;
    }
    return n;
}

/* The step that ends first is the one in which the memory was used; then `decay` whole ones. */
static void idle_memory_goes_back_after_so_many_steps(void **state)
{
    (void)state;
    static const size_t decays[] = { 1, 2, 3, 5, 8, 9, 16, 20, 64, 100, 1000 };
    const size_t n_decays = check_scaled(1000) == 20 ? 6 : sizeof(decays) / sizeof(decays[0]);
    for (size_t i = 0; i < n_decays; i++) {
        for (size_t before = 0; before < 10; before++) {
            const size_t decay = decays[i], period = (decay + 7) / 8;
            check_fixture f;
            check_pool_begin(&f, &(tarn_pool_options){ .decay_steps = decay });
            for (size_t k = 0; k < before; k++) tarn_pool_step(f.pool);
            give(&f, take(&f, MIB));
            const size_t n = steps_until_gone(&f, 3 * decay + 20);
            if (decay <= 8 ? n != decay + 1 : n <= decay || n > decay + 2 * period)
                fail_msg("decay_steps %zu: after %zu", decay, n);
            const tarn_pool_stats s = stats_of(&f);
            assert_int_equal(s.decayed_bytes, MIB);
            assert_int_equal(s.trimmed_bytes, MIB);
            assert_int_equal(s.steps, before + n);
            check_end(&f);
        }
    }
}

static void what_is_used_does_not_decay(void **state)
{
    (void)state;
    enum { DECAY = 4 };
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .decay_steps = DECAY });
    give(&f, take(&f, 2 * (size_t)MIB));
    const tarn_block held = take(&f, 512 * KIB);
    for (int step = 0; step < 100; step++) {
        if (step % DECAY == 0) give(&f, take(&f, MIB));
        tarn_pool_step(f.pool);
        assert_int_equal(stats_of(&f).decayed_bytes, step < DECAY ? 0 : 2 * MIB);
    }
    assert_int_equal(stats_of(&f).reserved, MIB + 512 * KIB);
    give(&f, held);
    check_end(&f);
}

static void by_default_little_memory_stays(void **state)
{
    (void)state;
    enum { N = 10 };
    check_fixture f;
    check_pool_begin(&f, NULL);
    tarn_block blocks[N];
    for (size_t i = 0; i < N; i++) blocks[i] = take(&f, 10 * (size_t)MIB);
    for (size_t i = 0; i < N; i++) give(&f, blocks[i]);
    for (int step = 0; step < 64; step++) tarn_pool_step(f.pool);
    assert_int_equal(stats_of(&f).reserved, 100 * MIB);
    for (int step = 0; step < 200; step++) tarn_pool_step(f.pool);
    assert_int_equal(stats_of(&f).reserved, 60 * MIB); /* at most 64 MiB, in whole blocks */
    assert_int_equal(stats_of(&f).decayed_bytes, 40 * MIB);
    check_end(&f);
}

static void decay_can_be_turned_off(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .decay_steps = TARN_UNLIMITED });
    give(&f, take(&f, 100 * (size_t)MIB));
    assert_int_equal(steps_until_gone(&f, 1000), 1000);
    assert_int_equal(stats_of(&f).steps, 1000);
    assert_int_equal(stats_of(&f).decayed_bytes, 0);
    check_end(&f);
}

/* Steps of an optimiser count, and what the training uses stays. */
static void optimizer_steps_let_memory_decay(void **state)
{
    (void)state;
    enum { DECAY = 5 };
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .decay_steps = DECAY });
    tarn_module *net = tarn_module_create(f.tm);
    const tarn_linear l = tarn_linear_create(net, "l", 300, 200);
    tarn_optimizer *opt = tarn_sgd_create(net, NULL);
    tarn_tensor *x = tarn_ones(f.tm, TARN_F32, TARN_SHAPE(64, 300));
    tarn_tensor *y = tarn_ones(f.tm, TARN_F32, TARN_SHAPE(64, 200));
    uint64_t misses = 0;
    for (int step = 1; step <= 40; step++) {
        if (step == 20) tarn_release(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(MIB)));
        const tarn_scope scope = tarn_scope_begin(f.tm);
        check_status(tarn_backward(tarn_mse(tarn_linear_forward(&l, x), y)), TARN_OK);
        check_status(tarn_optimizer_step(opt), TARN_OK);
        tarn_scope_end(scope);
        if (step == 19) misses = stats_of(&f).misses;
        assert_int_equal(stats_of(&f).decayed_bytes, step < 20 + DECAY ? 0 : MIB);
    }
    assert_int_equal(stats_of(&f).misses, misses + 1);
    assert_int_equal(stats_of(&f).steps, 40);
    check_end(&f);
}

/* The steps are the pool's: what a manager keeps decays, whoever ends them. */
static void steps_of_the_pool_let_managers_memory_decay(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .decay_steps = 4 });
    tarn_release(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(MIB)));
    const size_t n = steps_until_gone(&f, 40);
    if (n < 4 || n > 6) fail_msg("decay_steps 4: after %zu", n);
    check_end(&f);
}

static void steps_of_one_manager_let_anothers_memory_decay(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .decay_steps = 4 });
    tarn_manager *idle = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool });
    tarn_release(tarn_empty(idle, TARN_U8, TARN_SHAPE(MIB)));
    tarn_module *net = tarn_module_create(f.tm);
    tarn_tensor *w = tarn_module_add_parameter(net, "w", TARN_F32, TARN_SCALAR, NULL);
    tarn_optimizer *opt = tarn_sgd_create(net, NULL);
    for (int step = 0; step < 40; step++) {
        const tarn_scope scope = tarn_scope_begin(f.tm);
        check_status(tarn_backward(tarn_square(w)), TARN_OK);
        check_status(tarn_optimizer_step(opt), TARN_OK);
        tarn_scope_end(scope);
    }
    assert_int_equal(stats_of(&f).decayed_bytes, MIB);
    assert_int_equal(tarn_manager_destroy(idle), 0);
    check_end(&f);
}

/* Enormous numbers of steps are as good as never; a crash would end the process. */
static void no_number_of_steps_crashes(void **state)
{
    (void)state;
    skip_under_valgrind();
    static const size_t decays[] = { SIZE_MAX - 2,   SIZE_MAX - 6,           SIZE_MAX - 7,
                                     SIZE_MAX - 8,   SIZE_MAX / 9 * 8 + 100, SIZE_MAX / 2,
                                     (size_t)1 << 40 };
    for (size_t i = 0; i < sizeof(decays) / sizeof(decays[0]); i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)signal(SIGFPE, SIG_DFL); /* not cmocka's */
            (void)signal(SIGSEGV, SIG_DFL);
            tarn_pool *pool =
                tarn_pool_create(&(tarn_pool_options){ .decay_steps = decays[i] }, NULL);
            for (int step = 0; step < 20; step++) tarn_pool_step(pool);
            _exit(tarn_pool_check(pool) == TARN_OK ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("decay_steps %zu ends with status %d", decays[i], status);
    }
}

/* ---- alignment */

static void blocks_are_aligned_as_asked(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 100, 1000, 5000, 40000, 300000, 3000000 };
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    for (size_t alignment = 64; alignment <= 2 * (size_t)MIB; alignment *= 2) {
        check_fixture f;
        check_begin(&f, &(tarn_pool_options){ .alignment = alignment });
        for (int round = 0; round < 2; round++) {
            tarn_block blocks[N];
            size_t requested = 0, least = 0;
            for (size_t i = 0; i < N; i++) {
                blocks[i] = take(&f, sizes[i]);
                assert_int_equal((uintptr_t)blocks[i].data % alignment, 0);
                memset(blocks[i].data, 0x11, sizes[i] < 5000 ? sizes[i] : 5000);
                requested += sizes[i];
                const size_t whole = (sizes[i] + alignment - 1) / alignment * alignment;
                least += whole > 0 ? whole : alignment;
            }
            tarn_tensor *t = tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(7));
            assert_int_equal((uintptr_t)tarn_data(t) % alignment, 0);
            const tarn_pool_stats s = stats_of(&f);
            assert_int_equal(s.current_usage, requested + 28);
            assert_int_equal(s.in_use % alignment, 0);
            assert_true(s.in_use >= least + alignment);
            check_pool(&f);
            for (size_t i = 0; i < N; i++) give(&f, blocks[i]);
            tarn_release(t);
            if (round == 1) assert_int_equal(stats_of(&f).misses, N + 1);
            check_pool(&f);
        }
        (void)tarn_pool_trim(f.pool, 0);
        assert_int_equal(stats_of(&f).reserved, 0);
        check_end(&f);
    }
}

/* ---- huge pages */

static struct advice {
    size_t n, wrong, bytes;
    const check_system *system;
    tarn_huge_pages policy;
} advice;

static void note_advice(void *context, void *memory, size_t bytes, tarn_huge_pages policy)
{
    const check_system *s = context;
    advice.n++;
    advice.wrong +=
        !check_system_holds(s, memory, bytes) || s != advice.system || policy != advice.policy;
    advice.bytes += bytes;
}

static void advice_reaches_the_system(void **state)
{
    (void)state;
    for (int policy = TARN_HUGE_PAGES_AUTO; policy <= TARN_HUGE_PAGES_NEVER; policy++) {
        check_fixture f = { .tm = NULL };
        check_system_begin(&f.system);
        f.system.system.advise = note_advice;
        advice = (struct advice){ .system = &f.system, .policy = (tarn_huge_pages)policy };
        f.pool = tarn_pool_create(&(tarn_pool_options){ .huge_pages = (tarn_huge_pages)policy,
                                                        .system = &f.system.system },
                                  NULL);
        assert_non_null(f.pool);
        give(&f, take(&f, 100));
        give(&f, take(&f, MIB));
        assert_int_equal(advice.n, 0); /* below 2 MiB there is nothing to say */
        give(&f, take(&f, 2 * (size_t)MIB));
        give(&f, take(&f, 5 * (size_t)MIB));
        give(&f, take(&f, 5 * (size_t)MIB));
        assert_int_equal(advice.wrong, 0);
        if (policy != TARN_HUGE_PAGES_AUTO) {
            assert_int_equal(advice.n, 2);
            assert_int_equal(advice.bytes, 7 * MIB);
        }
        check_end(&f);
    }
}

/* ---- zeros */

static void zeros_are_written_when_the_policy_says(void **state)
{
    (void)state;
    for (int policy = TARN_ZERO_ON_DEMAND; policy <= TARN_ZERO_AT_ONCE; policy++) {
        check_fixture f;
        check_begin(&f, &(tarn_pool_options){ .zero_policy = (tarn_zero_policy)policy });
        const bool at_once = policy == TARN_ZERO_AT_ONCE;
        tarn_release(tarn_ones(f.tm, TARN_F32, TARN_SHAPE(100, 100)));
        const uint64_t before = stats_of(&f).zeroed_bytes;
        tarn_tensor *t = tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(100, 100));
        assert_int_equal(stats_of(&f).zeroed_bytes - before, at_once ? 40000 : 0);
        check_bytes(tarn_data(t), 0, 40000);
        assert_int_equal(stats_of(&f).zeroed_bytes - before, 40000);
        tarn_release(t);
        check_end(&f);
    }
}

static void (*release_before)(void *context, void *memory, size_t bytes);
static size_t traces;

/* Looks for what blocks were filled with. */
static void look_and_release(void *context, void *memory, size_t bytes)
{
    const unsigned char *b = memory;
    size_t run = 0;
    for (size_t i = 0; i < bytes; i++) {
        run = b[i] == 0x5c ? run + 1 : 0;
        traces += run == 64;
    }
    release_before(context, memory, bytes);
}

static void wiping_leaves_no_trace(void **state)
{
    (void)state;
    skip_under_valgrind(); /* what goes back counts as not initialised there */
    static const size_t sizes[] = { 100, 1000, 30000, 40000, 200000, 1500000 };
    for (int wipes = 0; wipes < 2; wipes++) {
        check_fixture f = { .tm = NULL };
        check_system_begin(&f.system);
        release_before = f.system.system.release;
        f.system.system.release = look_and_release;
        traces = 0;
        f.pool = tarn_pool_create(
            &(tarn_pool_options){ .wipe_on_release = wipes == 1, .system = &f.system.system },
            NULL);
        assert_non_null(f.pool);
        f.tm = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool });
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const tarn_block block = take(&f, sizes[i]);
            memset(block.data, 0x5c, sizes[i]);
            give(&f, block);
            const tarn_block smaller = take(&f, sizes[i] - sizes[i] / 20);
            memset(smaller.data, 0x5c, smaller.bytes);
            give(&f, smaller);
            tarn_release(tarn_full(f.tm, TARN_U8, TARN_SHAPE((int64_t)sizes[i]), 0x5c));
        }
        check_pool(&f);
        check_end(&f);
        assert_int_equal(traces == 0, wipes);
    }
}

/* ---- regions */

static void regions_grow_by_the_factor_up_to_16_mib(void **state)
{
    (void)state;
    static const double factors[] = { 1.0, 2.0, 4.0, 1e9 };
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        enum { MOST = 2000 };
        static tarn_block blocks[MOST];
        check_fixture f;
        check_pool_begin(&f, &(tarn_pool_options){ .growth_factor = factors[i] });
        double next = 256.0 * KIB;
        size_t n = 0, reserved = 0;
        while (n < MOST && reserved < 40 * (size_t)MIB) {
            blocks[n++] = take(&f, 32 * KIB);
            const size_t grown = stats_of(&f).reserved - reserved;
            if (grown == 0) continue;
            if ((double)grown != next) fail_msg("%g: %zu, not %g", factors[i], grown, next);
            next = next * factors[i] > 16.0 * MIB ? 16.0 * MIB : next * factors[i];
            reserved += grown;
        }
        while (n > 0) give(&f, blocks[--n]);
        check_pool(&f);
        check_end(&f);
    }
}

static void initial_capacity_serves_every_size(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(
        &f, &(tarn_pool_options){ .initial_capacity = 4 * (size_t)MIB, .cache_limit = TARN_NONE });
    assert_int_equal(stats_of(&f).reserved, 4 * MIB);
    assert_int_equal(stats_of(&f).cached, 4 * MIB);
    static const size_t sizes[] = { 1, 1000, 40000, 500000, 1000000, 2000000 };
    tarn_block blocks[6];
    const uint64_t regions = stats_of(&f).total_allocated;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 6; i++) blocks[i] = take(&f, sizes[i]);
        for (size_t i = 0; i < 6; i++) give(&f, blocks[i]);
        assert_int_equal(stats_of(&f).total_allocated, regions);
        assert_int_equal(stats_of(&f).reserved, 4 * MIB); /* the limit counts beyond it */
    }
    give(&f, take(&f, 3 * (size_t)MIB)); /* no room: a region of its own, not cached */
    assert_true(stats_of(&f).total_allocated >= regions + 3 * MIB);
    assert_true(stats_of(&f).cached <= 4 * (size_t)MIB);
    check_pool(&f);
    check_end(&f);
}

/* ---- injected failures */

static void the_nth_acquisition_fails(void **state)
{
    check_fixture *f = *state;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            const tarn_faults faults = { .nth = nth, .for_ever = for_ever == 1 };
            check_status(tarn_pool_inject_faults(f->pool, &faults), TARN_OK);
            for (uint64_t i = 1; i <= 8; i++)
                assert_int_equal(can_take(f, 100), i < nth || (i > nth && for_ever == 0));
            check_status(tarn_pool_inject_faults(f->pool, NULL), TARN_OK);
            assert_true(can_take(f, 100));
            check_pool(f);
        }
    }
}

static uint64_t faults_of(check_fixture *f, double probability, uint64_t seed, size_t n,
                          uint64_t *pattern)
{
    uint64_t failed = 0;
    *pattern = 0;
    const tarn_faults faults = { .probability = probability, .seed = seed };
    check_status(tarn_pool_inject_faults(f->pool, &faults), TARN_OK);
    for (size_t i = 0; i < n; i++) {
        const bool fails = !can_take(f, 1000);
        failed += fails;
        *pattern = (*pattern ^ fails) * UINT64_C(0x100000001b3) + 1;
    }
    check_status(tarn_pool_inject_faults(f->pool, NULL), TARN_OK);
    return failed;
}

static void failures_by_chance_can_be_repeated(void **state)
{
    check_fixture *f = *state;
    uint64_t first, again, other;
    const uint64_t failed = faults_of(f, 0.25, 7, 2000, &first);
    assert_true(failed > 400 && failed < 600);
    assert_int_equal(faults_of(f, 0.25, 7, 2000, &again), failed);
    (void)faults_of(f, 0.25, 8, 2000, &other);
    assert_true(first == again && first != other);
    assert_int_equal(faults_of(f, 0, 7, 100, &first), 0);
    assert_int_equal(faults_of(f, 1, 7, 100, &first), 100);
    static const double none[] = { -0.1, 1.1, NAN, INFINITY, -INFINITY };
    for (size_t i = 0; i < 5; i++)
        check_status(tarn_pool_inject_faults(f->pool, &(tarn_faults){ .probability = none[i] }),
                     TARN_EARG);
    check_status(tarn_pool_inject_faults(NULL, NULL), TARN_EARG);
    check_pool(f);
}

/* Managers that come after the arming fail as well, and a training step survives every fault. */
static void tensors_fail_by_injection_too(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, NULL);
    tarn_pool *pool = f.pool;
    check_status(tarn_pool_inject_faults(pool, &(tarn_faults){ .nth = 2 }), TARN_OK);
    tarn_manager *late = tarn_manager_create(&(tarn_manager_options){ .pool = pool });
    assert_non_null(tarn_ones(late, TARN_F32, TARN_SHAPE(3)));
    assert_null(tarn_ones(late, TARN_F32, TARN_SHAPE(3)));
    check_error_part(late, TARN_ENOMEM, "injected");
    assert_non_null(tarn_ones(late, TARN_F32, TARN_SHAPE(3)));
    assert_int_equal(tarn_manager_destroy(late), 0);
    check_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)
        cmocka_unit_test(what_is_cached_makes_way),
        cmocka_unit_test(what_others_cache_makes_way),
        cmocka_unit_test(a_callback_may_release_blocks),
        cmocka_unit_test(a_callback_may_release_tensors),
        cmocka_unit_test(a_callback_may_raise_the_cap),
        cmocka_unit_test(a_callback_may_refuse),
        cmocka_unit_test(attempts_are_bounded),
        cmocka_unit_test(the_message_tells_who_holds_what),
        WITH_POOL(the_cap_can_be_changed),
        cmocka_unit_test(no_sequence_exceeds_the_cap),
        cmocka_unit_test(the_cache_keeps_its_limit),
        cmocka_unit_test(by_default_the_cache_is_finite),
        cmocka_unit_test(growing_sizes_stay_in_bounds),
        WITH_MANAGER(neighbouring_sizes_settle),
        WITH_POOL(a_huge_block_serves_no_small_request),
        WITH_POOL(much_too_large_blocks_are_counted_as_passed_over),
        WITH_POOL(passing_over_in_a_cache_counts),
        WITH_POOL(passing_over_large_blocks_counts),
        cmocka_unit_test(idle_memory_goes_back_after_so_many_steps),
        cmocka_unit_test(what_is_used_does_not_decay),
        cmocka_unit_test(by_default_little_memory_stays),
        cmocka_unit_test(decay_can_be_turned_off),
        cmocka_unit_test(optimizer_steps_let_memory_decay),
        cmocka_unit_test(steps_of_the_pool_let_managers_memory_decay),
        cmocka_unit_test(steps_of_one_manager_let_anothers_memory_decay),
        cmocka_unit_test(no_number_of_steps_crashes),
        cmocka_unit_test(blocks_are_aligned_as_asked),
        cmocka_unit_test(advice_reaches_the_system),
        cmocka_unit_test(zeros_are_written_when_the_policy_says),
        cmocka_unit_test(wiping_leaves_no_trace),
        cmocka_unit_test(regions_grow_by_the_factor_up_to_16_mib),
        cmocka_unit_test(initial_capacity_serves_every_size),
        WITH_POOL(the_nth_acquisition_fails),
        WITH_POOL(failures_by_chance_can_be_repeated),
        cmocka_unit_test(tensors_fail_by_injection_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
