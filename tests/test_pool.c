/* SPDX-License-Identifier: MIT
 * test_pool.c - the pool: blocks, statistics, limits, zeros, misuse, reports. */
#include "check.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "core/checkers.h"
#include "core/pool.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

/* Calls of the pool that must succeed, with its invariants verified after each. */
static tarn_block take_filled(check_fixture *f, size_t bytes, tarn_fill fill)
{
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, bytes, fill, &block), TARN_OK);
    assert_non_null(block.data);
    assert_int_equal((uintptr_t)block.data % 64, 0);
    assert_int_equal(block.bytes, bytes);
    assert_true(block.id != 0 && block.generation != 0);
    check_pool(f);
    return block;
}

static tarn_block take(check_fixture *f, size_t bytes)
{
    return take_filled(f, bytes, TARN_UNINITIALIZED);
}

static void give(check_fixture *f, tarn_block block)
{
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    check_pool(f);
}

static tarn_pool_stats stats_of(const check_fixture *f) { return tarn_pool_get_stats(f->pool); }

/* An acquisition that must fail and change nothing but the count of failures. */
static void refuse(check_fixture *f, size_t bytes, tarn_status code)
{
    tarn_pool_stats expected = stats_of(f);
    tarn_block block = { f, 1, 2, 3 };
    check_status(tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block), code);
    assert_true(block.data == NULL && block.bytes == 0 && block.id == 0 && block.generation == 0);
    const tarn_pool_stats s = stats_of(f);
    expected.failed_acquisitions++;
    expected.retries = s.retries; /* after every cache was called back */
    check_same_stats(&s, &expected);
    check_pool(f);
}

/* A release that must fail and change nothing but the count of bad ones. */
static void refuse_release(check_fixture *f, tarn_block block, tarn_status code)
{
    tarn_pool_stats expected = stats_of(f);
    check_status(tarn_pool_release(f->pool, block), code);
    const tarn_pool_stats s = stats_of(f);
    expected.bad_releases++;
    check_same_stats(&s, &expected);
    check_pool(f);
}

/* ---- creation */

static void options_are_validated(void **state)
{
    (void)state;
    static const double bad_growth[] = { 0.999, 0.5, -1.0, -2.0, NAN, INFINITY, -INFINITY };
    tarn_status status = TARN_OK;
    for (size_t i = 0; i < sizeof(bad_growth) / sizeof(bad_growth[0]); i++) {
        assert_null(
            tarn_pool_create(&(tarn_pool_options){ .growth_factor = bad_growth[i] }, &status));
        check_status(status, TARN_EARG);
    }
    assert_null(tarn_pool_create(
        &(tarn_pool_options){ .initial_capacity = 1025, .max_capacity = 1024 }, &status));
    check_status(status, TARN_EARG);
    assert_null(tarn_pool_create(&(tarn_pool_options){ .growth_factor = 0.5 }, NULL));

    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .growth_factor = 1.0 }, &status);
    assert_non_null(pool);
    check_status(status, TARN_OK);
    check_status(tarn_pool_destroy(pool), TARN_OK);
    pool = tarn_pool_create(NULL, NULL);
    assert_non_null(pool);
    check_status(tarn_pool_destroy(pool), TARN_OK);
}

static void incomplete_systems_are_refused(void **state)
{
    (void)state;
    check_system s;
    check_system_begin(&s);
    tarn_system without = s.system;
    tarn_status status = TARN_OK;
    without.reserve = NULL;
    assert_null(tarn_pool_create(&(tarn_pool_options){ .system = &without }, &status));
    check_status(status, TARN_EARG);
    without = s.system;
    without.release = NULL;
    status = TARN_OK;
    assert_null(tarn_pool_create(&(tarn_pool_options){ .system = &without }, &status));
    check_status(status, TARN_EARG);
    assert_int_equal(s.reserves, 0);
    check_system_end(&s);
}

static void the_system_is_copied(void **state)
{
    (void)state;
    check_system s;
    check_system_begin(&s);
    tarn_system temporary = s.system;
    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .system = &temporary }, NULL);
    assert_non_null(pool);
    temporary = (tarn_system){ 0 };
    tarn_block block;
    check_status(tarn_pool_acquire(pool, 100, TARN_ZEROED, &block), TARN_OK);
    check_status(tarn_pool_release(pool, block), TARN_OK);
    check_status(tarn_pool_destroy(pool), TARN_OK);
    check_system_end(&s);
}

static void creation_without_memory_fails_clean(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        check_system s;
        tarn_status status = TARN_OK;
        check_system_begin(&s);
        check_system_fail(&s, n, false);
        const tarn_pool_options options = { .initial_capacity = MIB, .system = &s.system };
        assert_null(tarn_pool_create(&options, &status));
        check_status(status, TARN_ENOMEM);
        check_system_end(&s);
    }
    tarn_status status = TARN_OK; /* an initial capacity that no arithmetic holds */
    assert_null(tarn_pool_create(&(tarn_pool_options){ .initial_capacity = SIZE_MAX }, &status));
    check_status(status, TARN_ENOMEM);
}

static void a_pool_in_use_is_not_destroyed(void **state)
{
    check_fixture *f = *state;
    const tarn_block block = take(f, 100);
    check_status(tarn_pool_destroy(f->pool), TARN_ESTATE);
    memset(block.data, 1, 100);
    check_pool(f);
    give(f, block);
}

/* ---- blocks */

static void a_new_pool_has_no_figures(void **state)
{
    check_fixture *f = *state;
    tarn_pool_stats expected = { .metadata = f->system.live_bytes, .system_allocations = 2 };
    const tarn_pool_stats s = stats_of(f);
    check_same_stats(&s, &expected);
}

static void a_block_is_counted_and_writable(void **state)
{
    check_fixture *f = *state;
    const tarn_block a = take(f, 100), b = take(f, 1000);
    memset(a.data, 1, 100);
    memset(b.data, 2, 1000);
    check_bytes(a.data, 1, 100);
    tarn_pool_stats s = stats_of(f);
    assert_int_equal(s.allocations, 2);
    assert_int_equal(s.misses, 2);
    assert_int_equal(s.current_usage, 1100);
    assert_int_equal(s.in_use, 128 + 1024);
    assert_int_equal(s.live_blocks, 2);
    assert_int_equal(s.memory_saved, 0);
    give(f, a);
    give(f, b);
    s = stats_of(f);
    assert_int_equal(s.releases, 2);
    assert_int_equal(s.current_usage, 0);
    assert_int_equal(s.in_use, 0);
    assert_int_equal(s.live_blocks, 0);
    assert_int_equal(s.peak_usage, 1100);
    assert_int_equal(s.peak_in_use, 128 + 1024);
    assert_int_equal(s.peak_live_blocks, 2);
    assert_int_equal(s.cached, s.reserved);
}

static void the_last_released_is_the_first_reused(void **state)
{
    check_fixture *f = *state;
    static const size_t sizes[] = { 100, 5000, 100000, 3000000 };
    for (size_t i = 0; i < 4; i++) {
        const tarn_block a = take(f, sizes[i]), b = take(f, sizes[i]);
        const uint64_t hits = stats_of(f).pool_allocations;
        give(f, a);
        give(f, b);
        const tarn_block c = take(f, sizes[i]), d = take(f, sizes[i]), e = take(f, sizes[i]);
        assert_ptr_equal(c.data, b.data);
        assert_int_equal(c.id, b.id);
        assert_true(c.generation > b.generation);
        assert_ptr_equal(d.data, a.data);
        assert_true(e.data != a.data && e.data != b.data);
        assert_int_equal(stats_of(f).pool_allocations, hits + 2);
        give(f, c);
        give(f, d);
        give(f, e);
    }
}

static void the_seed_loop_gives_its_figures(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < 1000; i++) give(f, take(f, 40000));
    const tarn_pool_stats s = stats_of(f);
    assert_int_equal(s.allocations, 1000);
    assert_int_equal(s.pool_allocations, 999);
    assert_int_equal(s.releases, 1000);
    assert_int_equal(s.memory_saved, 39960000);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.peak_usage, 40000);
    assert_int_equal(s.total_allocated, 40000);
    assert_true(s.hit_ratio == 0.999);
}

static void blocks_of_no_bytes_are_distinct(void **state)
{
    check_fixture *f = *state;
    const tarn_block a = take(f, 0), b = take_filled(f, 0, TARN_ZEROED);
    assert_true(a.data != b.data);
    assert_int_equal(stats_of(f).current_usage, 0);
    assert_int_equal(stats_of(f).in_use, 128);
    assert_int_equal(stats_of(f).live_blocks, 2);
    give(f, a);
    give(f, b);
    refuse_release(f, a, TARN_ESTATE);
    const tarn_block c = take(f, 64);
    assert_ptr_equal(c.data, b.data);
    give(f, c);
}

static void impossible_sizes_fail_and_change_nothing(void **state)
{
    check_fixture *f = *state;
    f->system.refuse_from = (size_t)1 << 40;
    const tarn_block held = take(f, 1000);
    refuse(f, SIZE_MAX, TARN_EOVERFLOW);
    refuse(f, SIZE_MAX - 63, TARN_EOVERFLOW);
    refuse(f, SIZE_MAX - 127, TARN_EOVERFLOW);
    refuse(f, (size_t)PTRDIFF_MAX + 1, TARN_EOVERFLOW);
    refuse(f, PTRDIFF_MAX, TARN_ENOMEM);
    refuse(f, PTRDIFF_MAX - 4096, TARN_ENOMEM);
    refuse(f, (size_t)1 << 40, TARN_ENOMEM);
    for (size_t i = 0; i < 1000; i++) refuse(f, ((size_t)1 << 40) + i * 4096, TARN_ENOMEM);
    give(f, held);
}

static void wrong_arguments_leave_an_empty_block(void **state)
{
    check_fixture *f = *state;
    tarn_block block = { f, 1, 2, 3 };
    const tarn_pool_stats before = stats_of(f);
    check_status(tarn_pool_acquire(f->pool, 10, (tarn_fill)7, &block), TARN_EARG);
    assert_true(block.data == NULL && block.bytes == 0 && block.id == 0 && block.generation == 0);
    check_status(tarn_pool_acquire(f->pool, 10, TARN_ZEROED, NULL), TARN_EARG);
    block.data = f;
    check_status(tarn_pool_acquire(NULL, 10, TARN_ZEROED, &block), TARN_EARG);
    assert_null(block.data);
    const tarn_pool_stats after = stats_of(f);
    check_same_stats(&after, &before);
}

/* After a block is reused for a smaller request, nothing of its earlier size stays in the figures.
 */
static void reuse_counts_the_new_request(void **state)
{
    check_fixture *f = *state;
    const tarn_block larger = take(f, 1000);
    give(f, larger);
    const tarn_block smaller = take(f, 970);
    assert_ptr_equal(smaller.data, larger.data);
    tarn_pool_stats s = stats_of(f);
    assert_int_equal(s.current_usage, 970);
    assert_int_equal(s.memory_saved, 970);
    give(f, smaller);
    s = stats_of(f);
    assert_int_equal(s.current_usage, 0);
    assert_int_equal(s.peak_usage, 1000);
}

/* A free block serves a request only if it wastes at most an eighth of it. */
static void much_larger_blocks_are_not_handed_out(void **state)
{
    (void)state;
    static const size_t sizes[] = { 128, 640, 1152, 4096, 20480, 40000, 1000000, 5000000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t bytes = sizes[i] / 2; bytes <= sizes[i]; bytes += sizes[i] / 64) {
            check_fixture f;
            check_pool_begin(&f, NULL);
            give(&f, take(&f, sizes[i]));
            const size_t capacity = stats_of(&f).peak_in_use;
            const tarn_block block = take(&f, bytes);
            const tarn_pool_stats s = stats_of(&f);
            const bool fits =
                capacity <= bytes + bytes / 8 || tarn_pool_block_capacity(bytes) == capacity;
            if (s.pool_allocations != (uint64_t)fits)
                print_error("%zu bytes after %zu\n", bytes, sizes[i]);
            assert_int_equal(s.pool_allocations, fits);
            assert_true(s.in_use <= bytes + bytes / 8 + 63);
            give(&f, block);
            check_end(&f);
        }
    }
}

static void the_smallest_block_that_fits_is_reused(void **state)
{
    check_fixture *f = *state;
    for (int order = 0; order < 2; order++) {
        const tarn_block smaller = take(f, 41984), larger = take(f, 43008);
        give(f, order == 0 ? smaller : larger);
        give(f, order == 0 ? larger : smaller);
        const tarn_block block = take(f, 40000);
        assert_ptr_equal(block.data, smaller.data);
        give(f, block);
        (void)tarn_pool_trim(f->pool, 0);
    }
}

static void a_huge_block_does_not_serve_a_small_request(void **state)
{
    check_fixture *f = *state;
    /* Address space only; checkers keep notes of each byte of it, so that less must do there. */
    const size_t huge = check_scaled(64) < 64 ? (size_t)64 * MIB : (size_t)4096 * MIB;
    give(f, take(f, huge));
    assert_int_equal(stats_of(f).cached, huge);
    const tarn_block block = take(f, 10 * KIB);
    assert_true(stats_of(f).in_use <= 11520);
    assert_int_equal(stats_of(f).pool_allocations, 0);
    give(f, block);
}

/* ---- releases that are wrong */

static void empty_blocks_are_ignored(void **state)
{
    check_fixture *f = *state;
    const tarn_pool_stats before = stats_of(f);
    check_status(tarn_pool_release(f->pool, (tarn_block){ 0 }), TARN_OK);
    check_status(tarn_pool_release(NULL, (tarn_block){ 0 }), TARN_OK);
    const tarn_pool_stats after = stats_of(f);
    check_same_stats(&after, &before);
}

static void double_and_stale_releases_are_refused(void **state)
{
    check_fixture *f = *state;
    static const size_t sizes[] = { 100, 100000 };
    for (size_t i = 0; i < 2; i++) {
        const tarn_block first = take(f, sizes[i]), bystander = take(f, sizes[i]);
        give(f, first);
        refuse_release(f, first, TARN_ESTATE); /* twice */
        refuse_release(f, first, TARN_ESTATE);
        const tarn_block second = take(f, sizes[i]);
        assert_ptr_equal(second.data, first.data);
        refuse_release(f, first, TARN_ESTATE); /* late: the memory is someone else's now */
        memset(second.data, 3, sizes[i]);
        give(f, second);
        give(f, bystander);
    }
    /* The memory itself went back to the system, and its record serves another block. */
    const tarn_block old = take(f, 200000);
    give(f, old);
    assert_true(tarn_pool_trim(f->pool, 0) >= 200000);
    refuse_release(f, old, TARN_ESTATE);
    tarn_block others[16];
    for (size_t i = 0; i < 16; i++) others[i] = take(f, 50000 + 100 * i);
    refuse_release(f, old, TARN_ESTATE);
    for (size_t i = 0; i < 16; i++) {
        if (others[i].id == old.id) assert_true(others[i].generation > old.generation);
        give(f, others[i]);
    }
}

static void foreign_releases_are_refused(void **state)
{
    check_fixture *f = *state;
    check_fixture other;
    check_pool_begin(&other, NULL);
    const tarn_block mine = take(f, 100), theirs = take(&other, 100), more = take(&other, 100);
    char stack[64];

    refuse_release(f, theirs, TARN_EARG); /* same id and generation, other memory */
    refuse_release(f, more, TARN_EARG);   /* an id that was never given here */
    tarn_block wrong = mine;
    wrong.id = UINT32_MAX;
    refuse_release(f, wrong, TARN_EARG);
    wrong.id = 0;
    refuse_release(f, wrong, TARN_EARG);
    wrong = mine;
    wrong.generation++;
    refuse_release(f, wrong, TARN_EARG);
    wrong.generation = 0;
    refuse_release(f, wrong, TARN_EARG);
    wrong = mine;
    wrong.data = (unsigned char *)mine.data + 64;
    refuse_release(f, wrong, TARN_EARG);
    wrong.data = stack;
    refuse_release(f, wrong, TARN_EARG);
    check_status(tarn_pool_release(NULL, mine), TARN_EARG);

    give(f, mine);
    wrong.data = stack;
    refuse_release(f, wrong, TARN_EARG); /* of a block that is free now */
    refuse_release(f, theirs, TARN_EARG);
    give(&other, theirs);
    give(&other, more);
    check_end(&other);
}

/* ---- caps */

static void the_cap_is_exact(void **state)
{
    (void)state;
    check_fixture f;
    tarn_block blocks[16];
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = MIB });
    for (size_t i = 0; i < 16; i++) blocks[i] = take(&f, 64 * KIB);
    assert_int_equal(stats_of(&f).reserved, MIB);
    refuse(&f, 64 * KIB, TARN_ENOMEM);
    refuse(&f, 0, TARN_ENOMEM);
    refuse(&f, 1, TARN_ENOMEM);
    refuse(&f, (size_t)1 << 40, TARN_ENOMEM);

    give(&f, blocks[3]);
    blocks[3] = take(&f, 64 * KIB); /* from the cache */
    assert_int_equal(stats_of(&f).pool_allocations, 1);
    give(&f, blocks[3]);
    give(&f, blocks[4]);
    blocks[3] = take(&f, 40000); /* a cached block must go first, but not both */
    assert_int_equal(stats_of(&f).trims, 1);
    assert_int_equal(stats_of(&f).trimmed_bytes, 64 * KIB);
    assert_int_equal(stats_of(&f).reserved, MIB - 64 * KIB + 40000);

    /* Not even with an empty cache: the cache is gone, all else as before. */
    tarn_block none;
    check_status(tarn_pool_acquire(f.pool, 128 * KIB, TARN_ZEROED, &none), TARN_ENOMEM);
    check_pool(&f);
    assert_int_equal(stats_of(&f).trims, 2);
    assert_int_equal(stats_of(&f).cached, 0);
    assert_int_equal(stats_of(&f).live_blocks, 15);
    blocks[4] = take(&f, 128 * KIB - 40000); /* to the byte */
    assert_int_equal(stats_of(&f).reserved, MIB);
    assert_int_equal(stats_of(&f).peak_reserved, MIB);
    for (size_t i = 0; i < 16; i++) give(&f, blocks[i]);
    check_end(&f);
}

static void caps_of_any_number_hold(void **state)
{
    (void)state;
    static const size_t caps[] = { 1, 63, 64, 65, 1000, 4095, 100000, 262145, 1000003 };
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        check_fixture f;
        static tarn_block blocks[16 * 1024];
        size_t n = 0;
        check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = caps[i] });
        while (tarn_pool_acquire(f.pool, 64, TARN_UNINITIALIZED, &blocks[n]) == TARN_OK) n++;
        assert_int_equal(n, caps[i] / 64);
        assert_int_equal(stats_of(&f).failed_acquisitions, 1);
        assert_true(stats_of(&f).peak_reserved <= caps[i]);
        check_pool(&f);
        for (size_t k = 0; k < n; k++) check_status(tarn_pool_release(f.pool, blocks[k]), TARN_OK);
        check_end(&f);
    }
}

static void a_small_request_takes_the_place_of_a_large_cached_block(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = MIB });
    give(&f, take(&f, MIB));
    assert_int_equal(stats_of(&f).cached, MIB);
    const tarn_block block = take(&f, 100);
    assert_int_equal(stats_of(&f).trimmed_bytes, MIB);
    give(&f, block);
    check_end(&f);
}

static void a_refusing_system_is_asked_again(void **state)
{
    check_fixture *f = *state;
    give(f, take(f, 96 * KIB));
    give(f, take(f, 512 * KIB));
    check_system_fail(&f->system, 1, false);
    const tarn_block block = take(f, 1000000);
    assert_int_equal(f->system.failed, 1);
    assert_int_equal(stats_of(f).retries, 1);
    give(f, block);
}

/* ---- the cache */

static void the_cache_limit_holds_at_release(void **state)
{
    (void)state;
    check_fixture f;
    tarn_block blocks[10];
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = 300 * KIB });
    for (size_t i = 0; i < 10; i++) blocks[i] = take(&f, 100 * KIB);
    for (size_t i = 0; i < 10; i++) {
        give(&f, blocks[i]);
        assert_true(stats_of(&f).cached <= 300 * KIB);
    }
    assert_int_equal(stats_of(&f).cached, 300 * KIB);
    assert_int_equal(stats_of(&f).reserved, 300 * KIB);
    assert_int_equal(stats_of(&f).trims, 7);
    check_end(&f);
}

static void nothing_is_cached_with_a_limit_of_none(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = TARN_NONE });
    const tarn_block a = take(&f, 100), b = take(&f, 100), c = take(&f, 100000);
    give(&f, c);
    give(&f, a);
    assert_true(stats_of(&f).reserved > 0); /* b is in the same region */
    give(&f, b);
    assert_int_equal(stats_of(&f).reserved, 0);
    check_end(&f);
}

static void all_is_cached_without_a_limit(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = TARN_UNLIMITED });
    tarn_block blocks[8];
    for (size_t i = 0; i < 8; i++) blocks[i] = take(&f, 16 * MIB);
    for (size_t i = 0; i < 8; i++) give(&f, blocks[i]);
    assert_int_equal(stats_of(&f).cached, (size_t)128 * MIB);
    assert_int_equal(stats_of(&f).trims, 0);
    check_end(&f);
}

/* By default, 64 MiB and as much as was ever in use. */
static void the_default_limit_follows_the_peak(void **state)
{
    check_fixture *f = *state;
    enum { N = 12 };
    static const size_t sizes[N] = { 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32 };
    for (size_t i = 0; i < N; i++) {
        give(f, take(f, sizes[i] * MIB));
        const tarn_pool_stats s = stats_of(f);
        assert_true(s.cached <= (size_t)64 * MIB + s.peak_in_use);
    }
    assert_true(stats_of(f).trims > 0);
    assert_true(stats_of(f).cached > (size_t)64 * MIB);
}

static void trim_gives_the_longest_idle_first(void **state)
{
    check_fixture *f = *state;
    const tarn_block a = take(f, 96000), b = take(f, 192000), c = take(f, 384000);
    assert_int_equal(tarn_pool_trim(f->pool, 0), 0);
    assert_int_equal(stats_of(f).trims, 0);
    give(f, b);
    give(f, a);
    give(f, c);
    const size_t all = stats_of(f).cached;
    assert_int_equal(tarn_pool_trim(f->pool, all), 0);
    assert_int_equal(tarn_pool_trim(f->pool, all - 1), 192000);
    check_pool(f);
    const tarn_block d = take(f, 96000);
    assert_ptr_equal(d.data, a.data);
    assert_int_equal(tarn_pool_trim(f->pool, 0), 384000);
    check_pool(f);
    assert_int_equal(stats_of(f).trims, 2);
    assert_int_equal(stats_of(f).trimmed_bytes, 576000);
    assert_int_equal(stats_of(f).reserved, 96000);
    give(f, d);
    assert_int_equal(tarn_pool_trim(f->pool, 0), 96000);
    assert_int_equal(tarn_pool_trim(f->pool, 0), 0);
}

static void regions_go_back_only_when_idle(void **state)
{
    check_fixture *f = *state;
    const tarn_block a = take(f, 100), b = take(f, 5000);
    const size_t reserved = stats_of(f).reserved;
    give(f, a);
    assert_int_equal(tarn_pool_trim(f->pool, 0), 0);
    memset(b.data, 1, 5000);
    check_pool(f);
    give(f, b);
    assert_int_equal(tarn_pool_trim(f->pool, 0), reserved);
    check_pool(f);
    assert_int_equal(stats_of(f).reserved, 0);
    give(f, take(f, 100)); /* and the pool goes on */
}

/* ---- regions */

/* Lets the pool grow by small blocks and collects the sizes of the first n regions. */
static void collect_regions(double growth_factor, size_t initial, size_t *bytes, size_t n)
{
    check_fixture f;
    static tarn_block blocks[4096];
    size_t n_blocks = 0, n_regions = 0;
    check_pool_begin(
        &f, &(tarn_pool_options){ .growth_factor = growth_factor, .initial_capacity = initial });
    size_t reserved = stats_of(&f).reserved;
    while (n_regions < n) {
        check_status(tarn_pool_acquire(f.pool, 32 * KIB, TARN_UNINITIALIZED, &blocks[n_blocks]),
                     TARN_OK);
        n_blocks++;
        if (stats_of(&f).reserved == reserved) continue;
        bytes[n_regions++] = stats_of(&f).reserved - reserved;
        reserved = stats_of(&f).reserved;
    }
    while (n_blocks > 0) check_status(tarn_pool_release(f.pool, blocks[--n_blocks]), TARN_OK);
    check_end(&f);
}

static void regions_grow_by_the_factor(void **state)
{
    (void)state;
    size_t bytes[8];
    collect_regions(0, 0, bytes, 8);
    static const size_t doubled[] = { 256 * KIB, 512 * KIB, MIB,      2 * MIB,
                                      4 * MIB,   8 * MIB,   16 * MIB, 16 * MIB };
    assert_memory_equal(bytes, doubled, sizeof(doubled));
    collect_regions(1.0, 0, bytes, 3);
    static const size_t even[] = { 256 * KIB, 256 * KIB, 256 * KIB };
    assert_memory_equal(bytes, even, sizeof(even));
    collect_regions(1.5, 0, bytes, 4);
    static const size_t half[] = { 256 * KIB, 384 * KIB, 576 * KIB, 864 * KIB };
    assert_memory_equal(bytes, half, sizeof(half));
    collect_regions(1e300, 0, bytes, 2);
    static const size_t steep[] = { 256 * KIB, 16 * MIB };
    assert_memory_equal(bytes, steep, sizeof(steep));
    collect_regions(2.0, MIB, bytes, 2);
    static const size_t after[] = { 2 * MIB, 4 * MIB };
    assert_memory_equal(bytes, after, sizeof(after));
}

/* The cache limit follows the most that was ever in use, whatever becomes of the statistics. */
static void resetting_peaks_changes_no_behaviour(void **state)
{
    check_fixture f;
    tarn_block block;
    (void)state;
    check_pool_begin(&f, NULL);
    for (int step = 0; step < 4; step++) {
        check_status(tarn_pool_acquire(f.pool, 200 * MIB, TARN_UNINITIALIZED, &block), TARN_OK);
        check_status(tarn_pool_release(f.pool, block), TARN_OK);
        tarn_pool_reset_peaks(f.pool);
    }
    assert_int_equal(tarn_pool_get_stats(f.pool).misses, 1);
    check_end(&f);
}

/* One block in use keeps its region; the free blocks beside it serve smaller requests at the cap.
 */
static void at_the_cap_a_larger_small_block_serves(void **state)
{
    check_fixture f;
    tarn_block blocks[1024], small;
    int n = 0;
    (void)state;
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = MIB });
    while (n < 1024 && tarn_pool_acquire(f.pool, 8192, TARN_UNINITIALIZED, &blocks[n]) == TARN_OK)
        n++;
    assert_true(n >= 100);
    while (n > 1) check_status(tarn_pool_release(f.pool, blocks[--n]), TARN_OK);
    check_status(tarn_pool_acquire(f.pool, 128, TARN_ZEROED, &small), TARN_OK);
    check_status(tarn_pool_check(f.pool), TARN_OK);
    check_status(tarn_pool_release(f.pool, small), TARN_OK);
    check_status(tarn_pool_release(f.pool, blocks[0]), TARN_OK);
    check_end(&f);
}

/* A program that holds little does not reserve ever more because it trims often. */
static void regions_grow_with_what_is_there(void **state)
{
    check_fixture f;
    tarn_block block;
    (void)state;
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = TARN_NONE });
    for (int round = 0; round < 10; round++) {
        check_status(tarn_pool_acquire(f.pool, 64, TARN_UNINITIALIZED, &block), TARN_OK);
        assert_true(tarn_pool_get_stats(f.pool).reserved <= 256 * 1024);
        check_status(tarn_pool_release(f.pool, block), TARN_OK);
        assert_int_equal(tarn_pool_get_stats(f.pool).reserved, 0);
    }
    check_end(&f);
}

static void initial_capacity_serves_small_and_large(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .initial_capacity = 1000001 });
    tarn_pool_stats s = stats_of(&f);
    assert_int_equal(s.reserved, 1000064);
    assert_int_equal(s.peak_reserved, 1000064);
    assert_int_equal(s.cached, 1000064);
    assert_int_equal(s.peak_cached, 1000064);
    assert_int_equal(s.total_allocated, 1000064);
    const tarn_block large = take(&f, 500000), small = take(&f, 100), other = take(&f, 300000);
    s = stats_of(&f);
    assert_int_equal(s.reserved, 1000064);
    assert_int_equal(s.misses, 3);
    const tarn_block beyond = take(&f, 400000);
    assert_int_equal(stats_of(&f).reserved, 1000064 + 400000);
    give(&f, large);
    const tarn_block again = take(&f, 500000);
    assert_ptr_equal(again.data, large.data);
    give(&f, again);
    give(&f, small);
    give(&f, other);
    give(&f, beyond);
    assert_int_equal(tarn_pool_trim(f.pool, 0), 1000064 + 400000);
    check_pool(&f);
    check_end(&f);
}

static void initial_capacity_may_be_the_cap(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .initial_capacity = 1000, .max_capacity = 1000 });
    assert_int_equal(stats_of(&f).reserved, 1000);
    tarn_block blocks[15];
    for (size_t i = 0; i < 15; i++) blocks[i] = take(&f, 64);
    refuse(&f, 1, TARN_ENOMEM);
    for (size_t i = 0; i < 15; i++) give(&f, blocks[i]);
    check_end(&f);
}

/* ---- zeros */

static void zeros_are_written_only_where_needed(void **state)
{
    check_fixture *f = *state;
    const tarn_block fresh = take_filled(f, 128, TARN_ZEROED);
    check_bytes(fresh.data, 0, 128);
    assert_int_equal(stats_of(f).zeroed_bytes, 0);
    assert_int_equal(stats_of(f).zero_skipped_bytes, 128);
    give(f, fresh);

    const tarn_block shorter = take(f, 100); /* 128 bytes were held: all may be dirty */
    memset(shorter.data, 0xff, 100);
    give(f, shorter);
    const tarn_block zeroed = take_filled(f, 120, TARN_ZEROED);
    assert_ptr_equal(zeroed.data, fresh.data);
    check_bytes(zeroed.data, 0, 120);
    assert_int_equal(stats_of(f).zeroed_bytes, 120);
    assert_int_equal(stats_of(f).zero_skipped_bytes, 128);
    give(f, zeroed);

    const tarn_block brief = take(f, 200); /* of 256 bytes, 200 may be dirty */
    memset(brief.data, 0xff, 200);
    give(f, brief);
    const tarn_block whole = take_filled(f, 256, TARN_ZEROED);
    assert_ptr_equal(whole.data, brief.data);
    check_bytes(whole.data, 0, 256);
    assert_int_equal(stats_of(f).zeroed_bytes, 120 + 200);
    assert_int_equal(stats_of(f).zero_skipped_bytes, 128 + 56);
    give(f, whole);
}

static void zeroed_blocks_read_zero_whatever_was_before(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    check_fixture f;
    enum { HELD = 16 };
    tarn_block held[HELD] = { { 0 } };
    check_pool_begin(&f, &(tarn_pool_options){ .initial_capacity = MIB, .cache_limit = 2 * MIB });
    for (size_t i = 0; i < check_scaled(20000); i++) {
        tarn_block *block = &held[check_random(&random) % HELD];
        give(&f, *block);
        const size_t bytes = check_random(&random) % ((size_t)1 << check_random(&random) % 19);
        const bool zeroed = check_random(&random) % 2 == 0;
        *block = take_filled(&f, bytes, zeroed ? TARN_ZEROED : TARN_UNINITIALIZED);
        if (zeroed) check_bytes(block->data, 0, bytes);
        memset(block->data, 0xa5, check_random(&random) % 4 == 0 ? bytes / 2 : bytes);
    }
    const tarn_pool_stats s = stats_of(&f);
    assert_true(s.zeroed_bytes > 0 && s.zero_skipped_bytes > 0);
    for (size_t i = 0; i < HELD; i++) give(&f, held[i]);
    check_end(&f);
}

static void wiping_leaves_zeros_behind(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .wipe_on_release = true });
    static const size_t sizes[] = { 1, 64, 1000, 100000 };
    for (size_t i = 0; i < 4; i++) {
        const tarn_block block = take(&f, sizes[i]);
        memset(block.data, 0x77, sizes[i]);
        const uint64_t zeroed = stats_of(&f).zeroed_bytes;
        give(&f, block);
        assert_int_equal(stats_of(&f).zeroed_bytes, zeroed + sizes[i]);
        tarn__allow_defined(block.data, sizes[i]); /* look at what nobody may look at */
        check_bytes(block.data, 0, sizes[i]);
        tarn__forbid(block.data, sizes[i]);

        const uint64_t skipped = stats_of(&f).zero_skipped_bytes;
        const tarn_block again = take_filled(&f, sizes[i], TARN_ZEROED);
        assert_ptr_equal(again.data, block.data);
        check_bytes(again.data, 0, sizes[i]);
        assert_int_equal(stats_of(&f).zeroed_bytes, zeroed + sizes[i]);
        assert_int_equal(stats_of(&f).zero_skipped_bytes, skipped + sizes[i]);
        give(&f, again);
    }
    check_end(&f);
}

static void a_block_in_use_is_made_zero_again(void **state)
{
    check_fixture *f = *state;
    const tarn_block block = take(f, 1000);
    tarn__block *record = tarn__block_of(f->pool, block.id);
    tarn__cache *cache = f->pool->direct;
    tarn__block_zero(cache, record); /* fresh memory: nothing to write */
    check_bytes(block.data, 0, 1000);
    assert_int_equal(stats_of(f).zeroed_bytes, 0);
    memset(block.data, 1, 1000);
    tarn__block_mark_dirty(record);
    tarn__block_zero(cache, record);
    check_bytes(block.data, 0, 1000);
    assert_int_equal(stats_of(f).zeroed_bytes, 1000);
    give(f, block);
}

/* ---- injected failures */

static void the_nth_acquisition_fails_once(void **state)
{
    check_fixture *f = *state;
    give(f, take(f, 100));
    for (uint64_t n = 1; n <= 5; n++) {
        tarn_block blocks[8];
        size_t n_blocks = 0;
        check_fail_acquisition(f->pool, n);
        for (uint64_t i = 1; i <= 8; i++) {
            if (i == n) refuse(f, 100, TARN_ENOMEM);
            else blocks[n_blocks++] = take(f, 100);
        }
        while (n_blocks > 0) give(f, blocks[--n_blocks]);
    }
    check_fail_acquisition(f->pool, 2);
    check_fail_acquisition(f->pool, 0);
    give(f, take(f, 100));
    give(f, take(f, 100));
    check_fail_acquisition(f->pool, 1);
    refuse(f, SIZE_MAX, TARN_EOVERFLOW); /* no acquisition at all */
    refuse(f, 100, TARN_ENOMEM);
    give(f, take(f, 100));
}

/* ---- reports */

static tarn_pool_stats busy_stats(check_fixture *f)
{
    const tarn_block a = take(f, 1000), b = take_filled(f, 70000, TARN_ZEROED);
    give(f, a);
    give(f, take(f, 1000));
    refuse_release(f, a, TARN_ESTATE);
    refuse(f, SIZE_MAX, TARN_EOVERFLOW);
    const tarn_pool_stats stats = stats_of(f);
    give(f, b);
    return stats;
}

static void json_holds_every_figure(void **state)
{
    const tarn_pool_stats stats = busy_stats(*state);
    char text[4096];
    const size_t length = tarn_pool_stats_json(&stats, text, sizeof(text));
    assert_int_equal(length, strlen(text));
#define COMPARE(kind, type, field, meaning) \
    assert_true(fabs(check_json_number(text, #field) - (double)stats.field) <= 5e-7);
    TARN_POOL_STATS_LIST(COMPARE)
#undef COMPARE
    assert_non_null(strstr(text, "\"hit_ratio\":0.333333}"));
    (void)tarn_pool_stats_json(NULL, text, sizeof(text));
    assert_true(check_json_number(text, "allocations") == 0);

    const tarn_pool_stats largest = { .allocations = UINT64_MAX };
    (void)tarn_pool_stats_json(&largest, text, sizeof(text));
    assert_non_null(strstr(text, "{\"allocations\":18446744073709551615,"));
}

static void json_is_cut_as_by_snprintf(void **state)
{
    const tarn_pool_stats stats = busy_stats(*state);
    char whole[4096], text[4096];
    const size_t length = tarn_pool_stats_json(&stats, whole, sizeof(whole));
    assert_int_equal(tarn_pool_stats_json(&stats, NULL, 0), length);
    assert_int_equal(tarn_pool_stats_json(&stats, NULL, 100), length);
    for (size_t size = 0; size <= length + 2; size++) {
        memset(text, '#', sizeof(text));
        assert_int_equal(tarn_pool_stats_json(&stats, text, size), length);
        if (size > 0) {
            const size_t kept = size - 1 < length ? size - 1 : length;
            assert_memory_equal(text, whole, kept);
            assert_int_equal(text[kept], '\0');
        }
        assert_int_equal(text[size], '#');
    }
}

static void json_is_the_same_in_every_locale(void **state)
{
    const tarn_pool_stats stats = busy_stats(*state);
    static const char *const with_comma[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE",
                                              "pl_PL.UTF-8" };
    char plain[4096], text[4096];
    (void)tarn_pool_stats_json(&stats, plain, sizeof(plain));
    for (size_t i = 0; i < sizeof(with_comma) / sizeof(with_comma[0]); i++) {
        if (setlocale(LC_ALL, with_comma[i]) == NULL) continue; /* not on this machine */
        (void)tarn_pool_stats_json(&stats, text, sizeof(text));
        (void)setlocale(LC_ALL, "C");
        assert_string_equal(text, plain);
    }
}

static void print_writes_a_line_a_figure(void **state)
{
    check_fixture *f = *state;
    (void)busy_stats(f);
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_pool_print_stats(f->pool, stream), TARN_OK);
    const char *text = check_stream_text(stream);
    const tarn_pool_stats s = stats_of(f);
    assert_memory_equal(text, "pool\n", 5);
    size_t lines = 1;
    char line[256];
#define FIND(kind, type, field, meaning)                                            \
    (void)snprintf(line, sizeof(line), "  %-20s %16.*f  %s\n", #field,              \
                   strcmp(#type, "double") == 0 ? 6 : 0, (double)s.field, meaning); \
    assert_non_null(strstr(text, line));                                            \
    lines++;
    TARN_POOL_STATS_LIST(FIND)
#undef FIND
    size_t newlines = 0;
    for (const char *c = text; *c != '\0'; c++) newlines += *c == '\n';
    assert_non_null(strstr(text, "last mistake\n  bad release: block "));
    assert_int_equal(newlines, lines + 2);
    fclose(stream);

    FILE *read_only = fopen("/dev/null", "r");
    assert_non_null(read_only);
    check_status(tarn_pool_print_stats(f->pool, read_only), TARN_EIO);
    fclose(read_only);
}

static void peaks_start_anew(void **state)
{
    check_fixture *f = *state;
    const tarn_block a = take(f, 1000), b = take(f, 100000);
    give(f, b);
    assert_int_equal(stats_of(f).peak_usage, 101000);
    tarn_pool_reset_peaks(f->pool);
    check_pool(f);
    tarn_pool_stats s = stats_of(f);
    assert_int_equal(s.peak_usage, 1000);
    assert_int_equal(s.peak_in_use, 1024);
    assert_int_equal(s.peak_live_blocks, 1);
    assert_int_equal(s.peak_reserved, s.reserved);
    assert_int_equal(s.peak_cached, s.cached);
    const tarn_block c = take(f, 500);
    assert_int_equal(stats_of(f).peak_usage, 1500);
    give(f, c);
    give(f, a);
}

static void no_pool_is_no_crash(void **state)
{
    (void)state;
    static const tarn_pool_stats none;
    const tarn_pool_stats s = tarn_pool_get_stats(NULL);
    check_same_stats(&s, &none);
    check_status(tarn_pool_destroy(NULL), TARN_OK);
    check_status(tarn_pool_check(NULL), TARN_OK);
    assert_int_equal(tarn_pool_trim(NULL, 0), 0);
    tarn_pool_reset_peaks(NULL);
    check_fail_acquisition(NULL, 1);
    check_status(tarn_pool_print_stats(NULL, stdout), TARN_EARG);
    assert_true(tarn_pool_stats_json(NULL, NULL, 0) > 0);
}

static void print_needs_a_stream(void **state)
{
    const check_fixture *f = *state;
    check_status(tarn_pool_print_stats(f->pool, NULL), TARN_EARG);
}

int main(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_validated),
        cmocka_unit_test(incomplete_systems_are_refused),
        cmocka_unit_test(the_system_is_copied),
        cmocka_unit_test(creation_without_memory_fails_clean),
        WITH_POOL(a_pool_in_use_is_not_destroyed),
        WITH_POOL(a_new_pool_has_no_figures),
        WITH_POOL(a_block_is_counted_and_writable),
        WITH_POOL(the_last_released_is_the_first_reused),
        WITH_POOL(the_seed_loop_gives_its_figures),
        WITH_POOL(blocks_of_no_bytes_are_distinct),
        WITH_POOL(impossible_sizes_fail_and_change_nothing),
        WITH_POOL(wrong_arguments_leave_an_empty_block),
        WITH_POOL(reuse_counts_the_new_request),
        cmocka_unit_test(much_larger_blocks_are_not_handed_out),
        WITH_POOL(the_smallest_block_that_fits_is_reused),
        WITH_POOL(a_huge_block_does_not_serve_a_small_request),
        WITH_POOL(empty_blocks_are_ignored),
        WITH_POOL(double_and_stale_releases_are_refused),
        WITH_POOL(foreign_releases_are_refused),
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(caps_of_any_number_hold),
        cmocka_unit_test(a_small_request_takes_the_place_of_a_large_cached_block),
        WITH_POOL(a_refusing_system_is_asked_again),
        cmocka_unit_test(the_cache_limit_holds_at_release),
        cmocka_unit_test(nothing_is_cached_with_a_limit_of_none),
        cmocka_unit_test(all_is_cached_without_a_limit),
        WITH_POOL(the_default_limit_follows_the_peak),
        WITH_POOL(trim_gives_the_longest_idle_first),
        WITH_POOL(regions_go_back_only_when_idle),
        cmocka_unit_test(regions_grow_by_the_factor),
        cmocka_unit_test(resetting_peaks_changes_no_behaviour),
        cmocka_unit_test(at_the_cap_a_larger_small_block_serves),
        cmocka_unit_test(regions_grow_with_what_is_there),
        cmocka_unit_test(initial_capacity_serves_small_and_large),
        cmocka_unit_test(initial_capacity_may_be_the_cap),
        WITH_POOL(zeros_are_written_only_where_needed),
        cmocka_unit_test(zeroed_blocks_read_zero_whatever_was_before),
        cmocka_unit_test(wiping_leaves_zeros_behind),
        WITH_POOL(a_block_in_use_is_made_zero_again),
        WITH_POOL(the_nth_acquisition_fails_once),
        WITH_POOL(json_holds_every_figure),
        WITH_POOL(json_is_cut_as_by_snprintf),
        WITH_POOL(json_is_the_same_in_every_locale),
        WITH_POOL(print_writes_a_line_a_figure),
        WITH_POOL(peaks_start_anew),
        cmocka_unit_test(no_pool_is_no_crash),
        WITH_POOL(print_needs_a_stream),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
