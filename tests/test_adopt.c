/* SPDX-License-Identifier: MIT
 * test_adopt.c - memory that comes in and goes out: tensors on memory of the caller's own, blocks
 * taken out of tensors, and dry runs, which need no memory at all. */
#define _POSIX_C_SOURCE 200809L /* sysconf */

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tarn/dry_run.h>
#include <tarn/tarn.h>

#include "check.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static tarn_pool_stats stats_of(const check_fixture *f) { return tarn_pool_get_stats(f->pool); }

/* ---- memory of the caller's own */

typedef struct freed {
    int n;
    void *data;
} freed;

static void note_free(void *context, void *data)
{
    freed *f = context;
    f->n++;
    f->data = data;
}

static tarn_tensor *adopt(check_fixture *f, float *values, int64_t rows, int64_t columns,
                          freed *note)
{
    const size_t bytes = (size_t)(rows * columns) * sizeof(*values);
    tarn_tensor *t = tarn_from_memory(f->tm, TARN_F32, TARN_SHAPE(rows, columns), values, bytes,
                                      note_free, note);
    assert_non_null(t);
    return t;
}

static void adopted_memory_is_not_copied(void **state)
{
    check_fixture *f = *state;
    alignas(64) float values[6] = { 1, 2, 3, 4, 5, 6 };
    freed note = { 0 };
    const tarn_pool_stats before = stats_of(f);
    tarn_tensor *t = adopt(f, values, 2, 3, &note);
    assert_ptr_equal(tarn_data(t), values);
    values[0] = 7;
    check_close(t, ((const double[]){ 7, 2, 3, 4, 5, 6 }), 6, 0);
    check_status(tarn_fill_with(t, 8), TARN_OK);
    assert_true(values[5] == 8);
    const tarn_pool_stats s = stats_of(f);
    assert_int_equal(s.adopted, 24);
    assert_int_equal(s.allocations, before.allocations);
    assert_int_equal(s.in_use, before.in_use);
    const tarn_manager_stats m = tarn_manager_get_stats(f->tm);
    assert_int_equal(m.created, 1);
    assert_int_equal(m.active, 1);
    assert_int_equal(m.total_memory, 24);
    assert_int_equal(note.n, 0);
    tarn_release(t);
    assert_int_equal(note.n, 1);
    assert_ptr_equal(note.data, values);
    assert_int_equal(stats_of(f).adopted, 0);
    assert_int_equal(tarn_manager_get_stats(f->tm).active, 0);
    assert_int_equal(tarn_manager_get_stats(f->tm).released, 1);
    assert_int_equal(tarn_manager_get_stats(f->tm).peak_memory, 24);
    check_pool(f);
}

static void freeing_waits_for_scopes_views_and_retains(void **state)
{
    check_fixture *f = *state;
    float values[4] = { 1, 2, 3, 4 };
    freed note = { 0 };
    tarn_tensor *view;
    {
        TARN_SCOPE(f->tm);
        tarn_tensor *t = adopt(f, values, 2, 2, &note);
        view = tarn_escape(tarn_transpose(t, 0, 1));
        tarn_retain(view);
    }
    assert_int_equal(note.n, 0);
    assert_int_equal(stats_of(f).adopted, 16);
    check_close(view, ((const double[]){ 1, 3, 2, 4 }), 4, 0);
    tarn_release(view); /* the retain */
    assert_int_equal(note.n, 0);
    tarn_release(view);
    assert_int_equal(note.n, 1);
    {
        TARN_SCOPE(f->tm);
        (void)adopt(f, values, 2, 2, &note);
    }
    assert_int_equal(note.n, 2);
}

static void freeing_waits_for_the_tape(void **state)
{
    check_fixture *f = *state;
    float values[2] = { 3, 4 };
    freed note = { 0 };
    tarn_tensor *w = tarn_require_grad(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1, 2)));
    tarn_tensor *t = adopt(f, values, 1, 2, &note);
    tarn_tensor *loss = tarn_sum(tarn_mul(w, t), TARN_ALL_AXES);
    tarn_release(t); /* backward still reads it */
    assert_int_equal(note.n, 0);
    check_status(tarn_backward(loss), TARN_OK);
    assert_int_equal(note.n, 1);
    check_close(tarn_grad_of(w), ((const double[]){ 3, 4 }), 2, 0);
}

static void managers_free_what_is_left(void **state)
{
    (void)state;
    static float values[2][4];
    freed notes[2] = { { 0 } };
    tarn_manager *tm = tarn_manager_create(NULL);
    for (int i = 0; i < 2; i++) {
        tarn_tensor *t =
            tarn_from_memory(tm, TARN_F32, TARN_SHAPE(4), values[i], 16, note_free, &notes[i]);
        if (i == 1) (void)tarn_retain(t);
    }
    assert_int_equal(tarn_manager_destroy(tm), 1);
    assert_true(notes[0].n == 1 && notes[0].data == values[0]);
    assert_true(notes[1].n == 1 && notes[1].data == values[1]);
}

static void there_need_be_no_function_to_free(void **state)
{
    check_fixture *f = *state;
    int64_t values[3] = { 1, 2, 3 };
    tarn_tensor *t =
        tarn_from_memory(f->tm, TARN_I64, TARN_SHAPE(3), values, sizeof(values), NULL, NULL);
    check_close(t, ((const double[]){ 1, 2, 3 }), 3, 0);
    tarn_release(t);
    assert_int_equal(stats_of(f).adopted, 0);
    assert_int_equal(values[2], 3);
    freed note = { 0 };
    t = tarn_from_memory(f->tm, TARN_F32, TARN_SHAPE(0, 3), NULL, 0, note_free, &note);
    assert_non_null(t);
    assert_int_equal(tarn_numel(t), 0);
    tarn_release(t);
    assert_int_equal(note.n, 1);
    assert_null(note.data);
    /* More than the tensor needs is well; a later part of a larger piece, too. */
    t = tarn_from_memory(f->tm, TARN_I64, TARN_SHAPE(1), values + 1, 16, NULL, NULL);
    assert_true(tarn_item(t) == 2);
    assert_int_equal(stats_of(f).adopted, 16);
}

static void what_cannot_be_adopted_is_not_freed(void **state)
{
    check_fixture *f = *state;
    alignas(8) unsigned char memory[64] = { 0 };
    freed note = { 0 };
#define REFUSED(dtype, shape, data, bytes, code)                                                   \
    do {                                                                                           \
        assert_null(tarn_from_memory(f->tm, (dtype), (shape), (data), (bytes), note_free, &note)); \
        check_error_part(f->tm, (code), "tarn_from_memory");                                       \
    } while (0)
    REFUSED(TARN_F32, TARN_SHAPE(4), memory, 15, TARN_EARG);
    REFUSED(TARN_F32, TARN_SHAPE(4), memory, 0, TARN_EARG);
    REFUSED(TARN_F32, TARN_SHAPE(4), NULL, 16, TARN_EARG);
    REFUSED(TARN_F32, TARN_SHAPE(4), memory + 2, 16, TARN_EARG);
    REFUSED(TARN_F64, TARN_SHAPE(2), memory + 4, 16, TARN_EARG);
    REFUSED(TARN_F32, TARN_SHAPE(-1), memory, 16, TARN_ESHAPE);
    REFUSED((tarn_dtype)9, TARN_SHAPE(1), memory, 16, TARN_EDTYPE);
    REFUSED(TARN_F32, TARN_SHAPE(INT64_MAX, 2), memory, 16, TARN_EOVERFLOW);
#undef REFUSED
    assert_null(tarn_from_memory(NULL, TARN_F32, TARN_SHAPE(1), memory, 64, note_free, &note));
    const tarn_manager_stats before = tarn_manager_get_stats(f->tm);
    check_system_fail(&f->system, 1, true); /* no room for the handle, or its storage */
    tarn_tensor *t;
    size_t made = 0;
    while ((t = tarn_from_memory(f->tm, TARN_F32, TARN_SHAPE(4), memory, 16, NULL, NULL)) != NULL)
        made++;
    check_error_part(f->tm, TARN_ENOMEM, "out of memory");
    assert_null(tarn_from_memory(f->tm, TARN_F32, TARN_SHAPE(4), memory, 16, note_free, &note));
    check_error_part(f->tm, TARN_ENOMEM, "out of memory");
    check_system_fail(&f->system, 0, false);
    assert_int_equal(note.n, 0);
    assert_int_equal(stats_of(f).adopted, 16 * made);
    assert_int_equal(tarn_manager_get_stats(f->tm).active, before.active + made);
    t = tarn_from_memory(f->tm, TARN_U8, TARN_SHAPE(4), memory + 3, 4, note_free, &note);
    assert_non_null(t); /* bytes may lie anywhere */
    tarn_release(t);
    assert_int_equal(note.n, 1);
}

/* The same numbers as from memory of the pool, in every operand's place; gradients of a leaf. */
static void adopted_tensors_are_operands_and_leaves(void **state)
{
    check_fixture *f = *state;
    float *memory = malloc(7 * sizeof(*memory)); /* aligned for a float, not for 64 bytes */
    assert_non_null(memory);
    for (int i = 0; i < 6; i++) memory[i + 1] = (float)(i + 1);
    freed note = { 0 };
    static const float right[] = { 1, -1, 2, -2, 3, -3 };
    tarn_tensor *a = tarn_require_grad(adopt(f, memory + 1, 2, 3, &note));
    tarn_tensor *b = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(3, 2), right);
    tarn_tensor *c = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2, 3), memory + 1);
    assert_non_null(tarn_require_grad(c));
    tarn_tensor *of_a = tarn_sum(tarn_square(tarn_matmul(a, b)), TARN_ALL_AXES);
    tarn_tensor *of_c = tarn_sum(tarn_square(tarn_matmul(c, b)), TARN_ALL_AXES);
    assert_true(tarn_item(of_a) == tarn_item(of_c));
    check_status(tarn_backward(of_a), TARN_OK);
    check_status(tarn_backward(of_c), TARN_OK);
    const float *expected = tarn_data(tarn_grad_of(c));
    double values[6];
    for (int i = 0; i < 6; i++) values[i] = (double)expected[i];
    check_close(tarn_grad_of(a), values, 6, 0);
    tarn_release(a);
    assert_int_equal(note.n, 1);
    free(memory);
}

/* ---- blocks out of tensors */

static void a_block_can_be_taken(void **state)
{
    check_fixture *f = *state;
    static const double values[] = { 1, 2, 3 };
    tarn_tensor *t = tarn_from_array(f->tm, TARN_F64, TARN_SHAPE(3), values);
    const void *data = tarn_data(t);
    tarn_block block = { 0 };
    check_status(tarn_take_block(t, &block), TARN_OK);
    assert_ptr_equal(block.data, data);
    assert_int_equal(block.bytes, 24);
    check_close_array(block.data, values, 3, 0);
    assert_int_equal(stats_of(f).live_blocks, 1);
    assert_int_equal(tarn_manager_get_stats(f->tm).handles, 0);
    memset(block.data, 1, 24);
    check_pool(f);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    check_status(tarn_pool_release(f->pool, block), TARN_ESTATE);
    assert_int_equal(stats_of(f).live_blocks, 0);
    check_pool(f);
    /* Zeros that nobody wrote yet are there, on memory that was written before. */
    check_status(tarn_take_block(tarn_zeros(f->tm, TARN_F64, TARN_SHAPE(3)), &block), TARN_OK);
    check_bytes(block.data, 0, 24);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
}

/* The tensor's life has ended: the manager holds nothing any more, now and afterwards. */
static void what_was_taken_is_no_longer_the_managers(void **state)
{
    check_fixture *f = *state;
    tarn_block block;
    check_status(tarn_take_block(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100)), &block), TARN_OK);
    tarn_manager_stats m = tarn_manager_get_stats(f->tm);
    assert_int_equal(m.created, 1);
    assert_int_equal(m.active, 0);
    assert_int_equal(m.total_memory, 0);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    m = tarn_manager_get_stats(f->tm);
    assert_int_equal(m.active, 0);
    assert_int_equal(m.total_memory, 0);
    for (int i = 0; i < 10; i++) {
        check_status(tarn_take_block(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100)), &block), TARN_OK);
        check_status(tarn_pool_release(f->pool, block), TARN_OK);
    }
    assert_int_equal(tarn_manager_get_stats(f->tm).peak, 1);
    assert_true(stats_of(f).peak_usage <= 800); /* a bound, as two take part; it does not grow */
    check_pool(f);
}

static void a_block_outlives_its_manager(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_block block;
    check_status(tarn_take_block(tarn_ones(other, TARN_U8, TARN_SHAPE(100)), &block), TARN_OK);
    assert_int_equal(tarn_manager_destroy(other), 0);
    check_bytes(block.data, 1, 100);
    check_status(tarn_pool_release(f->pool, block), TARN_OK);
    assert_int_equal(stats_of(f).current_usage, 0);
    check_pool(f);
}

static void refuse_taking(check_fixture *f, tarn_tensor *t, const char *part)
{
    const tarn_pool_stats before = stats_of(f);
    tarn_block block = { f, 1, 2, 3 };
    check_status(tarn_take_block(t, &block), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, part);
    assert_true(block.data == NULL && block.bytes == 0 && block.id == 0);
    const tarn_pool_stats after = stats_of(f);
    check_same_stats(&after, &before);
    assert_non_null(tarn_data(t)); /* as it was */
}

static void shared_memory_is_not_taken(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *t = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4));
    tarn_tensor *view = tarn_reshape(t, TARN_SHAPE(2, 2));
    refuse_taking(f, t, "something else refers");
    refuse_taking(f, view, "something else refers");
    tarn_release(view);
    (void)tarn_retain(t);
    refuse_taking(f, t, "something else refers");
    tarn_release(t);

    assert_non_null(tarn_require_grad(t));
    refuse_taking(f, t, "something else refers");
    tarn_tensor *saved = tarn_exp(t);
    refuse_taking(f, saved, "something else refers");
    tarn_tensor *operand = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4));
    tarn_tensor *product = tarn_mul(t, operand);
    refuse_taking(f, operand, "something else refers");
    tarn_release(saved);
    tarn_release(product);
    tarn_block block;
    check_status(tarn_take_block(operand, &block), TARN_OK); /* the tape let it go */
    check_status(tarn_pool_release(f->pool, block), TARN_OK);

    tarn_module *net = tarn_module_create(f->tm);
    tarn_tensor *w = tarn_module_add_parameter(net, "w", TARN_F32, TARN_SHAPE(3), NULL);
    refuse_taking(f, w, "something else refers");
    refuse_taking(f, tarn_module_add_buffer(net, "b", TARN_F32, TARN_SHAPE(3)),
                  "something else refers");
    refuse_taking(f, tarn_grad_of(w), "something else refers");

    float memory[2] = { 0 };
    freed note = { 0 };
    tarn_tensor *adopted = adopt(f, memory, 1, 2, &note);
    refuse_taking(f, adopted, "not the pool's");
    tarn_release(adopted);
    assert_int_equal(note.n, 1);
}

static void wrong_takings_are_told(void **state)
{
    check_fixture *f = *state;
    tarn_block block = { f, 1, 2, 3 };
    check_status(tarn_take_block(NULL, &block), TARN_EARG);
    assert_null(block.data);
    tarn_tensor *t = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4));
    check_status(tarn_take_block(t, NULL), TARN_EARG);
    tarn_tensor *leaf = tarn_require_grad(t);
    tarn_tensor *middle = tarn_square(leaf);
    check_status(tarn_backward(tarn_sum(middle, TARN_ALL_AXES)), TARN_OK);
    block.data = f;
    check_status(tarn_take_block(middle, &block), TARN_ESTALE);
    check_error_part(f->tm, TARN_ESTALE, "given back by tarn_backward");
    assert_null(block.data);
}

/* ---- dry runs */

/* Memory of this process that is really there, in bytes. */
static size_t resident(void)
{
    unsigned long long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    const int n = fscanf(file, "%llu %llu", &size, &pages);
    (void)fclose(file);
    return n == 2 ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

typedef struct model {
    const int64_t *sizes;
    int n_sizes, steps;
    int64_t rows;
    int64_t grow; /* rows more in each step */
    bool measured;
    size_t most_resident; /* at the ends of steps, if measured */
} model;

static tarn_status train(tarn_manager *tm, void *context)
{
    model *m = context;
    tarn_module *net = tarn_module_create(tm);
    const tarn_mlp mlp = tarn_mlp_create(net, "mlp", m->sizes, m->n_sizes, NULL);
    tarn_optimizer *opt = tarn_adam_create(net, NULL);
    for (int step = 0; step < m->steps && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        const int64_t rows = m->rows + step * m->grow;
        tarn_tensor *x = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(rows, m->sizes[0]), 0, 1, 1);
        tarn_tensor *y = tarn_ones(tm, TARN_F32, TARN_SHAPE(rows, m->sizes[m->n_sizes - 1]));
        (void)tarn_backward(tarn_mse(tarn_mlp_forward(&mlp, x), y));
        (void)tarn_optimizer_step(opt);
        const size_t now = m->measured ? resident() : 0;
        if (now > m->most_resident) m->most_resident = now;
    }
    return tarn_error_code(tm);
}

static const int64_t mlp_sizes[] = { 100, 200, 150, 10 };
static model mlp_model = { mlp_sizes, 4, 5, 64, 0, false, 0 };

/* The exclusive or, as in the example: a few small tensors. */
static tarn_status train_xor(tarn_manager *tm, void *context)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    double *loss_value = context;
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X);
    tarn_tensor *y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y);
    tarn_module *net = tarn_module_create(tm);
    const tarn_linear l1 = tarn_linear_create(net, "l1", 2, 8);
    const tarn_linear l2 = tarn_linear_create(net, "l2", 8, 1);
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.05 });
    for (int step = 0; step < 20 && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&l1, x));
        tarn_tensor *loss = tarn_bce_with_logits(tarn_linear_forward(&l2, hidden), y);
        (void)tarn_backward(loss);
        (void)tarn_optimizer_step(opt);
        if (tarn_ok(tm)) *loss_value = tarn_item(loss);
    }
    return tarn_error_code(tm);
}

/* A run with memory, in a pool with a cap (0: none). */
static tarn_status real_run(tarn_status (*program)(tarn_manager *tm, void *context), void *context,
                            const tarn_pool_options *given, size_t cap, tarn_pool_stats *stats)
{
    tarn_pool_options options = given != NULL ? *given : (tarn_pool_options){ 0 };
    options.max_capacity = cap;
    tarn_status status;
    tarn_pool *pool = tarn_pool_create(&options, &status);
    if (pool == NULL) return status;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool, .seed = 42 });
    status = program(tm, context);
    *stats = tarn_pool_get_stats(pool);
    check_status(tarn_pool_check(pool), TARN_OK);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    check_status(tarn_pool_destroy(pool), TARN_OK);
    return status;
}

/* What the dry run says is what the real one needs, to the byte; its least cap suffices, and 64 KiB
 * less do not. */
static void check_foretold(tarn_status (*program)(tarn_manager *tm, void *context), void *context,
                           const tarn_pool_options *options)
{
    enum { GRAIN = 64 * 1024 };
    tarn_dry_run_result r;
    char message[256] = "unchanged";
    check_status(tarn_dry_run(program, context, options, &(tarn_manager_options){ .seed = 42 }, &r,
                              message, sizeof(message)),
                 TARN_OK);
    assert_string_equal(message, "");
    tarn_pool_stats s;
    check_status(real_run(program, context, options, 0, &s), TARN_OK);
    assert_int_equal(r.reserved, s.peak_reserved);
    assert_int_equal(r.in_use, s.peak_in_use);
    assert_int_equal(r.stats.peak_reserved, s.peak_reserved);
    assert_int_equal(r.stats.peak_usage, s.peak_usage);
    assert_int_equal(r.stats.allocations, s.allocations);
    assert_int_equal(r.stats.pool_allocations, s.pool_allocations);
    assert_int_equal(r.stats.releases, s.releases);
    assert_int_equal(r.stats.memory_saved, s.memory_saved);
    assert_int_equal(r.stats.system_allocations, s.system_allocations);
    assert_int_equal(r.stats.live_blocks, s.live_blocks);
    assert_true(r.runs >= 1 && r.runs < 64);
    assert_true(r.min_capacity >= r.in_use && r.min_capacity < r.reserved + GRAIN);
    assert_int_equal(r.min_capacity % GRAIN, 0);

    check_status(real_run(program, context, options, r.min_capacity, &s), TARN_OK);
    assert_true(s.peak_reserved <= r.min_capacity);
    if (r.min_capacity > GRAIN)
        check_status(real_run(program, context, options, r.min_capacity - GRAIN, &s), TARN_ENOMEM);
}

static void a_dry_run_foretells_the_exclusive_or(void **state)
{
    (void)state;
    double loss = 0;
    check_foretold(train_xor, &loss, NULL);
    assert_true(loss > 0);
}

static void a_dry_run_foretells_training(void **state)
{
    (void)state;
    check_foretold(train, &mlp_model, NULL);
    model growing = mlp_model;
    growing.grow = 17;
    check_foretold(train, &growing, NULL);
}

static void a_dry_run_follows_the_options(void **state)
{
    (void)state;
    static const tarn_pool_options options[] = {
        { .alignment = 4096 },
        { .cache_limit = TARN_NONE },
        { .cache_limit = 100 * KIB, .growth_factor = 1.5 },
        { .initial_capacity = 300 * KIB },
        { .decay_steps = 2 },
        { .mode = TARN_PASS_THROUGH },
        { .zero_policy = TARN_ZERO_AT_ONCE },
        { .track_stats = TARN_OFF },
    };
    model growing = mlp_model;
    growing.grow = 5;
    const size_t n = check_scaled(1000) == 20 ? 2 : sizeof(options) / sizeof(options[0]);
    for (size_t i = 0; i < n; i++) check_foretold(train, &growing, &options[i]);
}

static tarn_status with_wrong_shapes(tarn_manager *tm, void *context)
{
    (void)context;
    (void)tarn_matmul(tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3)),
                      tarn_ones(tm, TARN_F32, TARN_SHAPE(4, 5)));
    return TARN_OK; /* what the manager holds counts */
}

static tarn_status that_fails_itself(tarn_manager *tm, void *context)
{
    (void)context;
    (void)tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3));
    return TARN_EIO;
}

static tarn_status that_needs_nothing(tarn_manager *tm, void *context)
{
    (void)context;
    return tarn_is_dry_run(tm) ? TARN_OK : TARN_ESTATE;
}

static bool is_empty(const tarn_dry_run_result *r)
{
    return r->reserved == 0 && r->in_use == 0 && r->min_capacity == 0 && r->runs == 0 &&
           r->stats.allocations == 0;
}

static void errors_of_the_program_are_told(void **state)
{
    (void)state;
    tarn_dry_run_result r;
    char message[256];
    check_status(tarn_dry_run(with_wrong_shapes, NULL, NULL, NULL, &r, message, sizeof(message)),
                 TARN_ESHAPE);
    assert_non_null(strstr(message, "matmul"));
    assert_true(is_empty(&r));
    char cut[8];
    check_status(tarn_dry_run(with_wrong_shapes, NULL, NULL, NULL, &r, cut, sizeof(cut)),
                 TARN_ESHAPE);
    assert_int_equal(strncmp(cut, message, 7), 0);
    assert_int_equal(cut[7], '\0');
    check_status(tarn_dry_run(with_wrong_shapes, NULL, NULL, NULL, &r, NULL, 0), TARN_ESHAPE);
    check_status(tarn_dry_run(that_fails_itself, NULL, NULL, NULL, &r, message, sizeof(message)),
                 TARN_EIO);
    assert_string_equal(message, "the program: file cannot be read or written");
    assert_true(is_empty(&r));
    check_status(tarn_dry_run(NULL, NULL, NULL, NULL, &r, NULL, 0), TARN_EARG);
    check_status(tarn_dry_run(train, &mlp_model, NULL, NULL, NULL, NULL, 0), TARN_EARG);
    check_status(tarn_dry_run(train, &mlp_model, &(tarn_pool_options){ .growth_factor = 0.5 }, NULL,
                              &r, NULL, 0),
                 TARN_EARG);
    assert_true(is_empty(&r));
    check_status(tarn_dry_run(that_needs_nothing, NULL, NULL, NULL, &r, NULL, 0), TARN_OK);
    assert_int_equal(r.reserved, 0);
    assert_int_equal(r.min_capacity, 0);
    assert_int_equal(r.runs, 1);
}

/* The attempts that look for the least cap fail on purpose: the program's own listener does not
 * hear of a run that goes well. */
static void count_error(void *context, tarn_status code, const char *message)
{
    (void)code;
    (void)message;
    ++*(int *)context;
}

static void the_search_tells_no_errors(void **state)
{
    (void)state;
    int errors = 0;
    tarn_dry_run_result r;
    check_status(
        tarn_dry_run(train, &mlp_model, NULL,
                     &(tarn_manager_options){ .on_error = count_error, .context = &errors }, &r,
                     NULL, 0),
        TARN_OK);
    assert_int_equal(errors, 0);
}

static void a_dry_manager_does_all_but_compute(void **state)
{
    (void)state;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .dry_run = true });
    assert_non_null(tm);
    assert_true(tarn_is_dry_run(tm));
    assert_false(tarn_is_dry_run(NULL));
    static const float values[] = { 1, 2, 3, 4 };
    tarn_tensor *a = tarn_from_array(tm, TARN_F32, TARN_SHAPE(2, 2), values);
    tarn_tensor *b = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 2));
    static const double zeros[4];
    check_close(a, zeros, 4, 0); /* elements are not written and read as zeros */
    check_close(b, zeros, 4, 0);
    check_close(tarn_full(tm, TARN_F32, TARN_SHAPE(2, 2), 5), zeros, 4, 0);
    check_close(tarn_eye(tm, TARN_F32, 2), zeros, 4, 0);
    check_close(tarn_arange(tm, TARN_F64, 1, 5, 1), zeros, 4, 0);
    check_close(tarn_random_normal(tm, TARN_F32, TARN_SHAPE(4), 3, 1, 1), zeros, 4, 0);
    tarn_tensor *c = tarn_matmul(a, b);
    assert_int_equal(tarn_dim(c, 1), 2);
    check_close(c, zeros, 4, 0);
    check_status(tarn_copy_from(a, values, sizeof(values)), TARN_OK);
    check_close(a, zeros, 4, 0);
    check_status(tarn_fill_with(a, 3), TARN_OK);
    check_close(a, zeros, 4, 0);
    assert_null(tarn_add(a, tarn_ones(tm, TARN_F32, TARN_SHAPE(3))));
    check_error_part(tm, TARN_ESHAPE, "add");
    tarn_module *net = tarn_module_create(tm);
    const tarn_linear l = tarn_linear_create(net, "l", 2, 2);
    check_close(l.weight, zeros, 4, 0);
    tarn_tensor *loss = tarn_mse(tarn_linear_forward(&l, a), b);
    check_status(tarn_backward(loss), TARN_OK);
    assert_true(tarn_has_grad(l.weight));
    check_close(tarn_grad_of(l.weight), zeros, 4, 0);
    (void)tarn_manager_destroy(tm);
}

static void a_huge_model_takes_no_memory(void **state)
{
    (void)state;
    if (check_scaled(1000) != 1000) skip(); /* checkers keep books of their own */
    static const int64_t sizes[] = { 20000, 20000, 20000, 20000, 1000 };
    model huge = { sizes, 5, 2, 4096, 0, true, 0 };
    tarn_dry_run_result r;
    const size_t before = resident();
    if (before == 0) skip();
    check_status(tarn_dry_run(train, &huge, NULL, NULL, &r, NULL, 0), TARN_OK);
    const size_t most = huge.most_resident;
    assert_true(most > 0);
    /* Parameters, gradients and two moments of 1.22e9 numbers. */
    assert_true(r.reserved > (size_t)19 * 1000 * 1000 * 1000);
    if (most > before + 16 * (size_t)MIB) fail_msg("%zu bytes more are resident", most - before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
        WITH_MANAGER(adopted_memory_is_not_copied),
        WITH_MANAGER(freeing_waits_for_scopes_views_and_retains),
        WITH_MANAGER(freeing_waits_for_the_tape),
        cmocka_unit_test(managers_free_what_is_left),
        WITH_MANAGER(there_need_be_no_function_to_free),
        WITH_MANAGER(what_cannot_be_adopted_is_not_freed),
        WITH_MANAGER(adopted_tensors_are_operands_and_leaves),
        WITH_MANAGER(a_block_can_be_taken),
        WITH_MANAGER(what_was_taken_is_no_longer_the_managers),
        WITH_MANAGER(a_block_outlives_its_manager),
        WITH_MANAGER(shared_memory_is_not_taken),
        WITH_MANAGER(wrong_takings_are_told),
        cmocka_unit_test(a_dry_run_foretells_the_exclusive_or),
        cmocka_unit_test(a_dry_run_foretells_training),
        cmocka_unit_test(a_dry_run_follows_the_options),
        cmocka_unit_test(errors_of_the_program_are_told),
        cmocka_unit_test(the_search_tells_no_errors),
        cmocka_unit_test(a_dry_manager_does_all_but_compute),
        cmocka_unit_test(a_huge_model_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
