/* SPDX-License-Identifier: MIT
 * test_loader_prefetch.c - loaders that read ahead in a thread: the same batches as without, and
 * nothing left over, whatever the two threads do meanwhile.
 *
 * Threads are made through a function of this file, which can refuse them, and let them begin their
 * work late. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"
#include "nn/loader.h"

/* ---- threads as the tests want them */

typedef void *(*thread_main)(void *);

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main run,
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main run,
                          void *argument);

/* One thread at a time is made here, so that there is one place for what it is to run. */
static struct {
    bool refuse;
    int asked, made;
    thread_main run;
    void *argument;
    atomic_bool late; /* threads wait for this to be false again */
    atomic_bool takes_signals;
} threads;

static void *run_thread(void *unused)
{
    sigset_t blocked;
    (void)unused;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (sigismember(&blocked, SIGINT) != 1) atomic_store(&threads.takes_signals, true);
    while (atomic_load(&threads.late)) (void)sched_yield();
    return threads.run(threads.argument);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main run,
                          void *argument)
{
    threads.asked++;
    if (threads.refuse) return 11;
    threads.made++;
    threads.run = run;
    threads.argument = argument;
    return __real_pthread_create(thread, attributes, run_thread, NULL);
}

static int setup(void **state)
{
    threads.refuse = false;
    threads.asked = threads.made = 0;
    atomic_store(&threads.late, false);
    atomic_store(&threads.takes_signals, false);
    return check_setup(state);
}

/* ---- data */

enum { ROWS = 101, COLUMNS = 7 };

typedef struct data {
    tarn_tensor *x, *y;
} data;

/* Bytes, or their like in another type, in no order, and labels of all rows. */
static data make_data(tarn_manager *tm, int64_t rows, tarn_dtype dtype)
{
    data d = { tarn_empty(tm, TARN_U8, TARN_SHAPE(rows, COLUMNS)),
               tarn_arange(tm, TARN_I64, 0, (double)rows, 1) };
    unsigned char *x = tarn_data_mut(d.x);
    for (int64_t i = 0; i < rows * COLUMNS; i++) x[i] = (unsigned char)(i * 31 % 251);
    d.x = tarn_cast(d.x, dtype);
    return d;
}

static void give_way(int64_t times)
{
    for (int64_t i = 0; i < times; i++) (void)sched_yield();
}

static void check_same(tarn_tensor *a, tarn_tensor *b)
{
    assert_int_equal(tarn_numel(a), tarn_numel(b));
    assert_int_equal(tarn_dim(a, 0), tarn_dim(b, 0));
    assert_int_equal(tarn_get_dtype(a), tarn_get_dtype(b));
    assert_memory_equal(tarn_data(a), tarn_data(b),
                        (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a)));
}

/* One epoch of two loaders, of which only the second reads ahead, is the same. */
static void check_epoch(tarn_loader *plain, tarn_loader *ahead)
{
    tarn_tensor *x, *y, *u, *v;
    while (tarn_loader_next(plain, &x, &y)) {
        give_way(tarn_dim(x, 0) % 3);
        assert_true(tarn_loader_next(ahead, &u, &v));
        check_same(x, u);
        check_same(y, v);
    }
    assert_false(tarn_loader_next(ahead, &u, &v));
    assert_null(u);
    assert_null(v);
    assert_int_equal(tarn_loader_epoch(plain), tarn_loader_epoch(ahead));
}

/* Two loaders that differ in reading ahead alone. */
typedef struct pair {
    tarn_loader *plain, *ahead;
} pair;

static pair make_pair(const data *d, tarn_loader_options o)
{
    pair p = { .plain = tarn_loader_create(d->x, d->y, &o) };
    o.prefetch = true;
    p.ahead = tarn_loader_create(d->x, d->y, &o);
    assert_non_null(p.plain);
    assert_non_null(p.ahead);
    return p;
}

static void end_pair(pair p)
{
    tarn_loader_destroy(p.plain);
    tarn_loader_destroy(p.ahead);
}

/* ---- the same batches */

static void check_options(check_fixture *f, tarn_dtype from, tarn_loader_options o)
{
    TARN_SCOPE(f->tm);
    const data d = make_data(f->tm, ROWS, from);
    const pair p = make_pair(&d, o);
    for (int epoch = 0; epoch < 3; epoch++) check_epoch(p.plain, p.ahead);
    end_pair(p);
}

static void test_same_batches(void **state)
{
    check_fixture *f = *state;
    const tarn_dtype types[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
    int variants = 0;
    for (size_t type = 0; type < sizeof types / sizeof types[0]; type++) {
        for (int64_t size = 1; size <= ROWS + 1; size += size < 4 ? 1 : 49) {
            for (int bits = 0; bits < 16; bits++, variants++) {
                check_options(f, types[type],
                              (tarn_loader_options){ .batch_size = size,
                                                     .shuffle = bits & 1,
                                                     .drop_last = bits & 2,
                                                     .mix = bits & 4,
                                                     .dtype = bits & 8 ? TARN_F64 : TARN_F32,
                                                     .shift = bits & 1 ? 33.32 : 0,
                                                     .scale = bits & 2 ? 1 / 78.57 : 0,
                                                     .from = bits & 4 ? 0.7 : 0,
                                                     .to = bits & 4 ? 0.4 : 0 });
            }
        }
    }
    assert_int_equal(threads.asked, threads.made);
    assert_true(threads.made > variants / 2); /* an epoch of one batch needs none */
    assert_false(atomic_load(&threads.takes_signals));
}

/* Batches of more than one share of the work (loader_fill.c), so that two threads can take part. */
static void test_shared_batches(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 20000, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 6000, .shuffle = true });
    for (int epoch = 0; epoch < 5; epoch++) check_epoch(p.plain, p.ahead);
    end_pair(p);
}

/* A thread that comes late finds nothing left to do. */
static void test_late_thread(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10, .shuffle = true });
    atomic_store(&threads.late, true);
    check_epoch(p.plain, p.ahead);
    assert_int_equal(threads.made, 1);
    atomic_store(&threads.late, false);
    check_epoch(p.plain, p.ahead);
    end_pair(p);
}

/* A thread that has all the time does all the work. */
static void test_early_thread(void **state)
{
    (void)state;
    static unsigned char from[4 * 1000], to[4 * 1000];
    const tarn__rows rows = { .all = 1000, .n = 1000 };
    const tarn__fill_part part = {
        .from = from, .to = to, .row = 4, .from_dtype = TARN_U8, .to_dtype = TARN_U8, .scale = 1
    };
    tarn__loader_thread t = { .refused = false };
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < sizeof from; i++) from[i] = (unsigned char)(i + (size_t)round);
        assert_true(tarn__loader_thread_ready(&t));
        tarn__fill_begin(&t.job, &rows, 100, 900);
        tarn__fill_add(&t.job, &part);
        tarn__loader_thread_give(&t);
        while (atomic_load(&t.job.taken) < 900) (void)sched_yield();
        if (round % 2 == 0) tarn__loader_thread_drop(&t); /* too late: all is taken */
        else
            while (!tarn__loader_thread_take(&t)) {}
        assert_memory_equal(to, from + 400, 3600);
    }
    tarn__loader_thread_end(&t);
    assert_int_equal(threads.made, 1);
}

/* A thread that the system keeps from going on in the middle of a batch is not waited for. What it
 * was given is filled elsewhere, and it is given nothing until it goes on. */
static void test_stuck_thread(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 5, .shuffle = true });
    tarn__loader_thread *t = &p.ahead->thread;
    tarn_tensor *x, *y, *u, *v;
    for (int i = 0; tarn_loader_next(p.plain, &x, &y); i++) {
        while (i > 0 && atomic_load(&t->job.taken) < t->job.n) (void)sched_yield();
        while (atomic_load(&t->at) == TARN__JOB_IN_WORK) (void)sched_yield();
        const bool stuck = i % 5 > 2;
        if (stuck) atomic_store(&t->at, TARN__JOB_IN_WORK); /* as the thread itself would say */
        assert_true(tarn_loader_next(p.ahead, &u, &v));
        check_same(x, u);
        check_same(y, v);
        assert_int_equal(p.ahead->ahead, !stuck && i < 20);
        if (stuck) atomic_store(&t->at, TARN__JOB_OWN);
    }
    end_pair(p);
}

static void test_no_thread(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10, .shuffle = true });
    threads.refuse = true;
    for (int epoch = 0; epoch < 3; epoch++) check_epoch(p.plain, p.ahead);
    assert_int_equal(threads.asked, 1); /* a system that refused is not asked again */
    assert_int_equal(threads.made, 0);
    end_pair(p);
    check_no_error(f->tm);
}

/* ---- in other orders */

static void test_seek_and_rewind(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10, .shuffle = true });
    tarn_tensor *x;
    for (int read = 0; read <= 12; read++) {
        for (int i = 0; i < read; i++) {
            (void)tarn_loader_next(p.plain, &x, NULL);
            (void)tarn_loader_next(p.ahead, &x, NULL);
        }
        tarn_loader_rewind(p.plain);
        tarn_loader_rewind(p.ahead);
        check_epoch(p.plain, p.ahead);
        assert_true(tarn_loader_next(p.ahead, &x, NULL));
        check_status(tarn_loader_seek(p.plain, read), TARN_OK);
        check_status(tarn_loader_seek(p.ahead, read), TARN_OK);
        check_epoch(p.plain, p.ahead);
    }
    end_pair(p);
}

/* Targets are read ahead if the last call wanted them. */
static void test_targets_now_and_then(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 4 });
    tarn_tensor *x, *y, *u, *v;
    for (int i = 0; tarn_loader_next(p.plain, &x, &y); i++) {
        const bool wanted = i % 3 != 0;
        assert_true(tarn_loader_next(p.ahead, &u, wanted ? &v : NULL));
        check_same(x, u);
        if (wanted) check_same(y, v);
    }
    end_pair(p);
}

/* ---- in whose memory */

static void test_held_batches(void **state)
{
    check_fixture *f = *state;
    enum { HELD = 26 };
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 4, .shuffle = true });
    tarn_tensor *x[HELD], *u[HELD], *y;
    for (int i = 0; i < HELD; i++) {
        assert_true(tarn_loader_next(p.plain, &x[i], NULL));
        assert_true(tarn_loader_next(p.ahead, &u[i], i % 2 == 0 ? &y : NULL));
        tarn_retain(x[i]);
        tarn_retain(u[i]);
    }
    end_pair(p);
    for (int i = 0; i < HELD; i++) {
        check_same(x[i], u[i]);
        tarn_release(x[i]);
        tarn_release(u[i]);
    }
}

static void test_views_and_saves_hold_a_batch(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 20 });
    tarn_module *m = tarn_module_create(f->tm);
    tarn_tensor *w = tarn_module_add_parameter(m, "w", TARN_F32, TARN_SHAPE(COLUMNS), NULL);
    TARN_SCOPE(f->tm);
    tarn_tensor *x, *u;
    assert_true(tarn_loader_next(p.plain, &x, NULL));
    assert_true(tarn_loader_next(p.ahead, &u, NULL));
    tarn_tensor *row = tarn_slice(u, 0, 3, 4);
    tarn_tensor *loss = tarn_sum(tarn_mul(u, w), TARN_ALL_AXES);
    tarn_tensor *expected = tarn_sum(x, TARN_AXES(0));
    tarn_tensor *expected_row = tarn_contiguous(tarn_slice(x, 0, 3, 4));
    const float third = ((const float *)tarn_data(x))[3 * COLUMNS];
    for (int i = 0; i < 3; i++) assert_true(tarn_loader_next(p.ahead, &u, NULL));
    assert_true(((const float *)tarn_data(row))[0] == third);
    assert_non_null(expected_row);
    check_status(tarn_backward(loss), TARN_OK);
    const float *gradient = tarn_data(tarn_grad_of(w)), *sums = tarn_data(expected);
    for (int j = 0; j < COLUMNS; j++) assert_true(gradient[j] == sums[j]);
}

/* Whenever its owner ends, a loader leaves nothing behind: its thread may be filling. */
static void test_destroyed_while_filling(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 40000, TARN_U8);
    tarn_tensor *x;
    for (int round = 0; round < 50; round++) {
        tarn_loader *loader = tarn_loader_create(
            d.x, NULL, &(tarn_loader_options){ .batch_size = 20000, .prefetch = true });
        assert_true(tarn_loader_next(loader, &x, NULL));
        give_way(round % 4);
        tarn_loader_destroy(loader);
    }
    assert_true(tarn_loader_next(
        tarn_loader_create(d.x, NULL,
                           &(tarn_loader_options){ .batch_size = 20000, .prefetch = true }),
        &x, NULL)); /* left to the manager */
}

static void test_steady_state(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    tarn_loader *loader = tarn_loader_create(
        d.x, d.y, &(tarn_loader_options){ .batch_size = 8, .shuffle = true, .prefetch = true });
    tarn_module *m = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(m, "l", COLUMNS, 2);
    for (int epoch = 0; epoch < 4; epoch++) {
        tarn_tensor *x, *y;
        for (int step = 0; tarn_loader_next(loader, &x, &y); step++) {
            {
                TARN_SCOPE(f->tm);
                tarn_tensor *loss = tarn_sum(tarn_linear_forward(&l, x), TARN_ALL_AXES);
                check_status(tarn_backward(loss), TARN_OK);
            }
            if (epoch > 0 || step > 1) check_status(tarn_expect_steady(f->tm), TARN_OK);
        }
    }
    assert_int_equal(threads.made, 1);
}

typedef struct model {
    tarn_module *net;
    tarn_linear layer;
    tarn_optimizer *optimizer;
} model;

static tarn_tensor *train(tarn_tensor *const *inputs, int n, void *context)
{
    const model *m = context;
    assert_int_equal(n, 2);
    tarn_tensor *loss = tarn_cross_entropy(tarn_linear_forward(&m->layer, inputs[0]), inputs[1]);
    (void)tarn_backward(loss);
    (void)tarn_optimizer_step(m->optimizer);
    return loss;
}

/* What three epochs make of a model; steps are planned, or run eagerly. */
static uint64_t digest_after(check_fixture *f, tarn_loader *loader, tarn_plan_options options)
{
    tarn_manager *tm = f->tm;
    model m = { .net = tarn_module_create(tm) };
    m.layer = tarn_linear_create(m.net, "layer", COLUMNS, ROWS);
    m.optimizer = tarn_adam_create(m.net, NULL);
    check_status(tarn_fill_with(m.layer.weight, 0.01), TARN_OK);
    tarn_plan *plan = tarn_plan_create(tm, train, &m, &options);
    for (int epoch = 0; epoch < 3; epoch++) {
        tarn_tensor *x, *y;
        while (tarn_loader_next(loader, &x, &y)) {
            TARN_SCOPE(tm);
            assert_non_null(tarn_plan_run(plan, TARN_LIST(x, y)));
        }
    }
    assert_true(tarn_plan_is_replayed(plan) == !options.eager);
    check_no_error(tm);
    return tarn_module_digest(m.net);
}

/* Batches that take turns in memory feed plans as well as eager steps. */
static void test_planned_training(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10, .shuffle = true });
    const uint64_t expected = digest_after(f, p.plain, (tarn_plan_options){ .eager = true });
    assert_true(digest_after(f, p.ahead, (tarn_plan_options){ .eager = false }) == expected);
    end_pair(p);
}

/* ---- failures */

/* Runs two epochs as far as memory allows. True if they are complete. */
static bool try_epochs(check_fixture *f, const data *d, tarn_loader *plain)
{
    const tarn_loader_options o = { .batch_size = 30, .shuffle = true, .prefetch = true };
    tarn_loader *loader = tarn_loader_create(d->x, d->y, &o);
    tarn_tensor *x, *y, *u, *v;
    int64_t batches = 0;
    check_status(tarn_loader_seek(plain, 0), TARN_OK);
    for (int epoch = 0; epoch < 2; epoch++) {
        while (tarn_loader_next(loader, &u, &v)) {
            assert_true(tarn_loader_next(plain, &x, &y));
            check_same(x, u);
            check_same(y, v);
            batches++;
        }
        if (tarn_ok(f->tm)) assert_false(tarn_loader_next(plain, &x, &y));
    }
    tarn_loader_destroy(loader);
    return batches == 8;
}

static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    tarn_loader *plain =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 30, .shuffle = true });
    tarn_tensor *x, *y;
    assert_true(tarn_loader_next(plain, &x, &y)); /* which acquires what it needs */
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    uint64_t n = 1;
    for (;; n++) {
        check_fail_acquisition(f->pool, n);
        const bool complete = try_epochs(f, &d, plain);
        check_fail_acquisition(f->pool, 0);
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
        if (complete) break;
        check_error_part(f->tm, TARN_ENOMEM, "");
    }
    check_no_error(f->tm);
    assert_int_equal(n, 5); /* batch and spare, inputs and targets: four acquisitions */
}

/* Memory that was short once: the call after it gives the batch that failed. */
static void test_retry(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 30, .shuffle = true });
    tarn_tensor *x, *y, *u, *v, *held = NULL;
    int failed = 0;
    while (tarn_loader_next(p.plain, &x, &y)) {
        check_fail_acquisition(f->pool, 1);
        if (!tarn_loader_next(p.ahead, &u, &v)) {
            check_error_part(f->tm, TARN_ENOMEM, "");
            assert_null(u);
            failed++;
            assert_true(tarn_loader_next(p.ahead, &u, &v));
        }
        check_fail_acquisition(f->pool, 0);
        check_same(x, u);
        check_same(y, v);
        tarn_release(held);
        held = tarn_retain(u); /* so that the next call but one acquires again */
    }
    tarn_release(held);
    assert_int_equal(failed, 3); /* of four: the last has no successor to make room for */
    end_pair(p);
}

static void test_held_error(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10 });
    tarn_tensor *x, *u, *v;
    assert_true(tarn_loader_next(p.ahead, &u, &v));
    assert_true(tarn_loader_next(p.plain, &x, NULL));
    tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    assert_false(tarn_loader_next(p.ahead, &u, &v));
    assert_null(u);
    tarn_clear_error(f->tm);
    check_epoch(p.plain, p.ahead);
}

/* Before the first batch of an epoch data may be written to. */
static void test_written_data(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 10 });
    tarn_tensor *u, *v;
    for (int i = 0; i < 3; i++) {
        check_status(tarn_fill_with(d.x, i), TARN_OK);
        check_status(tarn_fill_with(d.y, i), TARN_OK);
        check_epoch(p.plain, p.ahead);
        assert_true(tarn_loader_next(p.ahead, &u, &v));
        tarn_loader_rewind(p.ahead); /* the epoch of the other loader begins now */
    }
}

/* A write that the thread cannot meet, because it has not begun. */
static void test_written_under_way(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, ROWS, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 50 });
    tarn_tensor *x, *y, *u, *v;
    tarn_tensor *const written[] = { d.x, d.y };
    atomic_store(&threads.late, true);
    for (int i = 0; i < 2; i++) {
        assert_true(tarn_loader_next(p.ahead, &u, &v));
        assert_true(tarn_loader_next(p.plain, &x, &y));
        check_status(tarn_fill_with(written[i], 3), TARN_OK);
        assert_false(tarn_loader_next(p.ahead, &u, &v));
        check_error_part(f->tm, TARN_ESTATE, "written to after a batch had been read ahead");
        check_epoch(p.plain, p.ahead); /* what the data are now */
    }
    atomic_store(&threads.late, false);
}

/* ---- processes and modes */

/* Exits with 0 if a child sees the same batches as its parent, of which the thread is not its. */
static void run_child(pair p)
{
    tarn_tensor *x, *y, *u, *v;
    bool same = true;
    while (same && tarn_loader_next(p.plain, &x, &y)) {
        same = tarn_loader_next(p.ahead, &u, &v) && tarn_numel(x) == tarn_numel(u) &&
               memcmp(tarn_data(x), tarn_data(u), sizeof(float) * (size_t)tarn_numel(x)) == 0 &&
               memcmp(tarn_data(y), tarn_data(v), sizeof(int64_t) * (size_t)tarn_numel(y)) == 0;
    }
    end_pair(p);
    _exit(same ? 0 : 1);
}

static void test_fork(void **state)
{
    check_fixture *f = *state;
    const data d = make_data(f->tm, 40000, TARN_U8);
    const pair p = make_pair(&d, (tarn_loader_options){ .batch_size = 12000, .shuffle = true });
    tarn_tensor *x, *u, *y;
    for (int round = 0; round < 8; round++) {
        assert_true(tarn_loader_next(p.plain, &x, &y));
        assert_true(tarn_loader_next(p.ahead, &u, &y));
        give_way(round % 4);
        const pid_t child = fork();
        if (child == 0) run_child(p);
        assert_true(child > 0);
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        check_epoch(p.plain, p.ahead); /* nor does the parent miss anything */
    }
    end_pair(p);
}

static tarn_status rehearse(tarn_manager *tm, void *context)
{
    (void)context;
    const data d = make_data(tm, ROWS, TARN_U8);
    tarn_loader *loader =
        tarn_loader_create(d.x, d.y, &(tarn_loader_options){ .batch_size = 10, .prefetch = true });
    tarn_tensor *x, *y;
    while (tarn_loader_next(loader, &x, &y)) {}
    return tarn_error_code(tm);
}

static void test_dry_run(void **state)
{
    check_fixture *f = *state;
    tarn_dry_run_result result;
    (void)f;
    check_status(tarn_dry_run(rehearse, NULL, NULL, NULL, &result, NULL, 0), TARN_OK);
    assert_int_equal(threads.asked, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_same_batches),
        TEST(test_shared_batches),
        TEST(test_late_thread),
        TEST(test_early_thread),
        TEST(test_stuck_thread),
        TEST(test_no_thread),
        TEST(test_seek_and_rewind),
        TEST(test_targets_now_and_then),
        TEST(test_held_batches),
        TEST(test_views_and_saves_hold_a_batch),
        TEST(test_destroyed_while_filling),
        TEST(test_steady_state),
        TEST(test_planned_training),
        TEST(test_short_memory),
        TEST(test_retry),
        TEST(test_held_error),
        TEST(test_written_data),
        TEST(test_written_under_way),
        TEST(test_fork),
        TEST(test_dry_run),
    };
#undef TEST
    return cmocka_run_group_tests_name("loader_prefetch", tests, NULL, NULL);
}
