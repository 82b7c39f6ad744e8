/* SPDX-License-Identifier: MIT
 * test_buckets.c - size classes, the logical rule of element counts, and exact buckets for large
 * sizes. */
#include "check.h"

#include "core/pool.h"

static size_t quanta_of(size_t bytes) { return (bytes + TARN__QUANTUM - 1) / TARN__QUANTUM; }

/* ---- classes */

static void classes_accommodate_and_waste_little(void **state)
{
    (void)state;
    /* Every size; under checkers every size of the smaller classes. */
    const size_t stride = check_scaled(64) < 64 ? 61 : 1;
    size_t previous = 0;
    for (size_t bytes = 1; bytes <= 1024 * 1024; bytes += bytes < 64 * 1024 ? 1 : stride) {
        const unsigned c = tarn__class_of(quanta_of(bytes));
        const size_t capacity = tarn__class_quanta(c) * TARN__QUANTUM;
        const size_t lower = c > 0 ? tarn__class_quanta(c - 1) * TARN__QUANTUM : 0;
        const size_t waste = capacity - bytes;
        /* One assertion for all, so that a million of them cost little. */
        const bool holds = c < TARN__N_CLASSES && bytes <= capacity && lower < bytes &&
                           previous <= capacity && capacity % 64 == 0 &&
                           (bytes <= 1024 ? capacity == quanta_of(bytes) * 64 : waste * 8 <= bytes);
        if (!holds) print_error("%zu bytes: class %u of %zu bytes\n", bytes, c, capacity);
        assert_true(holds);
        previous = capacity;
    }
}

static void classes_and_their_quanta_are_inverse(void **state)
{
    (void)state;
    for (unsigned c = 0; c < TARN__N_CLASSES; c++) {
        const size_t quanta = tarn__class_quanta(c);
        assert_int_equal(tarn__class_of(quanta), c);
        assert_int_equal(tarn__class_of(quanta + 1), c + 1);
        if (c == 0) continue;
        const size_t lower = tarn__class_quanta(c - 1);
        assert_true(lower < quanta);
        assert_int_equal(tarn__class_of(lower + 1), c);
        if (c >= 16) assert_true((quanta - lower - 1) * 8 <= lower); /* the most that is wasted */
    }
    assert_int_equal(tarn__class_of(tarn__class_quanta(TARN__N_CLASSES - 1) + 1), TARN__N_CLASSES);
    assert_int_equal(tarn__class_of((size_t)PTRDIFF_MAX / 64 + 1), TARN__N_CLASSES);
    assert_int_equal(tarn__class_of(SIZE_MAX), TARN__N_CLASSES);
}

static void block_capacity_follows_the_classes(void **state)
{
    (void)state;
    assert_int_equal(tarn_pool_block_capacity(0), 64);
    for (size_t bytes = 1; bytes <= TARN__SMALL_MAX; bytes++)
        assert_int_equal(tarn_pool_block_capacity(bytes),
                         tarn__class_quanta(tarn__class_of(quanta_of(bytes))) * 64);
    /* Beyond, exact but for whole quanta, and whole pages from 2 MiB on. */
    assert_int_equal(tarn_pool_block_capacity(TARN__SMALL_MAX + 1), TARN__SMALL_MAX + 64);
    assert_int_equal(tarn_pool_block_capacity(40000), 40000);
    assert_int_equal(tarn_pool_block_capacity(40001), 40064);
    assert_int_equal(tarn_pool_block_capacity(2097151), 2097152);
    assert_int_equal(tarn_pool_block_capacity(2097152), 2097152);
    assert_int_equal(tarn_pool_block_capacity(2097153), 2097152 + 4096);
    assert_true(tarn_pool_block_capacity(PTRDIFF_MAX) >= PTRDIFF_MAX);
    assert_int_equal(tarn_pool_block_capacity((size_t)PTRDIFF_MAX + 1), 0);
    assert_int_equal(tarn_pool_block_capacity(SIZE_MAX - 63), 0);
    assert_int_equal(tarn_pool_block_capacity(SIZE_MAX), 0);
}

/* ---- the logical rule */

/* The smallest power of two to 1024 or common size that is not below count; above 1024 the count.
 */
static size_t naive_capacity(size_t count)
{
    static const size_t common[] = { 3, 5, 7, 9, 10, 12, 15, 20, 25, 50, 100 };
    if (count == 0 || count > 1024) return count;
    size_t best = 1;
    while (best < count) best *= 2;
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (common[i] >= count && common[i] < best) best = common[i];
    return best;
}

static void element_buckets_follow_the_logical_rule(void **state)
{
    (void)state;
    static const size_t pairs[][2] = { { 0, 0 },      { 1, 1 },       { 3, 3 },      { 6, 7 },
                                       { 11, 12 },    { 13, 15 },     { 51, 64 },    { 101, 128 },
                                       { 513, 1024 }, { 1024, 1024 }, { 1025, 1025 } };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_int_equal(tarn_pool_bucket_capacity(pairs[i][0]), pairs[i][1]);
    for (size_t count = 0; count <= 2000; count++)
        assert_int_equal(tarn_pool_bucket_capacity(count), naive_capacity(count));
    assert_int_equal(tarn_pool_bucket_capacity(SIZE_MAX), SIZE_MAX);
}

/* ---- dynamic buckets */

static tarn_block take(check_fixture *f, size_t bytes)
{
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block), TARN_OK);
    assert_true(block.bytes == bytes && (uintptr_t)block.data % 64 == 0);
    return block;
}

static void give(check_fixture *f, tarn_block block)
{
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
}

/* The capacity that the pool's records give for a block. */
static size_t capacity_of(const check_fixture *f, tarn_block block)
{
    return tarn__block_of(f->pool, block.id)->capacity;
}

static void repeated_large_sizes_get_exact_blocks(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        const tarn_block a = take(f, 40000), b = take(f, 40000), c = take(f, 1000001);
        assert_int_equal(capacity_of(f, a), 40000);
        assert_int_equal(capacity_of(f, b), 40000);
        assert_int_equal(capacity_of(f, c), 1000064);
        assert_int_equal(tarn_pool_get_stats(f->pool).dynamic_buckets, 2);
        check_pool(f);
        give(f, a);
        give(f, b);
        give(f, c);
        check_pool(f);
    }
    assert_int_equal(tarn_pool_get_stats(f->pool).pool_allocations, 6);
}

static void small_sizes_need_no_dynamic_bucket(void **state)
{
    check_fixture *f = *state;
    const tarn_block block = take(f, TARN__SMALL_MAX);
    assert_int_equal(tarn_pool_get_stats(f->pool).dynamic_buckets, 0);
    assert_int_equal(capacity_of(f, block), TARN__SMALL_MAX);
    give(f, block);
}

/* Different sizes that need buckets of their own. */
static size_t nth_size(size_t i) { return TARN__SMALL_MAX + 64 * (i + 1); }

/* More sizes than buckets, no two blocks at the same time: buckets without blocks are used again.
 */
static void more_sizes_than_buckets_one_by_one(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = TARN_NONE });
    for (size_t i = 0; i < 3 * TARN__N_DYNAMIC; i++) {
        const tarn_block block = take(&f, nth_size(i));
        assert_int_equal(capacity_of(&f, block), nth_size(i));
        give(&f, block);
        assert_true(tarn_pool_get_stats(f.pool).dynamic_buckets <= TARN__N_DYNAMIC);
        if (i % 100 == 0) check_pool(&f);
    }
    check_end(&f);
}

/* Some blocks stay while the table of buckets is rebuilt again and again; their buckets are still
 * found. */
static void buckets_with_blocks_survive_a_rebuild(void **state)
{
    (void)state;
    enum { KEPT = 100, STEP = 7 };
    check_fixture f;
    tarn_block kept[KEPT];
    check_pool_begin(&f, &(tarn_pool_options){ .cache_limit = TARN_NONE });
    for (size_t i = 0; i < 2 * TARN__N_DYNAMIC + 500; i++) {
        const tarn_block block = take(&f, nth_size(i));
        if (i % STEP == 0 && i / STEP < KEPT) kept[i / STEP] = block;
        else give(&f, block);
    }
    check_pool(&f);
    for (size_t i = 0; i < 2 * TARN__N_DYNAMIC + 500; i++) {
        const tarn__bucket *bucket = tarn__dynamic_find(f.pool, nth_size(i));
        if (bucket != NULL) assert_int_equal(bucket->capacity, nth_size(i));
        if (i % STEP == 0 && i / STEP < KEPT) assert_non_null(bucket);
    }
    for (size_t i = 0; i < KEPT; i++) {
        const tarn_block again = take(&f, nth_size(i * STEP));
        assert_int_equal(capacity_of(&f, again), nth_size(i * STEP));
        give(&f, again);
        give(&f, kept[i]);
    }
    check_end(&f);
}

/* All buckets have blocks: the size classes serve what has none. */
static void classes_serve_when_no_bucket_is_left(void **state)
{
    (void)state;
    static tarn_block blocks[TARN__N_DYNAMIC];
    check_fixture f;
    check_pool_begin(&f, NULL);
    f.system.refuse_from = (size_t)1 << 30;
    for (size_t i = 0; i < TARN__N_DYNAMIC; i++) blocks[i] = take(&f, nth_size(i));
    assert_int_equal(tarn_pool_get_stats(f.pool).dynamic_buckets, TARN__N_DYNAMIC);

    const size_t bytes = 300000;
    const tarn_block block = take(&f, bytes);
    assert_true(capacity_of(&f, block) >= bytes && capacity_of(&f, block) <= bytes + bytes / 8);
    assert_int_equal(capacity_of(&f, block),
                     tarn__class_quanta(tarn__class_of(quanta_of(bytes))) * 64);
    check_pool(&f);
    give(&f, block);
    const tarn_block again = take(&f, bytes);
    assert_ptr_equal(again.data, block.data);
    give(&f, again);

    /* No class is large enough: a failure, not a block of another bucket. */
    tarn_block none;
    check_status(tarn_pool_acquire(f.pool, ((size_t)1 << 40) + 1, TARN_UNINITIALIZED, &none),
                 TARN_ENOMEM);
    assert_null(none.data);
    for (size_t i = 0; i < TARN__N_DYNAMIC; i++) give(&f, blocks[i]);
    check_pool(&f);
    check_end(&f);
}

static void failure_leaves_no_bucket_behind(void **state)
{
    check_fixture *f = *state;
    f->system.refuse_from = (size_t)1 << 30;
    for (size_t i = 0; i < 10; i++) {
        tarn_block none;
        const size_t bytes = ((size_t)1 << 32) + i * 4096;
        check_status(tarn_pool_acquire(f->pool, bytes, TARN_ZEROED, &none), TARN_ENOMEM);
        assert_int_equal(tarn_pool_get_stats(f->pool).dynamic_buckets, 0);
        assert_null(tarn__dynamic_find(f->pool, bytes));
        check_pool(f);
    }
}

int main(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_accommodate_and_waste_little),
        cmocka_unit_test(classes_and_their_quanta_are_inverse),
        cmocka_unit_test(block_capacity_follows_the_classes),
        cmocka_unit_test(element_buckets_follow_the_logical_rule),
        WITH_POOL(repeated_large_sizes_get_exact_blocks),
        WITH_POOL(small_sizes_need_no_dynamic_bucket),
        cmocka_unit_test(more_sizes_than_buckets_one_by_one),
        cmocka_unit_test(buckets_with_blocks_survive_a_rebuild),
        cmocka_unit_test(classes_serve_when_no_bucket_is_left),
        WITH_POOL(failure_leaves_no_bucket_behind),
    };
    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
