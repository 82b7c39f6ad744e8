/* SPDX-License-Identifier: MIT
 * test_loader.c - batches: which rows, in what order, as what numbers, in whose memory. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* Rows (i, 10 i, 100 i) as F32, and labels i as I64. */
typedef struct data {
    tarn_tensor *x, *y;
} data;

static data make_data(tarn_manager *tm, int64_t rows)
{
    data d = { tarn_zeros(tm, TARN_F32, TARN_SHAPE(rows, 3)),
               tarn_arange(tm, TARN_I64, 0, (double)rows, 1) };
    float *x = tarn_data_mut(d.x);
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < 3; j++) x[i * 3 + j] = (float)((double)i * pow(10, j));
    return d;
}

enum { MAX_ROWS = 100 };

/* Runs one epoch, checks each batch against its labels, and notes the order of the rows. */
static int64_t run_epoch(tarn_loader *loader, int64_t batch_size, int64_t order[MAX_ROWS])
{
    tarn_tensor *x, *y;
    int64_t n = 0, batches = 0;
    while (tarn_loader_next(loader, &x, &y)) {
        const int64_t rows = tarn_dim(x, 0);
        assert_true(rows >= 1 && rows <= batch_size);
        assert_int_equal(tarn_dim(x, 1), 3);
        assert_int_equal(tarn_dim(y, 0), rows);
        const float *values = tarn_data(x);
        const int64_t *labels = tarn_data(y);
        for (int64_t i = 0; i < rows; i++) {
            for (int j = 0; j < 3; j++)
                assert_true(values[i * 3 + j] == (float)((double)labels[i] * pow(10, j)));
            order[n++] = labels[i];
        }
        batches++;
    }
    assert_null(x);
    assert_null(y);
    assert_int_equal(batches, tarn_loader_batches(loader));
    return n;
}

static void check_permutation(const int64_t *order, int64_t n)
{
    bool seen[MAX_ROWS] = { false };
    for (int64_t i = 0; i < n; i++) {
        assert_true(order[i] >= 0 && order[i] < n && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

/* ---- which rows */

static void test_every_row_once(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 23);
    int64_t order[MAX_ROWS];
    for (int64_t batch_size = 1; batch_size <= 25; batch_size++) {
        for (int shuffle = 0; shuffle < 2; shuffle++) {
            tarn_loader *loader = tarn_loader_create(
                d.x, d.y, &(tarn_loader_options){ .batch_size = batch_size, .shuffle = shuffle });
            assert_int_equal(tarn_loader_rows(loader), 23);
            assert_int_equal(tarn_loader_batches(loader), (23 + batch_size - 1) / batch_size);
            for (int epoch = 0; epoch < 2; epoch++) {
                assert_int_equal(run_epoch(loader, batch_size, order), 23);
                assert_int_equal(tarn_loader_epoch(loader), epoch);
                check_permutation(order, 23);
                for (int64_t i = 0; i < 23 && !shuffle; i++) assert_int_equal(order[i], i);
            }
            tarn_loader_destroy(loader);
        }
    }
}

static void test_drop_last(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 23);
    int64_t order[MAX_ROWS];
    tarn_loader *loader =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 5, .drop_last = true });
    assert_int_equal(tarn_loader_batches(loader), 4);
    assert_int_equal(run_epoch(loader, 5, order), 20);
    loader =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 24, .drop_last = true });
    assert_int_equal(run_epoch(loader, 24, order), 0);
    loader = tarn_loader_create(d.x, d.y, NULL);
    assert_int_equal(tarn_loader_batches(loader), 1); /* of 32 */
    assert_int_equal(run_epoch(loader, 32, order), 23);
}

static void test_no_rows(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 0);
    tarn_loader *loader = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .shuffle = true });
    tarn_tensor *x, *y;
    assert_non_null(loader);
    for (int i = 0; i < 3; i++) assert_false(tarn_loader_next(loader, &x, &y));
    assert_int_equal(tarn_loader_batches(loader), 0);

    tarn_tensor *empty_rows = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4, 0));
    loader = tarn_loader_create(empty_rows, NULL, &(tarn_loader_options){ .batch_size = 3 });
    assert_true(tarn_loader_next(loader, &x, NULL));
    assert_int_equal(tarn_dim(x, 0), 3);
    assert_int_equal(tarn_numel(x), 0);
}

/* ---- parts of the rows */

/* The rows that a loader of a part serves in an epoch, sorted in. Asserts that none was seen. */
static int64_t see_part(const data *d, tarn_loader_options o, bool seen[MAX_ROWS])
{
    int64_t order[MAX_ROWS];
    o.batch_size = 4;
    tarn_loader *loader = tarn_loader_create(d->x, d->y, &o);
    assert_non_null(loader);
    const int64_t n = run_epoch(loader, 4, order);
    assert_int_equal(n, tarn_loader_rows(loader));
    for (int64_t i = 0; i < n; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
    tarn_loader_destroy(loader);
    return n;
}

/* Two parts that meet at any fraction share nothing and leave nothing out, mixed or shuffled. */
static void test_parts(void **state)
{
    check_fixture *f = *state;
    for (int64_t rows = 0; rows < 24; rows += 1 + rows / 10) {
        const data d = make_data(f->tm, rows);
        for (int i = 1; i < 20; i++) {
            bool seen[MAX_ROWS] = { false };
            const double at = i / 20.0;
            const bool mix = i % 2 == 0;
            const int64_t a = see_part(
                &d, (tarn_loader_options){ .to = at, .mix = mix, .shuffle = i % 3 == 0 }, seen);
            const int64_t b =
                see_part(&d, (tarn_loader_options){ .from = at, .mix = mix, .stream = 7 }, seen);
            assert_int_equal(a, (int64_t)floor(at * (double)rows + 0.5));
            assert_int_equal(a + b, rows);
        }
    }
    check_no_error(f->tm);
}

static void test_folds(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 23);
    for (int k = 2; k < 9; k++) {
        bool validated[MAX_ROWS] = { false };
        for (int i = 0; i < k; i++) {
            bool seen[MAX_ROWS] = { false };
            const double from = (double)i / k, to = (double)(i + 1) / k;
            const tarn_loader_options train = { .from = to, .to = from, .mix = k > 4 };
            const tarn_loader_options rest = { .from = from, .to = to, .mix = k > 4 };
            const int64_t n = see_part(&d, rest, validated);
            (void)see_part(&d, rest, seen);
            assert_int_equal(see_part(&d, train, seen) + n, 23);
        }
        for (int i = 0; i < 23; i++) assert_true(validated[i]);
    }
    check_no_error(f->tm);
}

static void test_mixing(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 50);
    int64_t a[MAX_ROWS], b[MAX_ROWS];
    tarn_loader *mixed = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .mix = true });
    tarn_loader *other =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .mix = true, .stream = 3 });
    assert_int_equal(run_epoch(mixed, 32, a), 50);
    assert_int_equal(run_epoch(other, 32, b), 50);
    check_permutation(a, 50);
    assert_memory_equal(a, b, 50 * sizeof a[0]);
    assert_int_equal(run_epoch(mixed, 32, b), 50); /* the same in each epoch */
    assert_memory_equal(a, b, 50 * sizeof a[0]);
    bool moved = false;
    for (int i = 0; i < 50; i++) moved = moved || a[i] != i;
    assert_true(moved);
    check_no_error(f->tm);
}

static void test_parts_refused(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 5);
    assert_null(tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .from = -0.5 }));
    check_error(f->tm, TARN_EARG,
                "tarn_loader_create: rows from -0.5 to 1 of all; 0 to 1 is possible");
    assert_null(tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .to = NAN }));
    check_error_part(f->tm, TARN_EARG, "0 to 1 is possible");
    assert_null(tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .from = 0.5, .to = 0.5 }));
    check_error(f->tm, TARN_EARG, "tarn_loader_create: no rows from 0.5 to 0.5 of all");
}

static void test_rewind(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 9);
    int64_t a[MAX_ROWS], b[MAX_ROWS];
    const tarn_loader_options o = { .batch_size = 4, .shuffle = true };
    tarn_loader *loader = tarn_loader_create(d.x, d.y, &o);
    tarn_loader_rewind(loader);
    assert_int_equal(run_epoch(loader, 4, a), 9);
    assert_int_equal(tarn_loader_epoch(loader), 0);
    tarn_loader_rewind(loader); /* between two epochs */
    assert_true(tarn_loader_next(loader, NULL, NULL));
    assert_int_equal(tarn_loader_epoch(loader), 1);
    tarn_loader_rewind(loader);
    assert_int_equal(run_epoch(loader, 4, a), 9);
    assert_int_equal(tarn_loader_epoch(loader), 1);
    assert_int_equal(tarn_loader_seek(loader, 1), TARN_OK);
    for (int i = 0; i < 3; i++) assert_true(tarn_loader_next(loader, NULL, NULL));
    tarn_loader_rewind(loader); /* after the last batch, before the end was told */
    assert_true(tarn_loader_next(loader, NULL, NULL));
    assert_int_equal(tarn_loader_epoch(loader), 2);
    assert_int_equal(tarn_loader_seek(loader, 1), TARN_OK);
    assert_int_equal(run_epoch(loader, 4, b), 9);
    assert_memory_equal(a, b, 9 * sizeof a[0]);
    tarn_loader_rewind(NULL);
    check_no_error(f->tm);
}

/* ---- order */

static bool same_order(const int64_t *a, const int64_t *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static void test_shuffle(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 50);
    int64_t first[3][MAX_ROWS], other[MAX_ROWS];
    const tarn_loader_options o = { .batch_size = 8, .shuffle = true };
    tarn_loader *loader = tarn_loader_create(d.x, d.y, &o);
    for (int epoch = 0; epoch < 3; epoch++) run_epoch(loader, 8, first[epoch]);
    assert_false(same_order(first[0], first[1], 50) || same_order(first[1], first[2], 50));

    /* The batch size, another loader, and going back change nothing. */
    tarn_loader *twin =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 7, .shuffle = true });
    run_epoch(twin, 7, other);
    assert_true(same_order(first[0], other, 50));
    assert_int_equal(tarn_loader_seek(twin, 2), TARN_OK);
    run_epoch(twin, 7, other);
    assert_true(same_order(first[2], other, 50));
    assert_int_equal(tarn_loader_epoch(twin), 2);
    tarn_tensor *x;
    assert_true(tarn_loader_next(twin, &x, NULL));
    assert_int_equal(tarn_loader_seek(twin, 1), TARN_OK); /* in the middle of an epoch */
    run_epoch(twin, 7, other);
    assert_true(same_order(first[1], other, 50));
    assert_int_equal(tarn_loader_seek(twin, -1), TARN_EARG);
    check_error_part(f->tm, TARN_EARG, "epoch -1");

    /* The stream and the seed do. */
    tarn_loader *streamed = tarn_loader_create(
        d.x, d.y, &(tarn_loader_options){ .batch_size = 8, .shuffle = true, .stream = 1 });
    run_epoch(streamed, 8, other);
    assert_false(same_order(first[0], other, 50));
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 6 });
    const data e = make_data(tm, 50);
    run_epoch(tarn_loader_create(e.x, e.y, &o), 8, other);
    assert_false(same_order(first[0], other, 50));
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

/* Each row comes first about as often as any other: over 2000 epochs of 10 rows, chi squared with 9
 * degrees of freedom exceeds 60 once in 1e9 times. So for the last place. */
static void test_shuffle_is_fair(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 10);
    tarn_loader *loader =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 10, .shuffle = true });
    double first[10] = { 0 }, last[10] = { 0 }, chi_first = 0, chi_last = 0;
    for (int epoch = 0; epoch < 2000; epoch++) {
        int64_t order[MAX_ROWS];
        run_epoch(loader, 10, order);
        first[order[0]]++;
        last[order[9]]++;
    }
    for (int i = 0; i < 10; i++) {
        chi_first += (first[i] - 200) * (first[i] - 200) / 200;
        chi_last += (last[i] - 200) * (last[i] - 200) / 200;
    }
    assert_true(chi_first < 60 && chi_last < 60);
}

/* ---- as what numbers */

/* Reads 200 numbers of type `from`, 0 to 199, as floats of type `to`; targets come as they are. */
static void check_types(tarn_manager *tm, tarn_dtype from, tarn_dtype to, double scale,
                        double shift)
{
    TARN_SCOPE(tm);
    tarn_tensor *source = tarn_cast(tarn_arange(tm, TARN_F64, 0, 200, 1), from);
    source = tarn_reshape(source, TARN_SHAPE(20, 2, 5));
    tarn_loader *loader = tarn_loader_create(
        source, source,
        &(tarn_loader_options){ .batch_size = 6, .dtype = to, .scale = scale, .shift = shift });
    tarn_tensor *x, *y;
    double value = 0;
    while (tarn_loader_next(loader, &x, &y)) {
        assert_int_equal(tarn_get_dtype(x), to);
        assert_int_equal(tarn_get_dtype(y), from);
        assert_int_equal(tarn_ndim(x), 3);
        const double *targets = tarn_data(tarn_cast(y, TARN_F64));
        for (int64_t i = 0; i < tarn_numel(x); i++, value++) {
            const double expected = (value - shift) * (scale == 0 ? 1 : scale);
            assert_true(targets[i] == value);
            if (to == TARN_F64) assert_true(((const double *)tarn_data(x))[i] == expected);
            else assert_true(((const float *)tarn_data(x))[i] == (float)expected);
        }
    }
    assert_true(value == 200);
    assert_true(tarn_ok(tm));
}

static void test_types(void **state)
{
    check_fixture *f = *state;
    const tarn_dtype types[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
    for (int from = 0; from < 5; from++) {
        for (int to = 0; to < 2; to++) {
            check_types(f->tm, types[from], types[to], 0, 0);
            check_types(f->tm, types[from], types[to], 1. / 255, 0);
            check_types(f->tm, types[from], types[to], 1. / 255, 100);
        }
    }
}

/* Bytes may become floats by another way than other types: the floats are the same. */
static void test_bytes(void **state)
{
    check_fixture *f = *state;
    enum { BYTES = 256, DRAWN = 200 };
    static const double known[][2] = {
        { 0, 1 },          { 0, 1. / 255 },    { 127.5, 1 / 127.5 }, { 33.32, 1 / 78.57 },
        { 0, -1. / 255 },  { 255, -1. / 255 }, { 1e10, 3 },          { -1e-10, 1e30 },
        { 1e300, 1e-300 }, { 0.1, 1e-45 },     { 12, 1e300 },        { 1e-300, -1e-300 }
    };
    enum { KNOWN = sizeof known / sizeof known[0] };
    tarn_tensor *bytes = tarn_cast(tarn_arange(f->tm, TARN_F64, 0, BYTES, 1), TARN_U8);
    tarn_tensor *drawn = tarn_random_uniform(f->tm, TARN_F64, TARN_SHAPE(DRAWN, 2), 0, 1, 1);
    const double *draw = tarn_data(drawn);
    for (int i = 0; i < KNOWN + DRAWN; i++) {
        const double shift = i < KNOWN ? known[i][0] : 300 * draw[2 * (i - KNOWN)] - 20;
        const double scale = i < KNOWN ? known[i][1] : 1 / (300 * draw[2 * (i - KNOWN) + 1] - 100);
        tarn_loader *loader = tarn_loader_create(
            bytes, NULL,
            &(tarn_loader_options){ .batch_size = BYTES, .shift = shift, .scale = scale });
        tarn_tensor *x;
        assert_true(tarn_loader_next(loader, &x, NULL));
        const float *floats = tarn_data(x);
        for (int byte = 0; byte < BYTES; byte++) {
            const float expected = (float)((byte - shift) * scale);
            assert_memory_equal(&floats[byte], &expected, sizeof expected);
        }
        tarn_loader_destroy(loader);
    }
}

static void test_flatten(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *images = tarn_ones(f->tm, TARN_U8, TARN_SHAPE(9, 4, 5, 2));
    tarn_tensor *vector = tarn_ones(f->tm, TARN_U8, TARN_SHAPE(9));
    const tarn_loader_options o = { .batch_size = 4, .flatten = true };
    tarn_tensor *x, *y;
    assert_true(tarn_loader_next(tarn_loader_create(images, images, &o), &x, &y));
    assert_int_equal(tarn_ndim(x), 2);
    assert_int_equal(tarn_dim(x, 0), 4);
    assert_int_equal(tarn_dim(x, 1), 40);
    assert_int_equal(tarn_ndim(y), 4);
    assert_true(tarn_loader_next(tarn_loader_create(vector, NULL, &o), &x, NULL));
    assert_int_equal(tarn_ndim(x), 2);
    assert_int_equal(tarn_dim(x, 1), 1);
}

static void test_strided_sources(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 12);
    tarn_tensor *columns = tarn_transpose(tarn_contiguous(tarn_transpose(d.x, 0, 1)), 0, 1);
    assert_false(tarn_is_contiguous(columns));
    int64_t order[MAX_ROWS];
    run_epoch(tarn_loader_create(columns, d.y, &(tarn_loader_options){ .batch_size = 5 }), 5,
              order);

    tarn_tensor *repeated =
        tarn_expand(tarn_full(f->tm, TARN_F32, TARN_SHAPE(1, 2), 3), TARN_SHAPE(6, 2));
    tarn_tensor *x;
    assert_true(tarn_loader_next(tarn_loader_create(repeated, NULL, NULL), &x, NULL));
    assert_true(((const float *)tarn_data(x))[11] == 3);
    tarn_release(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(3, 2))); /* leaves memory that is not zero */
    tarn_tensor *zeros = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(3, 2));
    assert_true(tarn_loader_next(tarn_loader_create(zeros, NULL, NULL), &x, NULL));
    assert_true(((const float *)tarn_data(x))[5] == 0);
}

/* ---- in whose memory */

static void test_data_outlive_their_scope(void **state)
{
    check_fixture *f = *state;
    tarn_loader *loader;
    {
        TARN_SCOPE(f->tm);
        const data d = make_data(f->tm, 20);
        loader = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 6 });
    }
    int64_t order[MAX_ROWS];
    assert_int_equal(run_epoch(loader, 6, order), 20);
    tarn_loader_destroy(loader);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
}

static void test_retained_batch_survives(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 10);
    tarn_loader *loader = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 4 });
    tarn_tensor *x[4], *y;
    for (int i = 0; i < 3; i++) {
        assert_true(tarn_loader_next(loader, &x[i], &y));
        tarn_retain(x[i]);
    }
    assert_false(tarn_loader_next(loader, &x[3], &y));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tarn_dim(x[i], 0), i < 2 ? 4 : 2);
        assert_true(((const float *)tarn_data(x[i]))[3] == (float)(4 * i + 1));
    }
    tarn_loader_destroy(loader);
    for (int i = 0; i < 3; i++) {
        assert_true(((const float *)tarn_data(x[i]))[3] == (float)(4 * i + 1));
        tarn_release(x[i]);
    }
    assert_true(tarn_ok(f->tm));
}

/* A view shares the memory of a batch and so holds it; else the next batch takes it again. */
static void test_views_hold_a_batch(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 12);
    tarn_loader *loader = tarn_loader_create(d.x, NULL, &(tarn_loader_options){ .batch_size = 4 });
    TARN_SCOPE(f->tm);
    tarn_tensor *x, *next;
    assert_true(tarn_loader_next(loader, &x, NULL));
    tarn_tensor *row = tarn_slice(x, 0, 1, 2);
    assert_true(tarn_loader_next(loader, &next, NULL));
    assert_true(((const float *)tarn_data(row))[0] == 1);
    assert_true(((const float *)tarn_data(next))[0] == 4);
    const void *memory = tarn_data(next);
    assert_true(tarn_loader_next(loader, &x, NULL));
    assert_ptr_equal(tarn_data(x), memory);
}

/* What backward still needs is not overwritten by the next batch. */
static void test_saved_batch(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 8);
    tarn_loader *loader = tarn_loader_create(d.x, NULL, &(tarn_loader_options){ .batch_size = 2 });
    tarn_module *m = tarn_module_create(f->tm);
    tarn_tensor *w = tarn_module_add_parameter(m, "w", TARN_F32, TARN_SHAPE(3), NULL);
    TARN_SCOPE(f->tm);
    tarn_tensor *x, *later;
    assert_true(tarn_loader_next(loader, &x, NULL));
    assert_true(tarn_loader_next(loader, &x, NULL)); /* rows 2 and 3 */
    tarn_tensor *loss = tarn_sum(tarn_mul(x, w), TARN_ALL_AXES);
    assert_true(tarn_loader_next(loader, &later, NULL));
    assert_int_equal(tarn_backward(loss), TARN_OK);
    assert_true(((const float *)tarn_data(tarn_grad_of(w)))[2] == 500);
}

/* A batch that a user made a leaf keeps its gradient to itself. */
static void test_leaf_batch(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 8);
    tarn_loader *loader = tarn_loader_create(d.x, NULL, &(tarn_loader_options){ .batch_size = 4 });
    tarn_tensor *x;
    assert_true(tarn_loader_next(loader, &x, NULL));
    assert_non_null(tarn_require_grad(x));
    assert_true(tarn_loader_next(loader, &x, NULL));
    assert_false(tarn_requires_grad(x));
}

static void test_steady_state(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 90);
    tarn_loader *loader =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 8, .shuffle = true });
    tarn_module *m = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(m, "l", 3, 2);
    tarn_pool_stats first = { 0 };
    for (int epoch = 0; epoch < 4; epoch++) {
        tarn_tensor *x;
        while (tarn_loader_next(loader, &x, NULL)) {
            TARN_SCOPE(f->tm);
            assert_int_equal(tarn_backward(tarn_sum(tarn_linear_forward(&l, x), TARN_ALL_AXES)),
                             TARN_OK);
        }
        const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
        if (epoch == 0) first = s;
        if (check_is_plain(f->pool))
            assert_int_equal(s.system_allocations, first.system_allocations);
        assert_int_equal(s.live_blocks, first.live_blocks);
        assert_int_equal(s.current_usage, first.current_usage);
    }
}

/* ---- failures */

static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 10);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    tarn_tensor *flipped = tarn_transpose(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4, 10)), 0, 1);
    check_fail_acquisition(f->pool, 1);
    assert_null(tarn_loader_create(d.x, flipped, NULL));
    check_error_part(f->tm, TARN_ENOMEM, "");
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks + 1);

    tarn_loader *loader = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 4 });
    tarn_tensor *x, *y;
    for (uint64_t n = 1; n <= 2; n++) {
        check_fail_acquisition(f->pool, n);
        assert_false(tarn_loader_next(loader, &x, &y));
        assert_null(x);
        assert_null(y);
        check_error_part(f->tm, TARN_ENOMEM, "");
    }
    assert_true(tarn_loader_next(loader, &x, &y)); /* still the first batch */
    assert_int_equal(((const int64_t *)tarn_data(y))[0], 0);
}

static void test_held_error(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 10);
    tarn_loader *loader = tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 4 });
    tarn_tensor *x, *y;
    assert_true(tarn_loader_next(loader, &x, &y));
    tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    assert_false(tarn_loader_next(loader, &x, &y));
    assert_null(x);
    assert_null(y);
    tarn_clear_error(f->tm);
    assert_true(tarn_loader_next(loader, &x, &y)); /* goes on where it was */
    assert_int_equal(((const int64_t *)tarn_data(y))[0], 4);
}

static void test_refused(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 10), e = make_data(f->tm, 11);
    assert_null(tarn_loader_create(d.x, e.y, NULL));
    check_error_part(f->tm, TARN_ESHAPE, "[10,3]");
    assert_null(tarn_loader_create(tarn_full(f->tm, TARN_F32, TARN_SCALAR, 1), NULL, NULL));
    check_error_part(f->tm, TARN_ESHAPE, "rows");
    const tarn_loader_options bad[] = { { .batch_size = -1 },
                                        { .scale = NAN },
                                        { .shift = INFINITY },
                                        { .dtype = TARN_I32 },
                                        { .dtype = (tarn_dtype)50 } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(tarn_loader_create(d.x, d.y, &bad[i]));
        check_error_part(f->tm, TARN_EARG, "tarn_loader_create");
    }
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    assert_null(tarn_loader_create(d.x, tarn_zeros(tm, TARN_F32, TARN_SHAPE(10)), NULL));
    check_error_part(f->tm, TARN_ESTATE, "manager");
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

static void test_null(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *x = (tarn_tensor *)&x, *y = (tarn_tensor *)&y;
    assert_null(tarn_loader_create(NULL, NULL, NULL));
    assert_false(tarn_loader_next(NULL, &x, &y));
    assert_null(x);
    assert_null(y);
    assert_false(tarn_loader_next(NULL, NULL, NULL));
    assert_int_equal(tarn_loader_batches(NULL), 0);
    assert_int_equal(tarn_loader_rows(NULL), 0);
    assert_int_equal(tarn_loader_epoch(NULL), 0);
    assert_int_equal(tarn_loader_seek(NULL, 0), TARN_EARG);
    tarn_loader_destroy(NULL);

    const data d = make_data(f->tm, 4);
    assert_null(tarn_loader_create(NULL, d.y, NULL));
    check_error_part(f->tm, TARN_EARG, "inputs are NULL");
    tarn_loader *loader = tarn_loader_create(d.x, NULL, &(tarn_loader_options){ .batch_size = 2 });
    y = (tarn_tensor *)&y;
    assert_true(tarn_loader_next(loader, NULL, NULL));
    assert_true(tarn_loader_next(loader, &x, &y));
    assert_null(y);
    assert_true(((const float *)tarn_data(x))[0] == 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_row_once),
        TEST(test_parts),
        TEST(test_folds),
        TEST(test_mixing),
        TEST(test_parts_refused),
        TEST(test_rewind),
        TEST(test_drop_last),
        TEST(test_no_rows),
        TEST(test_shuffle),
        TEST(test_shuffle_is_fair),
        TEST(test_types),
        TEST(test_bytes),
        TEST(test_flatten),
        TEST(test_strided_sources),
        TEST(test_data_outlive_their_scope),
        TEST(test_retained_batch_survives),
        TEST(test_views_hold_a_batch),
        TEST(test_saved_batch),
        TEST(test_leaf_batch),
        TEST(test_steady_state),
        TEST(test_short_memory),
        TEST(test_held_error),
        TEST(test_refused),
        TEST(test_null),
    };
#undef TEST
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
