/* SPDX-License-Identifier: MIT
 * test_usage.c - who holds what: tags, what a peak was made of, buckets, live blocks and tensors,
 * phases, the steady state, and statistics as differences and as JSON. */
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

enum { KIB = 1024, MIB = 1024 * 1024, ROWS = 256 };

static tarn_pool_stats stats_of(const check_fixture *f) { return tarn_pool_get_stats(f->pool); }

/* ---- all tags of a pool, and that they add up */

typedef struct table {
    tarn_tag_usage rows[ROWS];
    size_t n;
} table;

static const table *tags_of(const check_fixture *f)
{
    static table t;
    t.n = tarn_pool_get_tags(f->pool, t.rows, ROWS);
    assert_true(t.n <= ROWS);
    return &t;
}

static void check_tags(const check_fixture *f)
{
    const tarn_pool_stats s = stats_of(f);
    const table *t = tags_of(f);
    size_t live = 0, at_peak = 0;
    uint64_t blocks = 0;
    for (size_t i = 0; i < t->n; i++) {
        const tarn_tag_usage *row = &t->rows[i];
        live += row->live;
        at_peak += row->at_peak;
        blocks += row->blocks;
        assert_true(row->live <= row->peak && row->at_peak <= row->peak);
        assert_true(row->blocks <= row->acquired && row->acquired > 0);
        assert_true(i == 0 || row->at_peak <= t->rows[i - 1].at_peak);
    }
    if (live != s.in_use || at_peak != s.peak_in_use || blocks != s.live_blocks)
        fail_msg("live %zu of %zu, at the peak %zu of %zu, %zu of %zu blocks", live, s.in_use,
                 at_peak, s.peak_in_use, (size_t)blocks, (size_t)s.live_blocks);
}

static const tarn_tag_usage *find(const check_fixture *f, const char *path, const char *operation,
                                  tarn_kind kind)
{
    const table *t = tags_of(f);
    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].kind == kind && strcmp(t->rows[i].path, path) == 0 &&
            strcmp(t->rows[i].operation, operation) == 0)
            return &t->rows[i];
    fail_msg("no tag \"%s\" \"%s\" %s", path, operation, tarn_kind_name(kind));
    return NULL;
}

static size_t live(const check_fixture *f, const char *path, const char *operation, tarn_kind kind)
{
    return find(f, path, operation, kind)->live;
}

/* ---- what is trained: an MLP 6-5-3 with Adam */

typedef struct trainee {
    tarn_module *net;
    tarn_mlp mlp;
    tarn_optimizer *opt;
    tarn_tensor *x, *y;
} trainee;

static trainee trainee_new(check_fixture *f)
{
    trainee t = { .net = tarn_module_create(f->tm) };
    t.mlp = tarn_mlp_create(t.net, "mlp", (const int64_t[]){ 6, 5, 3 }, 3, NULL);
    t.opt = tarn_adam_create(t.net, NULL);
    t.x = tarn_random_uniform(f->tm, TARN_F32, TARN_SHAPE(6, 4), 0, 1, 1);
    t.y = tarn_zeros(f->tm, TARN_I32, TARN_SHAPE(4));
    return t;
}

static tarn_tensor *forward(const trainee *t)
{
    /* The transposed input has gaps: softmax packs it. */
    tarn_tensor *in = tarn_softmax(tarn_transpose(t->x, 0, 1), 1);
    return tarn_cross_entropy(tarn_mlp_forward(&t->mlp, in), t->y);
}

static void train_step(check_fixture *f, const trainee *t)
{
    const tarn_scope scope = tarn_scope_begin(f->tm);
    check_status(tarn_backward(forward(t)), TARN_OK);
    check_status(tarn_optimizer_step(t->opt), TARN_OK);
    tarn_scope_end(scope);
}

/* ---- tags */

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(tarn_kind_name(TARN_KIND_OTHER), "other");
    assert_string_equal(tarn_kind_name(TARN_KIND_WORKSPACE), "workspace");
    assert_string_equal(tarn_kind_name((tarn_kind)TARN_N_KINDS), "unknown");
    assert_string_equal(tarn_kind_name((tarn_kind)-1), "unknown");
    assert_int_equal(TARN_KIND_WORKSPACE + 1, TARN_N_KINDS);
}

static void training_is_told_apart_by_kind(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    check_tags(f);
    const tarn_scope scope = tarn_scope_begin(f->tm);
    tarn_tensor *loss = forward(&t);
    check_tags(f);
    static const char *const layers[] = { "mlp.0", "mlp.1" };
    for (int i = 0; i < 2; i++) {
        const size_t weight = live(f, layers[i], "weight", TARN_KIND_PARAMETER);
        assert_int_equal(weight, i == 0 ? 128 : 64);
        assert_int_equal(live(f, layers[i], "bias", TARN_KIND_PARAMETER), 64);
        assert_int_equal(live(f, layers[i], "weight", TARN_KIND_OPTIMIZER), 2 * weight);
        assert_int_equal(live(f, layers[i], "bias", TARN_KIND_OPTIMIZER), 128);
    }
    assert_int_equal(live(f, "", "random_uniform", TARN_KIND_DATA), 128);
    assert_int_equal(live(f, "", "zeros", TARN_KIND_DATA), 64);
    assert_int_equal(live(f, "mlp.0", "affine", TARN_KIND_SAVED), 128); /* relu needs y */
    assert_int_equal(live(f, "mlp.1", "affine", TARN_KIND_SAVED), 64);
    assert_int_equal(live(f, "", "softmax", TARN_KIND_SAVED), 128);
    assert_int_equal(live(f, "", "softmax", TARN_KIND_WORKSPACE), 0);
    assert_int_equal(find(f, "", "softmax", TARN_KIND_WORKSPACE)->peak, 128);
    assert_int_equal(live(f, "", "cross_entropy", TARN_KIND_ACTIVATION), 64);

    check_status(tarn_backward(loss), TARN_OK);
    check_tags(f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(live(f, layers[i], "weight", TARN_KIND_GRADIENT), i == 0 ? 128 : 64);
        assert_int_equal(live(f, layers[i], "bias", TARN_KIND_GRADIENT), 64);
    }
    assert_int_equal(live(f, "mlp.0", "affine", TARN_KIND_SAVED), 0);
    assert_int_equal(live(f, "mlp.0", "affine", TARN_KIND_GRADIENT), 0);
    assert_true(find(f, "mlp.0", "affine", TARN_KIND_GRADIENT)->acquired > 0);
    check_status(tarn_optimizer_step(t.opt), TARN_OK);
    tarn_scope_end(scope);
    check_tags(f);
    for (int i = 0; i < 20; i++) {
        train_step(f, &t);
        check_tags(f);
    }
    check_status(tarn_module_destroy(t.net), TARN_OK);
    tarn_optimizer_destroy(t.opt);
    check_tags(f);
    assert_int_equal(live(f, "mlp.0", "weight", TARN_KIND_PARAMETER), 0);
}

static void direct_blocks_are_other(void **state)
{
    check_fixture *f = *state;
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, 100, TARN_ZEROED, &block), TARN_OK);
    tarn_tag_usage row;
    assert_int_equal(tarn_pool_get_tags(f->pool, &row, 1), 1);
    assert_true(row.kind == TARN_KIND_OTHER && row.live == 128 && row.blocks == 1);
    assert_true(row.path[0] == '\0' && row.operation[0] == '\0');
    assert_int_equal(tarn_pool_get_tags(f->pool, NULL, 0), 1);
    assert_int_equal(tarn_pool_get_tags(f->pool, NULL, 1), 0);
    assert_int_equal(tarn_pool_get_tags(NULL, &row, 1), 0);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
}

static void long_paths_are_cut(void **state)
{
    check_fixture *f = *state;
    tarn_module *m = tarn_module_create(f->tm);
    char name[61] = "";
    memset(name, 'a', 60);
    for (int depth = 0; depth < 3; depth++) m = tarn_module_add_child(m, name);
    (void)tarn_module_add_parameter(m, "w", TARN_F32, TARN_SHAPE(3), NULL);
    tarn_tag_usage row;
    assert_int_equal(tarn_pool_get_tags(f->pool, &row, 1), 1);
    assert_int_equal(strlen(row.path), TARN_TAG_PATH_BYTES - 1);
    check_tags(f);
}

/* More tags than any table begins with: one a module. */
static void many_tags_add_up(void **state)
{
    enum { N = 100 };
    check_fixture *f = *state;
    tarn_module *net = tarn_module_create(f->tm);
    for (int i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "m%d", i);
        (void)tarn_module_add_parameter(tarn_module_add_child(net, name), "w", TARN_F32,
                                        TARN_SHAPE(10 * (i + 1) * (i + 1)), NULL);
    }
    assert_int_equal(tarn_pool_get_tags(f->pool, NULL, 0), N);
    check_tags(f);
    tarn_tag_usage top[3]; /* those that hold most come first, also when there are more */
    assert_int_equal(tarn_pool_get_tags(f->pool, top, 3), N);
    assert_string_equal(top[0].path, "m99");
    assert_string_equal(top[1].path, "m98");
    assert_string_equal(top[2].path, "m97");
    check_status(tarn_module_destroy(net), TARN_OK);
    check_tags(f);
}

/* What one caller acquired and another released is no longer live, whatever its tag. */
static void what_others_release_is_not_live(void **state)
{
    enum { N = 40 };
    check_fixture *f = *state;
    tarn_module *net = tarn_module_create(f->tm);
    for (int i = 0; i < N; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "m%d", i);
        (void)tarn_module_add_parameter(tarn_module_add_child(net, name), "w", TARN_F32,
                                        TARN_SHAPE(10), NULL);
    }
    tarn_block warm, block; /* the direct caller's table is small yet */
    check_status(tarn_pool_acquire(f->pool, 100, TARN_ZEROED, &warm), TARN_OK);
    check_status(tarn_pool_release(f->pool, warm), TARN_OK);
    check_status(tarn_take_block(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1000)), &block), TARN_OK);
    assert_int_equal(live(f, "", "ones", TARN_KIND_DATA), 4096);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    assert_int_equal(live(f, "", "ones", TARN_KIND_DATA), 0);
    const table *t = tags_of(f);
    size_t sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += t->rows[i].live;
    assert_int_equal(sum, stats_of(f).in_use);
}

/* ---- what a peak was made of, against a shadow that looks after every call */

typedef struct shadow {
    size_t peak;
    table at; /* live rows at the peak */
} shadow;

static void look(const check_fixture *f, shadow *s)
{
    const table *t = tags_of(f);
    size_t sum = 0;
    for (size_t i = 0; i < t->n; i++) sum += t->rows[i].live;
    assert_int_equal(sum, stats_of(f).in_use);
    if (sum <= s->peak) return;
    s->peak = sum;
    s->at = *t;
}

static void check_shadow(const check_fixture *f, const shadow *s)
{
    assert_int_equal(stats_of(f).peak_in_use, s->peak);
    const table *t = tags_of(f);
    for (size_t i = 0; i < t->n; i++) {
        size_t expected = 0;
        for (size_t k = 0; k < s->at.n; k++)
            if (t->rows[i].kind == s->at.rows[k].kind &&
                strcmp(t->rows[i].path, s->at.rows[k].path) == 0 &&
                strcmp(t->rows[i].operation, s->at.rows[k].operation) == 0)
                expected += s->at.rows[k].live;
        if (t->rows[i].at_peak != expected)
            fail_msg("%s: %zu at the peak, not %zu", t->rows[i].operation, t->rows[i].at_peak,
                     expected);
    }
}

static tarn_tensor *any_tensor(tarn_manager *tm, uint64_t choice, int64_t n)
{
    switch (choice % 6) {
    case 0: return tarn_zeros(tm, TARN_F32, TARN_SHAPE(n));
    case 1: return tarn_ones(tm, TARN_F64, TARN_SHAPE(n));
    case 2: return tarn_empty(tm, TARN_U8, TARN_SHAPE(n));
    case 3: return tarn_full(tm, TARN_I64, TARN_SHAPE(n), 7);
    case 4: return tarn_arange(tm, TARN_F32, 0, (double)n, 1);
    default: return tarn_random_normal(tm, TARN_F32, TARN_SHAPE(n), 0, 1, choice);
    }
}

static void the_composition_of_a_peak_is_true(void **state)
{
    enum { N = 12 };
    check_fixture *f = *state;
    static shadow s;
    s = (shadow){ 0 };
    tarn_tensor *held[N] = { NULL };
    uint64_t seed = check_seed();
    for (size_t k = 0; k < check_scaled(3000); k++) {
        const size_t i = (size_t)(check_random(&seed) % N);
        if (held[i] != NULL) {
            tarn_release(held[i]);
            held[i] = NULL;
        } else if (check_random(&seed) % 4 == 0 && held[(i + 1) % N] != NULL) {
            tarn_tensor *x = held[(i + 1) % N];
            const bool is_float = tarn_get_dtype(x) == TARN_F32 || tarn_get_dtype(x) == TARN_F64;
            if (is_float) held[i] = check_random(&seed) % 2 ? tarn_square(x) : tarn_neg(x);
        } else {
            held[i] =
                any_tensor(f->tm, check_random(&seed), 1 + (int64_t)(check_random(&seed) % 3000));
        }
        look(f, &s);
        if (k % 16 == 0) check_shadow(f, &s);
        if (k % 1000 == 500) { /* a new beginning */
            tarn_pool_reset_peaks(f->pool);
            s.peak = 0;
            look(f, &s);
            check_shadow(f, &s);
        }
    }
    check_shadow(f, &s);
    check_tags(f);
}

/* Phases, which have peaks of their own, change nothing in the pool's. */
static void phases_leave_the_peak_alone(void **state)
{
    check_fixture *f = *state;
    static shadow s;
    s = (shadow){ 0 };
    uint64_t seed = check_seed();
    tarn_phase open[4];
    int depth = 0;
    for (size_t k = 0; k < check_scaled(2000); k++) {
        const uint64_t choice = check_random(&seed) % 4;
        if (choice == 0 && depth < 4) open[depth++] = tarn_phase_begin(f->tm, "p");
        if (choice == 1 && depth > 0) (void)tarn_phase_end(open[--depth]);
        if (choice == 2) {
            tarn_tensor *t = any_tensor(f->tm, k, 1 + (int64_t)(check_random(&seed) % 5000));
            look(f, &s);
            if (check_random(&seed) % 8 != 0) tarn_release(t);
        }
        look(f, &s);
        if (k % 16 == 0) check_shadow(f, &s);
    }
    while (depth > 0) (void)tarn_phase_end(open[--depth]);
    check_shadow(f, &s);
}

static void a_managers_end_leaves_the_composition(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    (void)tarn_ones(other, TARN_F32, TARN_SHAPE(10000));
    (void)tarn_zeros(other, TARN_F32, TARN_SHAPE(5000));
    check_tags(f);
    const size_t ones = find(f, "", "ones", TARN_KIND_DATA)->at_peak;
    assert_int_equal(ones, tarn_pool_block_capacity(40000));
    assert_int_equal(tarn_manager_destroy(other), 0);
    assert_int_equal(stats_of(f).in_use, 0);
    check_tags(f);
    assert_int_equal(find(f, "", "ones", TARN_KIND_DATA)->at_peak, ones);
    assert_int_equal(live(f, "", "ones", TARN_KIND_DATA), 0);
    tarn_release(tarn_eye(f->tm, TARN_F32, 10)); /* less than before: the peak stays */
    check_tags(f);
    assert_int_equal(find(f, "", "ones", TARN_KIND_DATA)->at_peak, ones);
    assert_int_equal(find(f, "", "eye", TARN_KIND_DATA)->at_peak, 0);
    tarn_release(tarn_eye(f->tm, TARN_F32, 300)); /* more: a new one */
    check_tags(f);
    assert_int_equal(find(f, "", "ones", TARN_KIND_DATA)->at_peak, 0);
}

/* Two managers whose peaks were at different times, on memory that one took from the other: the
 * rows still add up to what is given as the peak. */
static void rows_add_up_with_several_managers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_tensor *held = tarn_ones(f->tm, TARN_U8, TARN_SHAPE(MIB));
    tarn_release(tarn_zeros(other, TARN_U8, TARN_SHAPE(MIB)));
    check_tags(f);
    tarn_release(held);
    check_tags(f);
    assert_int_equal(tarn_manager_destroy(other), 0);
    check_tags(f);
}

/* ---- buckets */

static void buckets_are_listed_by_capacity(void **state)
{
    check_fixture *f = *state;
    static const size_t sizes[] = { 5000, 100, 70000, 100, 1000000, 64 };
    enum { N = 6 };
    tarn_block blocks[N];
    for (int i = 0; i < N; i++)
        check_status(tarn_pool_acquire(f->pool, sizes[i], TARN_ZEROED, &blocks[i]), TARN_OK);
    check_status(tarn_pool_release(f->pool, blocks[1]), TARN_OK);
    check_status(tarn_pool_release(f->pool, blocks[2]), TARN_OK);
    check_status(tarn_pool_acquire(f->pool, 70000, TARN_ZEROED, &blocks[2]), TARN_OK);
    tarn_bucket_usage rows[8];
    assert_int_equal(tarn_pool_get_buckets(f->pool, rows, 8), 5);
    static const tarn_bucket_usage expected[] = {
        { 64, 1, 1, 1, false },   { 128, 2, 1, 2, false },    { 5120, 1, 1, 1, false },
        { 70016, 1, 1, 2, true }, { 1000000, 1, 1, 1, true },
    };
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rows[i].capacity, expected[i].capacity);
        assert_int_equal(rows[i].blocks, expected[i].blocks);
        assert_int_equal(rows[i].in_use, expected[i].in_use);
        assert_int_equal(rows[i].acquired, expected[i].acquired);
        assert_int_equal(rows[i].is_dynamic, expected[i].is_dynamic);
    }
    for (size_t n = 1; n < 5; n++) { /* with less room, the first of them */
        tarn_bucket_usage some[5];
        assert_int_equal(tarn_pool_get_buckets(f->pool, some, n), 5);
        for (size_t i = 0; i < n; i++) assert_int_equal(some[i].capacity, expected[i].capacity);
    }
    assert_int_equal(tarn_pool_get_buckets(f->pool, NULL, 0), 5);
    assert_int_equal(tarn_pool_get_buckets(f->pool, NULL, 3), 0);
    assert_int_equal(tarn_pool_get_buckets(NULL, rows, 3), 0);
    for (int i = 0; i < N; i++)
        if (i != 1) check_status(tarn_pool_release(f->pool, blocks[i]), TARN_OK);
}

/* With a large alignment a class and a dynamic bucket may have one capacity: every row that is
 * announced is written. */
static void every_bucket_has_its_row(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .alignment = 64 * KIB });
    tarn_block a, b;
    check_status(tarn_pool_acquire(f.pool, 100, TARN_ZEROED, &a), TARN_OK);
    check_status(tarn_pool_acquire(f.pool, 40000, TARN_ZEROED, &b), TARN_OK);
    tarn_bucket_usage rows[4];
    memset(rows, 0, sizeof(rows));
    const size_t n = tarn_pool_get_buckets(f.pool, rows, 4);
    assert_true(n <= 4);
    uint64_t blocks = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].capacity, 64 * KIB);
        assert_true(rows[i].blocks > 0);
        blocks += rows[i].blocks;
    }
    assert_int_equal(blocks, 2);
    check_status(tarn_pool_release(f.pool, a), TARN_OK);
    check_status(tarn_pool_release(f.pool, b), TARN_OK);
    check_end(&f);
}

/* ---- what is alive */

typedef struct blocks_seen {
    size_t n, bytes, capacity, parameters;
    uint64_t ids;
} blocks_seen;

static void see_block(void *context, const tarn_block_usage *block)
{
    blocks_seen *seen = context;
    seen->n++;
    seen->bytes += block->bytes;
    seen->capacity += block->capacity;
    seen->ids ^= (uint64_t)1 << block->id % 64;
    seen->parameters += block->kind == TARN_KIND_PARAMETER && strcmp(block->path, "l") == 0 &&
                        strcmp(block->operation, "weight") == 0;
}

static void every_live_block_is_visited(void **state)
{
    check_fixture *f = *state;
    tarn_module *net = tarn_module_create(f->tm);
    (void)tarn_linear_create(net, "l", 20, 10);
    tarn_block block;
    check_status(tarn_pool_acquire(f->pool, 70, TARN_ZEROED, &block), TARN_OK);
    tarn_release(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100)));
    (void)tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100000));
    blocks_seen seen = { 0 };
    assert_int_equal(tarn_pool_each_block(f->pool, see_block, &seen), 4);
    const tarn_pool_stats s = stats_of(f);
    assert_int_equal(seen.n, s.live_blocks);
    assert_int_equal(seen.bytes, s.current_usage);
    assert_int_equal(seen.capacity, s.in_use);
    assert_int_equal(seen.parameters, 1);
    assert_true((seen.ids >> block.id % 64 & 1) == 1);
    assert_int_equal(tarn_pool_each_block(f->pool, NULL, NULL), 4);
    assert_int_equal(tarn_pool_each_block(NULL, see_block, &seen), 0);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
}

typedef struct tensors_seen {
    size_t n, bytes, views, with_name;
    const tarn_tensor *named;
    tarn_tensor_usage row; /* of `named` */
    uint64_t last;
} tensors_seen;

static void see_tensor(void *context, const tarn_tensor_usage *t)
{
    tensors_seen *seen = context;
    seen->n++;
    seen->bytes += t->is_view ? 0 : t->bytes;
    seen->views += t->is_view;
    seen->with_name += t->name[0] != '\0';
    if (t->sequence > seen->last) seen->last = t->sequence;
    if (t->tensor == seen->named) seen->row = *t;
}

static void every_live_tensor_is_visited(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    train_step(f, &t);
    const tarn_scope scope = tarn_scope_begin(f->tm);
    tarn_tensor *named =
        tarn_set_name(tarn_square(tarn_ones(f->tm, TARN_F64, TARN_SHAPE(2, 3))), "fancy");
    (void)tarn_reshape(named, TARN_SHAPE(6));
    tensors_seen seen = { .named = named };
    const size_t n = tarn_manager_each_tensor(f->tm, see_tensor, &seen);
    assert_int_equal(n, seen.n);
    const tarn_manager_stats m = tarn_manager_get_stats(f->tm);
    assert_int_equal(seen.n - seen.views, m.active);
    assert_int_equal(seen.views, 1);
    assert_int_equal(seen.bytes, m.total_memory);
    assert_int_equal(seen.with_name, 4 + 1);
    assert_string_equal(seen.row.name, "fancy");
    assert_string_equal(seen.row.operation, "square");
    assert_string_equal(seen.row.path, "");
    assert_int_equal(seen.row.kind, TARN_KIND_ACTIVATION);
    assert_int_equal(seen.row.dtype, TARN_F64);
    assert_int_equal(seen.row.bytes, 48);
    assert_true(seen.row.shape.ndim == 2 && seen.row.shape.dims[0] == 2 &&
                seen.row.shape.dims[1] == 3);
    assert_int_equal(seen.row.sequence + 1, seen.last); /* the view came after */
    tarn_scope_end(scope);
    assert_int_equal(tarn_manager_each_tensor(f->tm, NULL, NULL), seen.n - 3);
    assert_int_equal(tarn_manager_each_tensor(NULL, NULL, NULL), 0);
}

/* ---- tables */

static const char *printed(tarn_status (*print)(const void *object, FILE *stream),
                           const void *object)
{
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(print(object, stream), TARN_OK);
    const char *text = check_stream_text(stream);
    (void)fclose(stream);
    return text;
}

static tarn_status print_tags(const void *object, FILE *stream)
{
    return tarn_pool_print_tags(object, stream);
}

static tarn_status print_alive(const void *object, FILE *stream)
{
    return tarn_manager_print_alive(object, stream);
}

static tarn_status print_phases(const void *object, FILE *stream)
{
    return tarn_manager_print_phases(object, stream);
}

/* A line that holds all the parts, in their order. */
static void check_line(const char *text, const char *const parts[4])
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n'), *at = line;
        for (int i = 0; i < 4 && at != NULL && parts[i] != NULL; i++) {
            at = strstr(at, parts[i]);
            if (at != NULL) at += strlen(parts[i]);
            if (at != NULL && end != NULL && at > end) at = NULL;
        }
        if (at != NULL) return;
        line = end != NULL ? end + 1 : NULL;
    }
    fail_msg("no line with %s ... in\n%s", parts[0], text);
}

#define CHECK_LINE(text, ...) check_line((text), (const char *const[4]){ __VA_ARGS__ })

static void tables_say_what_there_is(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, NULL);
    f.tm = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool, .measure_phases = true });
    const trainee t = trainee_new(&f);
    train_step(&f, &t);
    (void)tarn_set_name(tarn_ones(f.tm, TARN_F32, TARN_SHAPE(400, 1000)), "large");

    const char *text = printed(print_tags, f.pool);
    CHECK_LINE(text, "optimizer", "640 B", "640 B");
    CHECK_LINE(text, "data", "1.53 MiB", "99", "1.53 MiB");
    CHECK_LINE(text, "parameter", "128 B", "mlp.0 weight");
    CHECK_LINE(text, "gradient", "64 B", "mlp.1 bias");
    CHECK_LINE(text, "saved", "mlp.0 affine");
    CHECK_LINE(text, "workspace", "softmax");

    text = printed(print_alive, f.tm);
    CHECK_LINE(text, "1.53 MiB", "data", "\"large\" [400,1000]", "ones");
    CHECK_LINE(text, "120 B", "parameter", "\"mlp.0.weight\" [5,6]", "mlp.0 weight");
    assert_true(strstr(text, "large") < strstr(text, "mlp.0.weight"));
    char head[32];
    (void)snprintf(head, sizeof(head), "alive: %zu tensors\n",
                   tarn_manager_each_tensor(f.tm, NULL, NULL));
    assert_int_equal(strncmp(text, head, strlen(head)), 0);

    text = printed(print_phases, f.tm);
    static const char *const names[] = { "mlp.0", "mlp.1", "backward", "optimizer" };
    for (int i = 0; i < 4; i++) CHECK_LINE(text, names[i], " 1 ");
    check_end(&f);
}

static void tables_of_nothing_are_tables(void **state)
{
    check_fixture *f = *state;
    assert_non_null(strstr(printed(print_tags, f->pool), "path and operation"));
    assert_string_equal(printed(print_alive, f->tm), "alive: 0 tensors\n");
    assert_non_null(strstr(printed(print_phases, f->tm), "phase"));
    (void)tarn_ones(f->tm, TARN_F32, TARN_SCALAR);
    assert_int_equal(strncmp(printed(print_alive, f->tm), "alive: 1 tensor\n", 16), 0);
}

static void a_stream_that_takes_nothing_is_told(void **state)
{
    check_fixture *f = *state;
    (void)tarn_ones(f->tm, TARN_F32, TARN_SHAPE(3));
    FILE *closed = fopen("/dev/null", "r"); /* not for writing */
    assert_non_null(closed);
    check_status(tarn_pool_print_tags(f->pool, closed), TARN_EIO);
    check_status(tarn_manager_print_alive(f->tm, closed), TARN_EIO);
    check_status(tarn_manager_print_phases(f->tm, closed), TARN_EIO);
    check_status(tarn_pool_print_stats(f->pool, closed), TARN_EIO);
    check_status(tarn_manager_print_stats(f->tm, closed), TARN_EIO);
    (void)fclose(closed);
    check_status(tarn_pool_print_tags(f->pool, NULL), TARN_EARG);
    check_status(tarn_pool_print_tags(NULL, stdout), TARN_EARG);
    check_status(tarn_manager_print_alive(f->tm, NULL), TARN_EARG);
    check_status(tarn_manager_print_alive(NULL, stdout), TARN_EARG);
    check_status(tarn_manager_print_phases(f->tm, NULL), TARN_EARG);
    check_status(tarn_manager_print_phases(NULL, stdout), TARN_EARG);
    check_system_fail(&f->system, 1, false);
    check_status(tarn_pool_print_tags(f->pool, stdout), TARN_ENOMEM);
    check_system_fail(&f->system, 1, false);
    check_status(tarn_manager_print_alive(f->tm, stdout), TARN_ENOMEM);
    check_pool(f);
}

/* ---- phases */

static tarn_tensor *bytes_of(check_fixture *f, int64_t n)
{
    return tarn_empty(f->tm, TARN_U8, TARN_SHAPE(n));
}

static void phases_nest_and_their_peaks_merge(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *before = bytes_of(f, 1024);
    const tarn_phase outer = tarn_phase_begin(f->tm, "outer");
    tarn_tensor *kept = bytes_of(f, 512);
    const tarn_phase inner = tarn_phase_begin(f->tm, "inner");
    tarn_release(bytes_of(f, 4096));
    tarn_tensor *left = bytes_of(f, 256);
    const tarn_phase_usage in = tarn_phase_end(inner);
    assert_string_equal(in.name, "inner");
    assert_int_equal(in.calls, 1);
    assert_int_equal(in.peak, 1024 + 512 + 4096);
    assert_int_equal(in.peak_growth, 4096);
    assert_int_equal(in.left, 256);
    assert_int_equal(in.allocations, 2);
    assert_int_equal(in.hits, 0);
    assert_int_equal(in.acquired_bytes, 4096 + 256);
    tarn_release(bytes_of(f, 2048)); /* less than inside */
    tarn_release(bytes_of(f, 2048));
    tarn_release(kept);
    tarn_release(left);
    tarn_release(before);
    const tarn_phase_usage out = tarn_phase_end(outer);
    assert_int_equal(out.peak, 1024 + 512 + 4096);
    assert_int_equal(out.peak_growth, 512 + 4096);
    assert_int_equal(out.left, -1024);
    assert_int_equal(out.allocations, 5);
    assert_int_equal(out.hits, 1);
    assert_true(out.seconds >= in.seconds && in.seconds >= 0);
    assert_int_equal(stats_of(f).peak_in_use, 1024 + 512 + 4096);

    /* A phase begins with peaks of its own, whatever was before. */
    const tarn_phase quiet = tarn_phase_begin(f->tm, "quiet");
    tarn_release(bytes_of(f, 64));
    const tarn_phase_usage q = tarn_phase_end(quiet);
    assert_int_equal(q.peak, 64);
    assert_int_equal(q.left, 0);
    assert_int_equal(stats_of(f).peak_in_use, 1024 + 512 + 4096);
    assert_int_equal(tarn_manager_get_stats(f->tm).peak_memory, 1024 + 512 + 4096);
}

static void phases_of_one_name_add_up(void **state)
{
    check_fixture *f = *state;
    for (int64_t i = 1; i <= 5; i++) {
        TARN_PHASE(f->tm, "work");
        tarn_release(bytes_of(f, 1024 * (i % 3 + 1)));
        (void)bytes_of(f, 64);
    }
    {
        TARN_PHASE(f->tm, "rest");
    }
    tarn_phase_usage rows[3];
    assert_int_equal(tarn_manager_get_phases(f->tm, rows, 3), 2);
    assert_string_equal(rows[0].name, "work");
    assert_string_equal(rows[1].name, "rest");
    assert_int_equal(rows[0].calls, 5);
    assert_int_equal(rows[0].left, 5 * 64);
    assert_int_equal(rows[0].allocations, 10);
    assert_int_equal(rows[0].acquired_bytes, (2 + 3 + 1 + 2 + 3) * 1024 + 5 * 64);
    assert_int_equal(rows[0].peak, 3 * 1024 + 4 * 64);
    assert_int_equal(rows[0].peak_growth, 3 * 1024);
    assert_true(rows[0].system_allocations >= 1);
    assert_int_equal(rows[1].calls, 1);
    assert_int_equal(rows[1].allocations, 0);
    assert_int_equal(tarn_manager_get_phases(f->tm, rows, 1), 2);
    assert_int_equal(tarn_manager_get_phases(f->tm, NULL, 0), 2);
    assert_int_equal(tarn_manager_get_phases(f->tm, NULL, 1), 0);
    assert_int_equal(tarn_manager_get_phases(NULL, rows, 1), 0);
}

static void forgotten_phases_end_with_the_outer_one(void **state)
{
    check_fixture *f = *state;
    const tarn_phase outer = tarn_phase_begin(f->tm, "outer");
    const tarn_phase a = tarn_phase_begin(f->tm, "a"), b = tarn_phase_begin(f->tm, "b");
    tarn_release(bytes_of(f, 1024));
    const tarn_phase_usage u = tarn_phase_end(outer);
    assert_string_equal(u.name, "outer");
    assert_int_equal(u.peak, 1024);
    assert_int_equal(tarn_phase_end(outer).calls, 0); /* a second end does nothing */
    assert_int_equal(tarn_phase_end(a).calls, 0);
    assert_int_equal(tarn_phase_end(b).calls, 0);
    assert_int_equal(tarn_phase_end((tarn_phase){ 0 }).calls, 0);
    const tarn_phase again = tarn_phase_begin(f->tm, "a");
    assert_int_equal(tarn_phase_end(a).calls, 0); /* of the same depth, but another */
    assert_int_equal(tarn_phase_end(again).calls, 1);
    tarn_phase_usage rows[3];
    assert_int_equal(tarn_manager_get_phases(f->tm, rows, 3), 3);
    assert_int_equal(rows[0].calls, 1);
    assert_int_equal(rows[1].calls, 2);
    assert_int_equal(rows[1].peak, 1024);
    assert_int_equal(rows[2].calls, 1);
}

static void phases_are_32_deep_at_most(void **state)
{
    check_fixture *f = *state;
    tarn_phase open[32];
    for (int i = 0; i < 32; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "phase %d", i);
        open[i] = tarn_phase_begin(f->tm, name);
        assert_true(tarn_ok(f->tm));
    }
    const tarn_phase one_more = tarn_phase_begin(f->tm, "one more");
    check_error_part(f->tm, TARN_ELIMIT, "one more");
    assert_int_equal(tarn_phase_end(one_more).calls, 0);
    tarn_release(bytes_of(f, 1024));
    for (int i = 31; i >= 0; i--) assert_int_equal(tarn_phase_end(open[i]).peak, 1024);
    assert_int_equal(tarn_manager_get_phases(f->tm, NULL, 0), 32);

    const tarn_phase named = tarn_phase_begin(f->tm, "a name that is longer than 31 bytes are");
    assert_string_equal(tarn_phase_end(named).name, "a name that is longer than 31 b");
    assert_string_equal(tarn_phase_end(tarn_phase_begin(f->tm, NULL)).name, "unnamed");
    assert_int_equal(tarn_phase_end(tarn_phase_begin(NULL, "x")).calls, 0);
}

/* Peaks that start anew inside a phase do not come back with its end. */
static void peaks_reset_inside_a_phase_stay_reset(void **state)
{
    check_fixture *f = *state;
    tarn_release(bytes_of(f, 1 * MIB));
    const tarn_phase phase = tarn_phase_begin(f->tm, "p");
    tarn_release(bytes_of(f, 4096));
    tarn_pool_reset_peaks(f->pool);
    assert_int_equal(stats_of(f).peak_in_use, 0);
    tarn_release(bytes_of(f, 1024));
    (void)tarn_phase_end(phase);
    assert_int_equal(stats_of(f).peak_in_use, 1024);
    assert_int_equal(stats_of(f).peak_usage, 1024);
    check_tags(f);
}

static void a_managers_peaks_reset_inside_a_phase_stay_reset(void **state)
{
    check_fixture *f = *state;
    tarn_release(bytes_of(f, 1 * MIB));
    const tarn_phase phase = tarn_phase_begin(f->tm, "p");
    tarn_manager_reset_peaks(f->tm);
    tarn_release(bytes_of(f, 1024));
    (void)tarn_phase_end(phase);
    assert_int_equal(tarn_manager_get_stats(f->tm).peak_memory, 1024);
    assert_int_equal(stats_of(f).peak_usage, MIB); /* the pool's own stay */
}

static void the_library_opens_phases_by_itself(void **state)
{
    (void)state;
    for (int measured = 0; measured < 2; measured++) {
        check_fixture f;
        check_pool_begin(&f, NULL);
        f.tm = tarn_manager_create(
            &(tarn_manager_options){ .pool = f.pool, .measure_phases = measured == 1 });
        const trainee t = trainee_new(&f);
        tarn_loader *loader = tarn_loader_create(tarn_ones(f.tm, TARN_F32, TARN_SHAPE(8, 2)), NULL,
                                                 &(tarn_loader_options){ .batch_size = 4 });
        tarn_tensor *x, *y;
        for (int step = 0; step < 2; step++) {
            assert_true(tarn_loader_next(loader, &x, &y));
            train_step(&f, &t);
        }
        tarn_phase_usage rows[8];
        const size_t n = tarn_manager_get_phases(f.tm, rows, 8);
        size_t found = 0;
        static const char *const names[] = { "data", "mlp.0", "mlp.1", "backward", "optimizer" };
        for (size_t i = 0; i < 5; i++)
            for (size_t k = 0; k < n; k++)
                found += strcmp(rows[k].name, names[i]) == 0 && rows[k].calls == 2;
        assert_int_equal(found, measured == 1 ? 5 : 0);
        assert_true(measured == 1 || n == 0);
        check_tags(&f);
        check_end(&f);
    }
}

/* ---- differences and JSON */

static void statistics_are_subtracted(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *a = bytes_of(f, 4096);
    const tarn_pool_stats before = stats_of(f);
    tarn_release(bytes_of(f, 1000));
    tarn_release(bytes_of(f, 1000));
    tarn_release(a);
    tarn_release(bytes_of(f, 4000));
    const tarn_pool_stats after = stats_of(f);
    const tarn_pool_stats_difference d = tarn_pool_stats_subtract(&after, &before);
    assert_int_equal(d.allocations, 3);
    assert_int_equal(d.pool_allocations, 2);
    assert_int_equal(d.misses, 1);
    assert_int_equal(d.releases, 4);
    assert_int_equal(d.current_usage, -4096);
    assert_int_equal(d.in_use, -4096);
    assert_int_equal(d.live_blocks, -1);
    assert_int_equal(d.memory_saved, 5000);
    assert_true(d.hit_ratio == 2.0 / 3.0);
    const tarn_pool_stats_difference same = tarn_pool_stats_subtract(&after, &after);
    assert_true(same.hit_ratio == 0 && same.allocations == 0 && same.reserved == 0);
    const tarn_pool_stats_difference all = tarn_pool_stats_subtract(&after, NULL);
    assert_int_equal(all.allocations, after.allocations);
    assert_true(all.hit_ratio == after.hit_ratio);
    const tarn_pool_stats_difference none = tarn_pool_stats_subtract(NULL, &after);
    assert_int_equal(none.reserved, -(int64_t)after.reserved);
}

static void json_holds_every_figure_of_both(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    train_step(f, &t);
    tarn_release(bytes_of(f, 5000));
    char text[4096];
    const tarn_pool_stats s = stats_of(f);
    assert_true(tarn_pool_stats_json(&s, text, sizeof(text)) == strlen(text));
#define COMPARE(kind, type, field, meaning) \
    if (strcmp(#field, "hit_ratio") != 0)   \
        assert_true(check_json_number(text, #field) == (double)s.field);
    TARN_POOL_STATS_LIST(COMPARE)
#undef COMPARE
    const double ratio = check_json_number(text, "hit_ratio") - s.hit_ratio;
    assert_true(ratio < 1e-6 && ratio > -1e-6);

    const tarn_manager_stats m = tarn_manager_get_stats(f->tm);
    const size_t length = tarn_manager_stats_json(&m, text, sizeof(text));
    assert_int_equal(length, strlen(text));
#define COMPARE(type, field, meaning) \
    assert_true(check_json_number(text, #field) == (double)m.field);
    TARN_MANAGER_STATS_LIST(COMPARE)
#undef COMPARE
    char cut[10];
    assert_int_equal(tarn_manager_stats_json(&m, cut, sizeof(cut)), length);
    assert_int_equal(strncmp(cut, text, 9), 0);
    assert_int_equal(cut[9], '\0');
    assert_int_equal(tarn_manager_stats_json(&m, NULL, 0), length);
}

/* ---- the steady state */

static void steady_training_never_complains(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    for (int step = 0; step < 200; step++) {
        train_step(f, &t);
        if (step < 2) continue;
        if (tarn_expect_steady(f->tm) != TARN_OK)
            fail_msg("step %d: %s", step, tarn_error_message(f->tm));
    }
    check_status(tarn_expect_steady(NULL), TARN_EARG);
}

/* Pools for those who look for mistakes in memory ask the system all the time. Programs that expect
 * steps to be steady run on them, and still learn of a leak. */
static void steps_on_pools_that_always_ask_are_steady(void **state)
{
    const tarn_pool_options options[] = { { .mode = TARN_PASS_THROUGH },
                                          { .checking = TARN_CHECK_FULL } };
    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        check_fixture f = { .pool = tarn_pool_create(&options[i], NULL) };
        f.tm = tarn_manager_create(&(tarn_manager_options){ .pool = f.pool });
        const trainee t = trainee_new(&f);
        for (int step = 0; step < 10; step++) {
            train_step(&f, &t);
            if (step >= 2) check_status(tarn_expect_steady(f.tm), TARN_OK);
        }
        (void)tarn_ones(f.tm, TARN_F32, TARN_SHAPE(4));
        check_status(tarn_expect_steady(f.tm), TARN_ESTATE);
        check_error_part(f.tm, TARN_ESTATE, "tensors +1");
        assert_int_equal(tarn_manager_destroy(f.tm), 0);
        tarn_pool_destroy(f.pool);
    }
}

static void others_on_the_pool_do_not_disturb_a_steady_state(void **state)
{
    check_fixture *f = *state;
    tarn_manager *second = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    for (int step = 0; step < 10; step++) {
        {
            TARN_SCOPE(f->tm);
            (void)tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100));
        }
        if (step >= 2) check_status(tarn_expect_steady(f->tm), TARN_OK);
        tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
        (void)tarn_ones(second, TARN_F32, TARN_SHAPE(100000 + 10000 * step));
        assert_int_equal(tarn_manager_destroy(other), 0);
    }
    assert_int_equal(tarn_manager_destroy(second), 0);
}

static void a_leaked_block_is_named(void **state)
{
    check_fixture *f = *state;
    tarn_block blocks[4];
    for (int i = 0; i < 4; i++)
        check_status(tarn_pool_acquire(f->pool, 100, TARN_ZEROED, &blocks[i]), TARN_OK);
    check_status(tarn_pool_release(f->pool, blocks[3]), TARN_OK);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    check_status(tarn_pool_acquire(f->pool, 100, TARN_ZEROED, &blocks[3]), TARN_OK);
    check_status(tarn_expect_steady(f->tm), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "a block of tarn_pool_acquire was not released");
    for (int i = 0; i < 4; i++) check_status(tarn_pool_release(f->pool, blocks[i]), TARN_OK);
}

static void a_leak_is_named(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    for (int step = 0; step < 3; step++) train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    train_step(f, &t);
    const tarn_scope scope = tarn_scope_begin(f->tm);
    tarn_tensor *leak =
        tarn_retain(tarn_set_name(tarn_full(f->tm, TARN_F32, TARN_SHAPE(4, 6), 1), "history"));
    tarn_scope_end(scope);
    check_status(tarn_expect_steady(f->tm), TARN_ESTATE);
    const char *const parts[] = { "tensors +1",  "bytes +96", "blocks +1",
                                  "\"history\"", "[4,6]",     "by full" };
    for (size_t i = 0; i < 6; i++)
        if (strstr(tarn_error_message(f->tm), parts[i]) == NULL)
            fail_msg("no %s in %s", parts[i], tarn_error_message(f->tm));
    tarn_clear_error(f->tm);

    /* The call after a failure takes the measure; then the leak is part of the state. */
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    tarn_release(leak);
    check_status(tarn_expect_steady(f->tm), TARN_OK); /* less is no leak */
    train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
}

static void a_leak_inside_a_layer_names_its_path(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    for (int step = 0; step < 3; step++) train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    const tarn_scope scope = tarn_scope_begin(f->tm);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 6));
    tarn_tensor *leak = tarn_retain(tarn_linear_forward(&t.mlp.layers[0], x));
    tarn_scope_end(scope);
    check_status(tarn_expect_steady(f->tm), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "[4,5], retained, by affine of mlp.0");
    tarn_release(leak);
}

static void a_growing_tape_is_named(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    for (int step = 0; step < 3; step++) train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    tarn_tensor *loss = forward(&t); /* outside any scope, and nobody goes back through it */
    assert_non_null(loss);
    check_status(tarn_expect_steady(f->tm), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "operations +4"); /* affine, relu, affine, loss */
}

static void a_new_shape_is_named(void **state)
{
    check_fixture *f = *state;
    const trainee t = trainee_new(f);
    for (int step = 0; step < 3; step++) train_step(f, &t);
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    tarn_release(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(333, 333)));
    check_status(tarn_expect_steady(f->tm), TARN_ESTATE);
    assert_non_null(strstr(tarn_error_message(f->tm), "tensors +0"));
    assert_null(strstr(tarn_error_message(f->tm), "system allocations +0"));
    check_error_part(f->tm, TARN_ESTATE, "shapes seen for the first time");
    check_status(tarn_expect_steady(f->tm), TARN_OK);
    tarn_release(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(333, 333))); /* seen before */
    check_status(tarn_expect_steady(f->tm), TARN_OK);
}

/* Giving memory out of the pool's tensors to the caller, who gives it back, is steady, too. */
static void blocks_taken_and_given_back_are_steady(void **state)
{
    check_fixture *f = *state;
    for (int step = 0; step < 10; step++) {
        tarn_block block;
        check_status(tarn_take_block(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100)), &block), TARN_OK);
        check_status(tarn_pool_release(f->pool, block), TARN_OK);
        if (step >= 3 && tarn_expect_steady(f->tm) != TARN_OK)
            fail_msg("step %d: %s", step, tarn_error_message(f->tm));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)
        cmocka_unit_test(kinds_have_names),
        WITH_MANAGER(training_is_told_apart_by_kind),
        WITH_POOL(direct_blocks_are_other),
        WITH_MANAGER(long_paths_are_cut),
        WITH_MANAGER(many_tags_add_up),
        WITH_MANAGER(what_others_release_is_not_live),
        WITH_MANAGER(the_composition_of_a_peak_is_true),
        WITH_MANAGER(phases_leave_the_peak_alone),
        WITH_MANAGER(a_managers_end_leaves_the_composition),
        WITH_MANAGER(rows_add_up_with_several_managers),
        WITH_POOL(buckets_are_listed_by_capacity),
        cmocka_unit_test(every_bucket_has_its_row),
        WITH_MANAGER(every_live_block_is_visited),
        WITH_MANAGER(every_live_tensor_is_visited),
        cmocka_unit_test(tables_say_what_there_is),
        WITH_MANAGER(tables_of_nothing_are_tables),
        WITH_MANAGER(a_stream_that_takes_nothing_is_told),
        WITH_MANAGER(phases_nest_and_their_peaks_merge),
        WITH_MANAGER(phases_of_one_name_add_up),
        WITH_MANAGER(forgotten_phases_end_with_the_outer_one),
        WITH_MANAGER(phases_are_32_deep_at_most),
        WITH_MANAGER(peaks_reset_inside_a_phase_stay_reset),
        WITH_MANAGER(a_managers_peaks_reset_inside_a_phase_stay_reset),
        cmocka_unit_test(the_library_opens_phases_by_itself),
        WITH_MANAGER(statistics_are_subtracted),
        WITH_MANAGER(json_holds_every_figure_of_both),
        WITH_MANAGER(steady_training_never_complains),
        cmocka_unit_test(steps_on_pools_that_always_ask_are_steady),
        WITH_MANAGER(others_on_the_pool_do_not_disturb_a_steady_state),
        WITH_MANAGER(a_leaked_block_is_named),
        WITH_MANAGER(a_leak_is_named),
        WITH_MANAGER(a_leak_inside_a_layer_names_its_path),
        WITH_MANAGER(a_growing_tape_is_named),
        WITH_MANAGER(a_new_shape_is_named),
        WITH_MANAGER(blocks_taken_and_given_back_are_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
