/* SPDX-License-Identifier: MIT
 * test_seed.c - what the memory pooling document promises, promise by promise: the loop and its
 * figures, arrays, buckets, options, statistics, the pool and the manager of the process, and the
 * manager's own options and statistics. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

enum { KIB = 1024, MIB = 1024 * 1024, N_DTYPES = 5, LOOPS = 1000 };

static const tarn_dtype dtypes[N_DTYPES] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };

static tarn_pool_stats stats_of(const check_fixture *f) { return tarn_pool_get_stats(f->pool); }
static tarn_manager_stats tensors_of(const check_fixture *f)
{
    return tarn_manager_get_stats(f->tm);
}

/* ---- the loop: 1000 times a tensor [100,100] of float32 */

static void check_loop_figures(const tarn_pool_stats *s)
{
    assert_int_equal(s->allocations, 1000);
    assert_int_equal(s->pool_allocations, 999);
    assert_int_equal(s->misses, 1);
    assert_int_equal(s->releases, 1000);
    assert_int_equal(s->memory_saved, 39960000);
    assert_true(s->hit_ratio == 0.999);
    assert_int_equal(s->current_usage, 0);
    assert_int_equal(s->peak_usage, 40000);
    assert_int_equal(s->total_allocated, 40000);
    assert_int_equal(s->live_blocks, 0);
    assert_int_equal(s->peak_live_blocks, 1);
}

static void the_loop_of_tensors_gives_its_figures(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < LOOPS; i++) tarn_release(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(100, 100)));
    const tarn_pool_stats s = stats_of(f);
    check_loop_figures(&s);
    const tarn_manager_stats m = tensors_of(f);
    assert_int_equal(m.created, 1000);
    assert_int_equal(m.released, 1000);
    assert_int_equal(m.active, 0);
    assert_int_equal(m.peak, 1);
    assert_int_equal(m.total_memory, 0);
    assert_int_equal(m.peak_memory, 40000);
    check_pool(f);
}

static void the_loop_of_scopes_gives_its_figures(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < LOOPS; i++) {
        TARN_SCOPE(f->tm);
        (void)tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(100, 100));
    }
    const tarn_pool_stats s = stats_of(f);
    check_loop_figures(&s);
}

static void the_loop_of_arrays_gives_its_figures(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < LOOPS; i++) {
        float *array = tarn_pool_acquire_array(f->pool, 10000, TARN_F32);
        assert_non_null(array);
        array[9999] = 1;
        check_status(tarn_pool_release_array(f->pool, array, TARN_F32), TARN_OK);
    }
    const tarn_pool_stats s = stats_of(f);
    check_loop_figures(&s);
    check_pool(f);
}

/* The megabytes that the document prints: 38.11. */
static void the_loop_saves_what_the_document_says(void **state)
{
    check_fixture *f = *state;
    for (int i = 0; i < LOOPS; i++) tarn_release(tarn_empty(f->tm, TARN_F32, TARN_SHAPE(100, 100)));
    char text[32];
    (void)snprintf(text, sizeof(text), "%.2f MB %.1f%%",
                   (double)stats_of(f).memory_saved / 1024 / 1024, 100 * stats_of(f).hit_ratio);
    assert_string_equal(text, "38.11 MB 99.9%");
}

/* ---- arrays */

static void arrays_of_every_type_read_as_zero(void **state)
{
    check_fixture *f = *state;
    static const size_t counts[] = { 0, 1, 3, 100, 1025, 12345, 300000 };
    for (int d = 0; d < N_DTYPES; d++) {
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            const size_t bytes = counts[i] * tarn_dtype_size(dtypes[d]);
            for (int round = 0; round < 3; round++) { /* dirty from the second on */
                void *array = tarn_pool_acquire_array(f->pool, counts[i], dtypes[d]);
                assert_non_null(array);
                assert_int_equal((uintptr_t)array % 64, 0);
                check_bytes(array, 0, bytes);
                memset(array, 0xee, bytes);
                check_status(tarn_pool_release_array(f->pool, array, dtypes[d]), TARN_OK);
            }
        }
    }
    assert_int_equal(stats_of(f).bad_releases, 0);
    check_pool(f);
}

/* A larger array that was written leaves nothing in the smaller one that takes its memory. */
static void arrays_do_not_show_other_types_values(void **state)
{
    check_fixture *f = *state;
    for (int from = 0; from < N_DTYPES; from++) {
        for (int to = 0; to < N_DTYPES; to++) {
            const size_t before = 4800 / tarn_dtype_size(dtypes[from]);
            const size_t after = 4560 / tarn_dtype_size(dtypes[to]);
            void *array = tarn_pool_acquire_array(f->pool, before, dtypes[from]);
            assert_non_null(array);
            memset(array, 0xff, 4800);
            check_status(tarn_pool_release_array(f->pool, array, dtypes[from]), TARN_OK);
            void *other = tarn_pool_acquire_array(f->pool, after, dtypes[to]);
            assert_non_null(other);
            check_bytes(other, 0, 4560);
            memset(other, 0xff, 4560);
            check_status(tarn_pool_release_array(f->pool, other, dtypes[to]), TARN_OK);
        }
    }
    assert_int_equal(stats_of(f).misses, 1); /* bytes are shared between the types */
}

static void refuse_array(check_fixture *f, void *array, tarn_dtype dtype, tarn_status code)
{
    tarn_pool_stats expected = stats_of(f);
    check_status(tarn_pool_release_array(f->pool, array, dtype), code);
    const tarn_pool_stats s = stats_of(f);
    expected.bad_releases++;
    check_same_stats(&s, &expected);
    check_pool(f);
}

static void arrays_go_back_as_what_they_were(void **state)
{
    check_fixture *f = *state;
    for (int d = 0; d < N_DTYPES; d++) {
        void *array = tarn_pool_acquire_array(f->pool, 100, dtypes[d]);
        assert_non_null(array);
        for (int other = 0; other < N_DTYPES; other++)
            if (other != d) refuse_array(f, array, dtypes[other], TARN_EDTYPE);
        refuse_array(f, array, (tarn_dtype)77, TARN_EDTYPE);
        check_status(tarn_pool_release_array(f->pool, array, dtypes[d]), TARN_OK);
        refuse_array(f, array, dtypes[d], TARN_EARG);
    }
}

static void foreign_pointers_are_refused(void **state)
{
    check_fixture *f = *state;
    float local[16] = { 0 };
    check_fixture other;
    check_pool_begin(&other, NULL);
    float *theirs = tarn_pool_acquire_array(other.pool, 100, TARN_F32);
    float *ours = tarn_pool_acquire_array(f->pool, 100, TARN_F32);
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, 400, TARN_ZEROED, &block), TARN_OK);
    assert_true(theirs != NULL && ours != NULL);
    refuse_array(f, local, TARN_F32, TARN_EARG);
    refuse_array(f, theirs, TARN_F32, TARN_EARG);
    refuse_array(f, ours + 1, TARN_F32, TARN_EARG);
    refuse_array(f, block.data, TARN_F32, TARN_EARG);
    check_status(tarn_pool_release_array(f->pool, NULL, TARN_F32), TARN_OK);
    check_status(tarn_pool_release_array(NULL, ours, TARN_F32), TARN_EARG);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    check_status(tarn_pool_release_array(f->pool, ours, TARN_F32), TARN_OK);
    check_status(tarn_pool_release_array(other.pool, theirs, TARN_F32), TARN_OK);
    check_end(&other);
}

static void impossible_arrays_are_none(void **state)
{
    check_fixture *f = *state;
    assert_null(tarn_pool_acquire_array(NULL, 1, TARN_F32));
    assert_null(tarn_pool_acquire_array(f->pool, 1, (tarn_dtype)77));
    assert_null(tarn_pool_acquire_array(f->pool, SIZE_MAX / 4 + 1, TARN_F32));
    assert_null(tarn_pool_acquire_array(f->pool, SIZE_MAX, TARN_U8));
    check_fail_acquisition(f->pool, 1);
    assert_null(tarn_pool_acquire_array(f->pool, 1, TARN_F32));
    check_system_fail(&f->system, 2, true); /* after the block's region its table has no room */
    assert_null(tarn_pool_acquire_array(f->pool, 1, TARN_F32));
    check_system_fail(&f->system, 0, false);
    assert_int_equal(stats_of(f).live_blocks, 0);
    check_pool(f);
}

/* Many arrays at a time, released in another order. */
static void many_arrays_are_told_apart(void **state)
{
    enum { N = 1000 };
    check_fixture *f = *state;
    static void *arrays[N];
    uint64_t seed = check_seed();
    for (size_t i = 0; i < N; i++) {
        arrays[i] = tarn_pool_acquire_array(f->pool, 1 + check_random(&seed) % 200, TARN_I64);
        assert_non_null(arrays[i]);
        *(int64_t *)arrays[i] = (int64_t)i;
    }
    for (size_t left = N; left > 0; left--) {
        const size_t i = (size_t)(check_random(&seed) % left);
        void *array = arrays[i];
        arrays[i] = arrays[left - 1];
        check_status(tarn_pool_release_array(f->pool, array, TARN_I64), TARN_OK);
        check_status(tarn_pool_release_array(f->pool, array, TARN_I64), TARN_EARG);
    }
    assert_int_equal(stats_of(f).bad_releases, N);
    assert_int_equal(stats_of(f).live_blocks, 0);
    check_pool(f);
}

/* ---- buckets */

static void logical_buckets_are_those_of_the_document(void **state)
{
    (void)state;
    static const size_t listed[] = { 1,  2,  3,  4,  5,  7,  8,   9,   10,  12,  15,
                                     16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024 };
    static const size_t pairs[][2] = { { 0, 0 },
                                       { 1, 1 },
                                       { 3, 3 },
                                       { 6, 7 },
                                       { 11, 12 },
                                       { 13, 15 },
                                       { 17, 20 },
                                       { 21, 25 },
                                       { 26, 32 },
                                       { 33, 50 },
                                       { 51, 64 },
                                       { 65, 100 },
                                       { 101, 128 },
                                       { 129, 256 },
                                       { 513, 1024 },
                                       { 1024, 1024 },
                                       { 1025, 1025 },
                                       { 10000, 10000 },
                                       { SIZE_MAX, SIZE_MAX } };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_int_equal(tarn_pool_bucket_capacity(pairs[i][0]), pairs[i][1]);
    const size_t n = sizeof(listed) / sizeof(listed[0]);
    for (size_t count = 1, at = 0; count <= 1024; count++) { /* the smallest that accommodates */
        while (listed[at] < count) at++;
        assert_true(at < n);
        assert_int_equal(tarn_pool_bucket_capacity(count), listed[at]);
    }
    for (size_t count = 1025; count < 100000; count++)
        assert_int_equal(tarn_pool_bucket_capacity(count), count);
}

static void every_size_fits_its_block_closely(void **state)
{
    (void)state;
    size_t before = 0;
    for (size_t bytes = 0; bytes <= MIB; bytes++) {
        const size_t capacity = tarn_pool_block_capacity(bytes);
        if (capacity < bytes || capacity < before || capacity % 64 != 0 || capacity == 0)
            fail_msg("%zu bytes: %zu, before %zu", bytes, capacity, before);
        const size_t waste = capacity - bytes;
        if (bytes > KIB ? waste > bytes / 8 : bytes > 0 && waste >= 64)
            fail_msg("%zu bytes: %zu, %zu are lost", bytes, capacity, waste);
        before = capacity;
    }
    for (size_t bytes = MIB; bytes < (size_t)1 << 50; bytes += bytes / 9 + 12345) {
        const size_t capacity = tarn_pool_block_capacity(bytes);
        assert_true(capacity >= bytes && capacity - bytes < 4096);
    }
    assert_int_equal(tarn_pool_block_capacity(0), 64);
    assert_int_equal(tarn_pool_block_capacity((size_t)PTRDIFF_MAX + 1), 0);
}

/* What is promised is what is in use, and the smallest bucket is the one that is taken: a size of
 * the same capacity reuses the block, the next size does not. */
static void blocks_have_the_capacity_that_is_promised(void **state)
{
    check_fixture *f = *state;
    const size_t step = check_scaled(1000) == 1000 ? 61 : 6151;
    for (size_t bytes = 0; bytes <= MIB; bytes += bytes < 3 * KIB ? 1 : step) {
        tarn_block block;
        check_status(tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block), TARN_OK);
        const size_t in_use = stats_of(f).in_use, promised = tarn_pool_block_capacity(bytes);
        if (in_use < bytes) fail_msg("%zu bytes: block of %zu", bytes, in_use);
        /* A free block of a neighbouring bucket may serve, if it wastes at most an eighth. */
        if (in_use != promised && in_use > bytes + bytes / 8)
            fail_msg("%zu bytes: block of %zu, not %zu", bytes, in_use, promised);
        check_status(tarn_pool_release(f->pool, block), TARN_OK);
        (void)tarn_pool_trim(f->pool, 0);
        assert_int_equal(stats_of(f).reserved, 0);
        if (bytes % 64 == 0 || bytes > 3 * KIB) {
            check_status(tarn_pool_acquire(f->pool, bytes, TARN_UNINITIALIZED, &block), TARN_OK);
            assert_int_equal(stats_of(f).in_use, promised); /* a fresh pool: exactly */
            check_status(tarn_pool_release(f->pool, block), TARN_OK);
            (void)tarn_pool_trim(f->pool, 0);
        }
    }
    check_pool(f);
}

static void other_sizes_get_buckets_of_their_own(void **state)
{
    check_fixture *f = *state;
    static const size_t sizes[] = { 40000, 41000, 123456, 999999, 3000000 };
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    assert_int_equal(stats_of(f).dynamic_buckets, 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            tarn_block block;
            check_status(tarn_pool_acquire(f->pool, sizes[i], TARN_ZEROED, &block), TARN_OK);
            assert_int_equal(stats_of(f).in_use, tarn_pool_block_capacity(sizes[i]));
            memset(block.data, 1, sizes[i]);
            check_status(tarn_pool_release(f->pool, block), TARN_OK);
        }
        assert_int_equal(stats_of(f).misses, N);
        assert_int_equal(stats_of(f).dynamic_buckets, N);
    }
    tarn_block small;
    check_status(tarn_pool_acquire(f->pool, 32 * KIB, TARN_ZEROED, &small), TARN_OK);
    assert_int_equal(stats_of(f).dynamic_buckets, N); /* up to 32 KiB the classes serve */
    check_status(tarn_pool_release(f->pool, small), TARN_OK);
    tarn_bucket_usage rows[N + 1];
    assert_int_equal(tarn_pool_get_buckets(f->pool, rows, N + 1), N + 1);
    for (size_t i = 0; i <= N; i++) {
        assert_int_equal(rows[i].is_dynamic, i > 0);
        assert_int_equal(rows[i].acquired, i > 0 ? 3 : 1);
        assert_int_equal(rows[i].blocks, 1);
    }
}

/* ---- options */

static void refuse_options(tarn_pool_options options)
{
    tarn_status status = TARN_OK;
    assert_null(tarn_pool_create(&options, &status));
    check_status(status, TARN_EARG);
}

static void options_are_validated(void **state)
{
    (void)state;
    refuse_options((tarn_pool_options){ .growth_factor = 0.99 });
    refuse_options((tarn_pool_options){ .growth_factor = -1 });
    refuse_options((tarn_pool_options){ .growth_factor = NAN });
    refuse_options((tarn_pool_options){ .growth_factor = INFINITY });
    refuse_options((tarn_pool_options){ .initial_capacity = MIB + 1, .max_capacity = MIB });
    refuse_options((tarn_pool_options){ .alignment = 63 });
    refuse_options((tarn_pool_options){ .alignment = 96 });
    refuse_options((tarn_pool_options){ .alignment = 4 * (size_t)MIB });
    refuse_options((tarn_pool_options){ .track_stats = (tarn_switch)3 });
    refuse_options((tarn_pool_options){ .zero_policy = (tarn_zero_policy)2 });
    refuse_options((tarn_pool_options){ .huge_pages = (tarn_huge_pages)3 });
    refuse_options((tarn_pool_options){ .checking = (tarn_checking)2 });
    refuse_options((tarn_pool_options){ .mode = (tarn_pool_mode)2 });
    tarn_pool *pool = tarn_pool_create(
        &(tarn_pool_options){ .initial_capacity = MIB, .max_capacity = MIB, .growth_factor = 1.0 },
        NULL);
    assert_non_null(pool);
    const tarn_pool_options o = tarn_pool_get_options(pool);
    assert_int_equal(o.initial_capacity, MIB);
    assert_int_equal(o.max_capacity, MIB);
    assert_true(o.growth_factor == 1.0);
    check_status(tarn_pool_destroy(pool), TARN_OK);
}

/* With track_stats off the figures that limits need stay. */
static void statistics_can_be_turned_off(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .track_stats = TARN_OFF, .max_capacity = MIB });
    tarn_tensor *t = tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(100, 100));
    tarn_tag_usage row;
    assert_int_equal(tarn_pool_get_tags(f.pool, &row, 1), 0);
    assert_int_equal(stats_of(&f).current_usage, 40000);
    assert_null(tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(1000, 1000)));
    check_error_part(f.tm, TARN_ENOMEM, "max_capacity 1048576");
    tarn_release(t);
    check_pool(&f);
    check_end(&f);
}

/* ---- statistics */

/* The figures by the document's names, through an arbitrary sequence, against plain arithmetic. */
static void statistics_are_what_their_names_say(void **state)
{
    enum { N = 64 };
    check_fixture *f = *state;
    uint64_t seed = check_seed();
    tarn_block held[N] = { { 0 } };
    uint64_t acquired = 0, released = 0, hits = 0, saved = 0, allocated = 0;
    size_t usage = 0, peak = 0, live = 0;
    for (size_t k = 0; k < check_scaled(5000); k++) {
        const size_t i = (size_t)(check_random(&seed) % N);
        if (held[i].data != NULL) {
            usage -= held[i].bytes;
            check_status(tarn_pool_release(f->pool, held[i]), TARN_OK);
            held[i] = (tarn_block){ 0 };
            released++;
            live--;
        } else {
            const uint64_t misses = stats_of(f).misses;
            const size_t bytes = (size_t)(check_random(&seed) % 60000);
            check_status(tarn_pool_acquire(f->pool, bytes, TARN_ZEROED, &held[i]), TARN_OK);
            const bool hit = stats_of(f).misses == misses;
            hits += hit;
            saved += hit ? bytes : 0;
            usage += bytes;
            if (usage > peak) peak = usage;
            acquired++;
            live++;
        }
        const tarn_pool_stats s = stats_of(f);
        if (s.reserved + s.trimmed_bytes > allocated) allocated = s.reserved + s.trimmed_bytes;
        if (s.allocations != acquired || s.pool_allocations != hits || s.releases != released ||
            s.current_usage != usage || s.peak_usage != peak || s.memory_saved != saved ||
            s.total_allocated != allocated || s.live_blocks != live)
            fail_msg("figures differ after %zu calls", k + 1);
    }
    for (size_t i = 0; i < N; i++) (void)tarn_pool_release(f->pool, held[i]);
    check_pool(f);
}

/* ---- the pool and the manager of the process */

static void the_default_pool_can_be_had_again(void **state)
{
    (void)state;
    tarn_pool *pool = tarn_pool_default();
    assert_non_null(pool);
    assert_ptr_equal(tarn_pool_default(), pool);
    float *array = tarn_pool_acquire_array(pool, 100, TARN_F32);
    assert_non_null(array);
    check_bytes(array, 0, 400);
    for (int i = 0; i < 10; i++) array[i] = (float)i;
    check_status(tarn_pool_destroy(pool), TARN_ESTATE); /* still held */
    assert_ptr_equal(tarn_pool_default(), pool);
    check_status(tarn_pool_release_array(pool, array, TARN_F32), TARN_OK);
    check_status(tarn_pool_destroy(pool), TARN_OK);

    pool = tarn_pool_default();
    assert_non_null(pool);
    assert_int_equal(tarn_pool_get_stats(pool).allocations, 0);
    check_status(tarn_pool_destroy(pool), TARN_OK);
}

static void the_default_manager_can_be_had_again(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        tarn_manager *tm = tarn_manager_default();
        assert_non_null(tm);
        assert_ptr_equal(tarn_manager_default(), tm);
        assert_ptr_equal(tarn_manager_pool(tm), tarn_pool_default());
        assert_int_equal(tarn_manager_get_stats(tm).created, 0);
        tarn_tensor *t = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
        assert_int_equal(tarn_manager_get_stats(tm).created, 1);
        check_status(tarn_pool_destroy(tarn_pool_default()), TARN_ESTATE); /* it has a manager */
        tarn_release(t);
        assert_int_equal(tarn_manager_destroy(tm), 0);
        check_status(tarn_pool_destroy(tarn_pool_default()), TARN_OK);
    }
    /* A manager of one's own does not become, or end, the default one. */
    tarn_manager *own = tarn_manager_create(NULL), *tm = tarn_manager_default();
    assert_true(own != NULL && own != tm && tarn_manager_pool(own) != tarn_pool_default());
    assert_int_equal(tarn_manager_destroy(own), 0);
    assert_ptr_equal(tarn_manager_default(), tm);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    check_status(tarn_pool_destroy(tarn_pool_default()), TARN_OK);
}

/* The document's own example of the factories. */
static void the_factories_of_the_document_work(void **state)
{
    check_fixture *f = *state;
    static const float values[] = { 1, 2, 3, 4, 5, 6 };
    tarn_tensor *zeros = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *ones = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *random = tarn_random_uniform(f->tm, TARN_F32, TARN_SHAPE(2, 3), 0, 1, 1);
    tarn_tensor *array = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2, 3), values);
    check_close(zeros, ((const double[]){ 0, 0, 0, 0, 0, 0 }), 6, 0);
    check_close(ones, ((const double[]){ 1, 1, 1, 1, 1, 1 }), 6, 0);
    check_close(array, ((const double[]){ 1, 2, 3, 4, 5, 6 }), 6, 0);
    const float *r = tarn_data(random);
    for (int i = 0; i < 6; i++) assert_true(r[i] >= 0 && r[i] < 1);
    tarn_manager_stats m = tensors_of(f);
    assert_int_equal(m.created, 4);
    assert_int_equal(m.active, 4);
    assert_int_equal(m.total_memory, 96);
    tarn_release(zeros);
    tarn_release(ones);
    tarn_release(random);
    tarn_release(array);
    m = tensors_of(f);
    assert_int_equal(m.created, 4);
    assert_int_equal(m.released, 4);
    assert_int_equal(m.active, 0);
    assert_int_equal(m.peak, 4);
    assert_int_equal(m.peak_memory, 96);
}

/* ---- the manager */

static void manager_statistics_follow_lives(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *a = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(10)); /* 40 bytes */
    tarn_tensor *b = tarn_zeros(f->tm, TARN_F64, TARN_SHAPE(10)); /* 80 */
    tarn_tensor *view = tarn_reshape(a, TARN_SHAPE(2, 5));
    tarn_manager_stats m = tensors_of(f);
    assert_int_equal(m.created, 2);
    assert_int_equal(m.views, 1);
    assert_int_equal(m.active, 2);
    assert_int_equal(m.handles, 3);
    assert_int_equal(m.total_memory, 120);
    tarn_release(a); /* the view holds its memory */
    m = tensors_of(f);
    assert_int_equal(m.released, 0);
    assert_int_equal(m.active, 2);
    tarn_release(view);
    m = tensors_of(f);
    assert_int_equal(m.released, 1);
    assert_int_equal(m.active, 1);
    assert_int_equal(m.total_memory, 80);
    assert_int_equal(m.peak, 2);
    assert_int_equal(m.peak_memory, 120);
    tarn_manager_reset_peaks(f->tm);
    m = tensors_of(f);
    assert_int_equal(m.peak, 1);
    assert_int_equal(m.peak_memory, 80);
    assert_int_equal(stats_of(f).peak_usage, 120); /* the pool's peaks stay */
    tarn_release(b);
}

/* Reference counting: as many releases as retains, and one for the scope. */
static void references_are_counted(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *t;
    {
        TARN_SCOPE(f->tm);
        t = tarn_full(f->tm, TARN_F32, TARN_SHAPE(4), 3);
        assert_ptr_equal(tarn_retain(tarn_retain(t)), t);
        assert_int_equal(tensors_of(f).retained, 1);
    }
    assert_int_equal(tensors_of(f).active, 1);
    check_close(t, ((const double[]){ 3, 3, 3, 3 }), 4, 0);
    tarn_release(t);
    assert_int_equal(tensors_of(f).active, 1);
    assert_int_equal(tensors_of(f).retained, 1);
    tarn_release(t);
    assert_int_equal(tensors_of(f).active, 0);
    assert_int_equal(tensors_of(f).retained, 0);
    assert_int_equal(stats_of(f).live_blocks, 0);
}

static void scopes_need_not_release(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, NULL);
    f.tm = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool, .auto_release = TARN_OFF });
    tarn_tensor *outer = NULL, *inner = NULL;
    {
        TARN_SCOPE(f.tm);
        outer = tarn_ones(f.tm, TARN_F32, TARN_SHAPE(3));
        {
            TARN_NO_GRAD(f.tm);
            inner = tarn_mul_scalar(outer, 2);
        }
        assert_ptr_equal(tarn_escape(outer), outer);
    }
    assert_int_equal(tensors_of(&f).active, 2);
    check_close(outer, ((const double[]){ 1, 1, 1 }), 3, 0);
    check_close(inner, ((const double[]){ 2, 2, 2 }), 3, 0);
    tarn_release(outer);
    assert_int_equal(tensors_of(&f).active, 1);
    assert_int_equal(stats_of(&f).live_blocks, 1); /* the manager ends the other one */
    check_end(&f);
}

static void training_works_without_scopes_releasing(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, NULL);
    f.tm = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool, .auto_release = TARN_OFF });
    tarn_module *net = tarn_module_create(f.tm);
    const tarn_linear l = tarn_linear_create(net, "l", 3, 1);
    tarn_optimizer *opt = tarn_sgd_create(net, NULL);
    tarn_tensor *x = tarn_ones(f.tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *y = tarn_ones(f.tm, TARN_F32, TARN_SHAPE(2, 1));
    for (int step = 0; step < 3; step++) {
        tarn_tensor *out, *loss;
        {
            TARN_SCOPE(f.tm);
            out = tarn_linear_forward(&l, x);
            loss = tarn_mse(out, y);
        }
        check_status(tarn_backward(loss), TARN_OK); /* the scope's end took nothing away */
        check_status(tarn_optimizer_step(opt), TARN_OK);
        tarn_release(loss);
        tarn_release(out);
    }
    check_end(&f);
}

static void origins_need_not_be_tracked(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, NULL);
    f.tm = tarn_manager_create(
        &(tarn_manager_options){ .pool = f.pool, .track_allocations = TARN_OFF });
    (void)tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(3));
    tarn_module *net = tarn_module_create(f.tm);
    (void)tarn_linear_create(net, "l", 3, 1);
    tarn_tag_usage rows[2];
    assert_int_equal(tarn_pool_get_tags(f.pool, rows, 2), 1);
    assert_int_equal(rows[0].kind, TARN_KIND_OTHER);
    assert_string_equal(rows[0].operation, "");
    assert_int_equal(rows[0].live, stats_of(&f).in_use);
    assert_int_equal(tensors_of(&f).created, 3); /* statistics stay */
    check_end(&f);
}

static void calls_are_timed_if_asked(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        check_fixture f;
        check_pool_begin(&f, NULL);
        f.tm = tarn_manager_create(
            &(tarn_manager_options){ .pool = f.pool, .time_calls = timed == 1 });
        for (int i = 0; i < 100; i++)
            tarn_release(tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(100, 100)));
        const tarn_manager_stats m = tensors_of(&f);
        assert_int_equal(m.acquire_ns > 0, timed);
        assert_int_equal(m.release_ns > 0, timed);
        check_end(&f);
    }
}

/* ---- creation without the pool, for comparison */

static void plain_zeros_never_enter_the_pool(void **state)
{
    check_fixture *f = *state;
    const tarn_pool_stats before = stats_of(f);
    const size_t live = f->system.live_bytes;
    for (int round = 0; round < 3; round++) {
        tarn_tensor *t = tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(100, 100));
        assert_non_null(t);
        const float *values = tarn_data(t);
        assert_int_equal((uintptr_t)values % 64, 0);
        check_bytes(values, 0, 40000);
        memset(tarn_data_mut(t), 1, 40000);
        const tarn_pool_stats s = stats_of(f);
        assert_int_equal(s.adopted, 40000);
        assert_int_equal(s.allocations, before.allocations);
        assert_int_equal(s.reserved, before.reserved);
        assert_int_equal(tensors_of(f).active, 1);
        assert_int_equal(tensors_of(f).total_memory, 40000);
        assert_true(f->system.live_bytes >= live + 40000);
        tarn_release(t); /* straight back */
        assert_int_equal(stats_of(f).adopted, 0);
        assert_true(f->system.live_bytes <= live + stats_of(f).metadata - before.metadata);
    }
    tarn_tensor *pooled = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 2));
    tarn_tensor *plain = tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(2, 2));
    check_close(tarn_add(tarn_add_scalar(plain, 1), pooled), ((const double[]){ 1, 1, 1, 1 }), 4,
                0);
    tarn_tensor *empty = tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(0, 5));
    assert_int_equal(tarn_numel(empty), 0);
    assert_non_null(tarn_zeros_plain(f->tm, TARN_I64, TARN_SCALAR));
}

static void plain_zeros_fail_as_others_do(void **state)
{
    check_fixture *f = *state;
    assert_null(tarn_zeros_plain(NULL, TARN_F32, TARN_SHAPE(1)));
    assert_null(tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(-1)));
    check_error_part(f->tm, TARN_ESHAPE, "tarn_zeros_plain");
    assert_null(tarn_zeros_plain(f->tm, (tarn_dtype)9, TARN_SHAPE(1)));
    check_error_part(f->tm, TARN_EDTYPE, "tarn_zeros_plain");
    assert_null(tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(INT64_MAX / 2, 4)));
    check_error_part(f->tm, TARN_EOVERFLOW, "tarn_zeros_plain");
    f->system.refuse_from = MIB;
    assert_null(tarn_zeros_plain(f->tm, TARN_F32, TARN_SHAPE(1000, 1000)));
    check_error_part(f->tm, TARN_ENOMEM, "tarn_zeros_plain");
    assert_int_equal(stats_of(f).adopted, 0);
    assert_int_equal(tensors_of(f).active, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)
        WITH_MANAGER(the_loop_of_tensors_gives_its_figures),
        WITH_MANAGER(the_loop_of_scopes_gives_its_figures),
        WITH_POOL(the_loop_of_arrays_gives_its_figures),
        WITH_MANAGER(the_loop_saves_what_the_document_says),
        WITH_POOL(arrays_of_every_type_read_as_zero),
        WITH_POOL(arrays_do_not_show_other_types_values),
        WITH_POOL(arrays_go_back_as_what_they_were),
        WITH_POOL(foreign_pointers_are_refused),
        WITH_POOL(impossible_arrays_are_none),
        WITH_POOL(many_arrays_are_told_apart),
        cmocka_unit_test(logical_buckets_are_those_of_the_document),
        cmocka_unit_test(every_size_fits_its_block_closely),
        WITH_POOL(blocks_have_the_capacity_that_is_promised),
        WITH_POOL(other_sizes_get_buckets_of_their_own),
        cmocka_unit_test(options_are_validated),
        cmocka_unit_test(statistics_can_be_turned_off),
        WITH_POOL(statistics_are_what_their_names_say),
        cmocka_unit_test(the_default_pool_can_be_had_again),
        cmocka_unit_test(the_default_manager_can_be_had_again),
        WITH_MANAGER(the_factories_of_the_document_work),
        WITH_MANAGER(manager_statistics_follow_lives),
        WITH_MANAGER(references_are_counted),
        cmocka_unit_test(scopes_need_not_release),
        cmocka_unit_test(training_works_without_scopes_releasing),
        cmocka_unit_test(origins_need_not_be_tracked),
        cmocka_unit_test(calls_are_timed_if_asked),
        WITH_MANAGER(plain_zeros_never_enter_the_pool),
        WITH_MANAGER(plain_zeros_fail_as_others_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
