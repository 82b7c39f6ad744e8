/* SPDX-License-Identifier: MIT
 * test_threads.c - many managers and threads on one pool: the same results, exact figures, an exact
 * cap, and blocks that change hands.
 *
 * cmocka's assertions end the thread of main only; other threads note what does not hold with HOLDS
 * and go on, and join_all asserts that nothing was noted. */
#define _POSIX_C_SOURCE 200809L /* pthread_barrier_t, nanosleep */

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tarn/tarn.h>

enum { THREADS = 4, MIB = 1024 * 1024 };

/* ---- threads and what they note */

static _Atomic unsigned missed;

static void miss(const char *condition, int line)
{
    if (atomic_fetch_add(&missed, 1) < 10) print_error("line %d: not so: %s\n", line, condition);
}

#define HOLDS(condition) ((condition) ? (void)0 : miss(#condition, __LINE__))

static pthread_t start(void *(*work)(void *), void *job)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, job), 0);
    return thread;
}

static void join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_exchange(&missed, 0), 0);
}

/* Runs the work on each of n jobs of `size` bytes, every one in a thread of its own. */
static void run_all(size_t n, void *(*work)(void *), void *jobs, size_t size)
{
    pthread_t threads[32];
    assert_true(n <= 32);
    for (size_t i = 0; i < n; i++) threads[i] = start(work, (char *)jobs + i * size);
    for (size_t i = 0; i < n; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_exchange(&missed, 0), 0);
}

static void pause_shortly(void) { (void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL); }

/* ---- a watcher: what is true of the figures at every moment */

typedef struct watcher {
    pthread_t thread;
    tarn_pool *pool;
    size_t cap; /* on reserved bytes; 0: none */
    atomic_bool done;
    uint64_t looks;
} watcher;

static void look(tarn_pool *pool, size_t cap)
{
    const tarn_pool_stats s = tarn_pool_get_stats(pool);
    HOLDS(s.current_usage <= s.in_use);
    HOLDS(s.in_use <= s.reserved);
    HOLDS(s.in_use + s.cached == s.reserved);
    HOLDS(s.held <= s.cached);
    HOLDS(s.largest_free <= s.cached);
    HOLDS(s.current_usage <= s.peak_usage && s.peak_usage <= s.peak_in_use);
    HOLDS(s.in_use <= s.peak_in_use && s.peak_in_use <= s.peak_reserved);
    HOLDS(s.cached <= s.peak_cached);
    HOLDS(s.reserved <= s.peak_reserved);
    HOLDS(s.live_blocks <= s.peak_live_blocks);
    HOLDS(s.pool_allocations + s.misses == s.allocations);
    HOLDS(s.allocations - s.releases == s.live_blocks);
    HOLDS(s.total_allocated - s.trimmed_bytes == s.reserved);
    HOLDS(cap == 0 || s.peak_reserved <= cap);
    HOLDS(tarn_pool_check(pool) == TARN_OK);
}

static void *watch(void *argument)
{
    watcher *w = argument;
    do {
        look(w->pool, w->cap);
        w->looks++;
        pause_shortly();
    } while (!atomic_load(&w->done));
    return NULL;
}

static void watch_begin(watcher *w, tarn_pool *pool, size_t cap)
{
    *w = (watcher){ .pool = pool, .cap = cap };
    w->thread = start(watch, w);
}

static void watch_end(watcher *w)
{
    atomic_store(&w->done, true);
    join(w->thread);
    assert_true(w->looks > 0);
}

/* ---- training */

enum { STEPS = 500 };

typedef struct training {
    tarn_pool *pool;
    uint64_t seed;
    int runs;      /* one after the other, each with a manager of its own */
    bool troubled; /* acquisitions fail now and then */

    uint64_t digest;
    double loss;
    float answers[4];
    uint64_t steps; /* that succeeded */
} training;

typedef struct xor_net {
    tarn_tensor *x, *y;
    tarn_module *module;
    tarn_linear l1, l2;
    tarn_optimizer *optimizer;
} xor_net;

static xor_net xor_create(tarn_manager *tm)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    xor_net net = { .x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X),
                    .y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y),
                    .module = tarn_module_create(tm) };
    net.l1 = tarn_linear_create(net.module, "l1", 2, 8);
    net.l2 = tarn_linear_create(net.module, "l2", 8, 1);
    net.optimizer = tarn_adam_create(net.module, &(tarn_adam_options){ .lr = 0.05 });
    return net;
}

static tarn_tensor *xor_forward(const xor_net *net)
{
    return tarn_linear_forward(&net->l2, tarn_tanh(tarn_linear_forward(&net->l1, net->x)));
}

/* One step; false, with the error forgotten, if memory was short. */
static bool xor_step(tarn_manager *tm, const xor_net *net, double *loss)
{
    TARN_SCOPE(tm);
    tarn_tensor *l = tarn_bce_with_logits(xor_forward(net), net->y);
    if (l != NULL && tarn_backward(l) == TARN_OK && tarn_optimizer_step(net->optimizer) == TARN_OK)
        *loss = tarn_item(l);
    if (tarn_ok(tm)) return true;
    HOLDS(tarn_error_code(tm) == TARN_ENOMEM);
    tarn_clear_error(tm);
    return false;
}

/* A whole life of a manager. Where there is trouble the net is made again until it succeeds. */
static void train_once(training *t)
{
    tarn_manager *tm =
        tarn_manager_create(&(tarn_manager_options){ .pool = t->pool, .seed = t->seed });
    HOLDS(tm != NULL);
    xor_net net = xor_create(tm);
    while (t->troubled && !tarn_ok(tm)) {
        HOLDS(tarn_error_code(tm) == TARN_ENOMEM);
        tarn_clear_error(tm);
        net = xor_create(tm);
    }
    for (int step = 0; step < STEPS; step++) t->steps += xor_step(tm, &net, &t->loss);
    t->digest = tarn_module_digest(net.module);
    if (!t->troubled) {
        TARN_NO_GRAD(tm);
        HOLDS(tarn_copy_to(xor_forward(&net), t->answers, sizeof t->answers) == TARN_OK);
    }
    HOLDS(tarn_ok(tm));
    HOLDS(tarn_manager_destroy(tm) == 0);
}

static void *train(void *argument)
{
    training *t = argument;
    for (int i = 0; i < t->runs; i++) train_once(t);
    return NULL;
}

/* What the same training gives in the only thread, in a pool of its own. */
static void verify_training(const training *t, tarn_pool_stats *sum)
{
    training alone = { .pool = tarn_pool_create(NULL, NULL), .seed = t->seed, .runs = t->runs };
    (void)train(&alone);
    assert_true(alone.digest == t->digest);
    assert_memory_equal(&alone.loss, &t->loss, sizeof t->loss);
    assert_memory_equal(alone.answers, t->answers, sizeof t->answers);
    assert_int_equal(t->steps, t->runs * STEPS);
    assert_true(t->loss < 0.05);
    const tarn_pool_stats s = tarn_pool_get_stats(alone.pool);
    sum->allocations += s.allocations;
    sum->releases += s.releases;
    sum->steps += s.steps;
    sum->zeroed_bytes += s.zeroed_bytes + s.zero_skipped_bytes;
    check_status(tarn_pool_destroy(alone.pool), TARN_OK);
}

/* No tag holds anything once every manager is gone. */
static void verify_tags_empty(const tarn_pool *pool)
{
    tarn_tag_usage rows[256];
    const size_t n = tarn_pool_get_tags(pool, rows, 256);
    assert_true(n <= 256);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows[i].live, 0);
        assert_int_equal(rows[i].blocks, 0);
    }
}

static void training_is_the_same_in_many_threads(void **state)
{
    check_fixture *f = *state;
    training jobs[2 * THREADS];
    watcher w;
    for (size_t i = 0; i < 2 * THREADS; i++)
        jobs[i] = (training){ .pool = f->pool, .seed = i / 2, .runs = 2 };
    watch_begin(&w, f->pool, 0);
    run_all(2 * THREADS, train, jobs, sizeof(jobs[0]));
    watch_end(&w);

    tarn_pool_stats sum = { 0 };
    for (size_t i = 0; i < 2 * THREADS; i++) verify_training(&jobs[i], &sum);
    const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
    assert_int_equal(s.allocations, sum.allocations);
    assert_int_equal(s.releases, sum.releases);
    assert_int_equal(s.steps, sum.steps);
    assert_int_equal(s.zeroed_bytes + s.zero_skipped_bytes, sum.zeroed_bytes);
    assert_int_equal(s.live_blocks, 0);
    assert_int_equal(s.current_usage, 0);
    assert_int_equal(s.in_use, 0);
    assert_int_equal(s.held, 0); /* managers take their caches with them */
    assert_int_equal(s.bad_releases + s.failed_acquisitions + s.damaged_blocks, 0);
    verify_tags_empty(f->pool);
    check_pool(f);
    assert_int_equal(tarn_pool_trim(f->pool, 0), s.cached);
    assert_int_equal(tarn_pool_get_stats(f->pool).reserved, 0);
}

/* ---- blocks that change hands */

enum { EXCHANGE_SLOTS = 32, EXCHANGE_ROUNDS = 8, MANY = 4000, FEW = 600 };

typedef struct parcel {
    tarn_block block;
    uint64_t cookie;
} parcel;

typedef struct counts {
    uint64_t acquired, released, refused, failed;
    size_t usage, peak_usage, live; /* of all parcels as their holders know it */
} counts;

typedef struct exchange {
    tarn_pool *pool;
    size_t operations; /* of each thread */
    pthread_mutex_t lock;
    parcel slots[EXCHANGE_SLOTS];
    counts sum; /* under the lock */
} exchange;

typedef struct trader {
    exchange *x;
    uint64_t random;
    bool managed; /* blocks come from tensors of a manager of its own */
    tarn_manager *tm;
    tarn_block last; /* the last it released */
} trader;

static size_t draw_bytes(trader *t)
{
    static const size_t common[] = { 0, 40, 256, 4096, 40000, 100352 };
    const uint64_t draw = check_random(&t->random);
    if (draw % 2 == 0) return common[draw / 2 % (sizeof(common) / sizeof(common[0]))];
    return (size_t)(draw >> 8) % ((size_t)1 << (draw / 2 % 18));
}

/* The ends and a comb. */
static void write_cookie(const parcel *p)
{
    unsigned char *data = p->block.data;
    for (size_t i = 0; i < p->block.bytes; i += i < 64 ? 1 : 61)
        data[i] = (unsigned char)(p->cookie >> (i % 8 * 8) ^ i);
    if (p->block.bytes > 0) data[p->block.bytes - 1] = (unsigned char)p->cookie;
}

static bool cookie_stands(const parcel *p)
{
    const unsigned char *data = p->block.data;
    const size_t last = p->block.bytes - 1;
    for (size_t i = 0; i < p->block.bytes; i += i < 64 ? 1 : 61)
        if (i != last && data[i] != (unsigned char)(p->cookie >> (i % 8 * 8) ^ i)) return false;
    return p->block.bytes == 0 || data[last] == (unsigned char)p->cookie;
}

static bool all_zero(const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != 0) return false;
    return true;
}

/* A block out of a tensor that it leaves. */
static tarn_status take_from_tensor(trader *t, size_t bytes, tarn_block *block)
{
    TARN_SCOPE(t->tm);
    tarn_tensor *tensor = tarn_empty(t->tm, TARN_U8, TARN_SHAPE((int64_t)bytes));
    const tarn_status status = tensor != NULL ? tarn_take_block(tensor, block) : TARN_ENOMEM;
    tarn_clear_error(t->tm);
    return status;
}

static parcel acquire_parcel(trader *t)
{
    exchange *x = t->x;
    parcel p = { .cookie = check_random(&t->random) };
    const size_t bytes = draw_bytes(t);
    const bool zeroed = !t->managed && p.cookie % 4 == 0;
    const tarn_status status =
        t->managed ? take_from_tensor(t, bytes, &p.block)
                   : tarn_pool_acquire(x->pool, bytes, zeroed ? TARN_ZEROED : TARN_UNINITIALIZED,
                                       &p.block);
    HOLDS(status == TARN_OK || status == TARN_ENOMEM);
    HOLDS((status == TARN_OK) == (p.block.data != NULL));
    if (status != TARN_OK) return p;
    HOLDS(p.block.bytes == bytes && (uintptr_t)p.block.data % 64 == 0);
    HOLDS(!zeroed || all_zero(p.block.data, bytes));
    write_cookie(&p);
    return p;
}

static void release_parcel(trader *t, const parcel *p)
{
    if (p->block.data == NULL) return;
    HOLDS(cookie_stands(p));
    HOLDS(tarn_pool_release(t->x->pool, p->block) == TARN_OK);
    t->last = p->block;
}

/* Makes a parcel, leaves it in a slot, and releases what somebody else had left there. */
static void trade(trader *t)
{
    exchange *x = t->x;
    const parcel mine = acquire_parcel(t);
    parcel *slot = &x->slots[check_random(&t->random) % EXCHANGE_SLOTS];
    (void)pthread_mutex_lock(&x->lock);
    const parcel theirs = *slot;
    counts *c = &x->sum;
    if (mine.block.data != NULL) {
        *slot = mine;
        c->acquired++;
        c->usage += mine.block.bytes;
    } else {
        slot->block = (tarn_block){ 0 };
        c->failed++;
    }
    if (c->usage > c->peak_usage) c->peak_usage = c->usage;
    if (theirs.block.data != NULL) {
        c->released++;
        c->usage -= theirs.block.bytes;
    }
    (void)pthread_mutex_unlock(&x->lock);
    release_parcel(t, &theirs);
}

/* The life of a thread. */
static void *trader_work(void *argument)
{
    trader *t = argument;
    uint64_t refused = 0;
    if (t->managed) t->tm = tarn_manager_create(&(tarn_manager_options){ .pool = t->x->pool });
    HOLDS(!t->managed || t->tm != NULL);
    for (size_t i = 0; i < t->x->operations; i++) {
        trade(t);
        if (t->last.data == NULL || check_random(&t->random) % 32 != 0) continue;
        HOLDS(tarn_pool_release(t->x->pool, t->last) == TARN_ESTATE);
        refused++;
    }
    HOLDS(tarn_manager_destroy(t->tm) == 0);
    (void)pthread_mutex_lock(&t->x->lock);
    t->x->sum.refused += refused;
    (void)pthread_mutex_unlock(&t->x->lock);
    return NULL;
}

/* Threads come and go in rounds; afterwards every figure is what they counted. Returns how many
 * acquisitions failed. */
static uint64_t run_exchange(const tarn_pool_options *options, bool from_main, size_t operations)
{
    check_fixture f;
    check_pool_begin(&f, options);
    exchange x = { .pool = f.pool, .operations = check_scaled(operations) };
    assert_int_equal(pthread_mutex_init(&x.lock, NULL), 0);
    trader self = { .x = &x, .random = check_seed() };
    watcher w;
    watch_begin(&w, f.pool, options->max_capacity);
    for (int round = 0; round < EXCHANGE_ROUNDS; round++) {
        trader traders[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            traders[i] =
                (trader){ .x = &x, .random = check_random(&self.random), .managed = i % 2 };
        for (int i = 0; from_main && i < 100; i++) trade(&self);
        run_all(THREADS, trader_work, traders, sizeof(traders[0]));
    }
    watch_end(&w);
    for (size_t i = 0; i < EXCHANGE_SLOTS; i++) {
        x.sum.released += x.slots[i].block.data != NULL;
        release_parcel(&self, &x.slots[i]);
    }
    (void)pthread_mutex_destroy(&x.lock);

    const tarn_pool_stats s = tarn_pool_get_stats(f.pool);
    assert_int_equal(atomic_exchange(&missed, 0), 0);
    assert_int_equal(s.allocations, x.sum.acquired);
    assert_int_equal(s.releases, x.sum.released);
    assert_int_equal(s.bad_releases, x.sum.refused);
    assert_int_equal(s.failed_acquisitions, x.sum.failed);
    assert_int_equal(s.live_blocks, 0);
    assert_int_equal(s.current_usage, 0);
    assert_int_equal(s.in_use, 0);
    assert_true(x.sum.refused > 0);
    assert_true(s.peak_usage >= x.sum.peak_usage && s.peak_in_use <= s.peak_reserved);
    assert_true(s.peak_cached <= s.peak_reserved);
    assert_true(x.sum.failed == 0 || options->max_capacity != 0);
    verify_tags_empty(f.pool);
    check_end(&f);
    return x.sum.failed;
}

static void blocks_change_hands(void **state)
{
    (void)state;
    (void)run_exchange(&(tarn_pool_options){ 0 }, true, MANY);
}

static void without_a_cache_of_main(void **state)
{
    (void)state;
    (void)run_exchange(&(tarn_pool_options){ .cache_limit = 100000, .decay_steps = 3 }, false,
                       MANY);
}

static void at_the_cap(void **state)
{
    (void)state;
    assert_true(run_exchange(&(tarn_pool_options){ .max_capacity = 300000 }, true, MANY) > 0);
}

static void fully_checked(void **state)
{
    (void)state;
    (void)run_exchange(&(tarn_pool_options){ .checking = TARN_CHECK_FULL, .max_capacity = MIB },
                       true, FEW);
}

static void passed_through(void **state)
{
    (void)state;
    (void)run_exchange(&(tarn_pool_options){ .mode = TARN_PASS_THROUGH }, true, MANY);
}

static void traced_and_wiped(void **state)
{
    (void)state;
    (void)run_exchange(&(tarn_pool_options){ .trace_events = 1000, .wipe_on_release = true }, true,
                       MANY);
}

/* ---- one acquires, another releases */

enum { PIPE_BLOCKS = 4000, PIPE_ROOM = 16, PIPE_BYTES = 65536 };

typedef struct pipeline {
    tarn_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tarn_block queue[PIPE_ROOM];
    size_t n_in, n_out;
} pipeline;

static void *produce(void *argument)
{
    pipeline *p = argument;
    for (size_t i = 0; i < PIPE_BLOCKS; i++) {
        tarn_block block;
        HOLDS(tarn_pool_acquire(p->pool, PIPE_BYTES, TARN_UNINITIALIZED, &block) == TARN_OK);
        (void)pthread_mutex_lock(&p->lock);
        while (p->n_in - p->n_out == PIPE_ROOM) (void)pthread_cond_wait(&p->changed, &p->lock);
        p->queue[p->n_in++ % PIPE_ROOM] = block;
        (void)pthread_cond_broadcast(&p->changed);
        (void)pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

static void *consume(void *argument)
{
    pipeline *p = argument;
    for (size_t i = 0; i < PIPE_BLOCKS; i++) {
        (void)pthread_mutex_lock(&p->lock);
        while (p->n_in == p->n_out) (void)pthread_cond_wait(&p->changed, &p->lock);
        const tarn_block block = p->queue[p->n_out++ % PIPE_ROOM];
        (void)pthread_cond_broadcast(&p->changed);
        (void)pthread_mutex_unlock(&p->lock);
        HOLDS(tarn_pool_release(p->pool, block) == TARN_OK);
    }
    return NULL;
}

/* At most PIPE_ROOM + 2 blocks live at a time; the rest is what may be cached. */
static void run_pipeline(void *(*by_main)(void *), void *(*by_other)(void *))
{
    check_fixture f;
    tarn_block first;
    check_pool_begin(&f, NULL);
    pipeline p = { .pool = f.pool };
    assert_int_equal(pthread_mutex_init(&p.lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&p.changed, NULL), 0);
    /* The first caller has the cache. */
    check_status(tarn_pool_acquire(f.pool, 1, TARN_UNINITIALIZED, &first), TARN_OK);
    check_status(tarn_pool_release(f.pool, first), TARN_OK);
    const pthread_t other = start(by_other, &p);
    (void)by_main(&p);
    join(other);
    const tarn_pool_stats s = tarn_pool_get_stats(f.pool);
    assert_int_equal(s.allocations, PIPE_BLOCKS + 1);
    assert_int_equal(s.releases, PIPE_BLOCKS + 1);
    assert_int_equal(s.in_use, 0);
    assert_true(s.peak_reserved <= 64 * MIB + (size_t)3 * (PIPE_ROOM + 2) * PIPE_BYTES + MIB);
    (void)pthread_cond_destroy(&p.changed);
    (void)pthread_mutex_destroy(&p.lock);
    check_end(&f);
}

static void others_consume_what_the_first_produces(void **state)
{
    (void)state;
    run_pipeline(produce, consume);
}

static void the_first_consumes_what_others_produce(void **state)
{
    (void)state;
    run_pipeline(consume, produce);
}

/* ---- the cap */

enum { CAP = 2 * MIB, CAP_HELD = 8, CAP_OPERATIONS = 4000 };

typedef struct rival {
    tarn_pool *pool;
    uint64_t random;
    uint64_t failed;
} rival;

/* Holds up to CAP_HELD tensors, each full of one byte. */
static void *compete(void *argument)
{
    rival *r = argument;
    tarn_manager *tm =
        tarn_manager_create(&(tarn_manager_options){ .pool = r->pool, .auto_release = TARN_OFF });
    tarn_tensor *held[CAP_HELD] = { NULL };
    for (size_t i = 0; i < check_scaled(CAP_OPERATIONS); i++) {
        const uint64_t draw = check_random(&r->random);
        tarn_tensor **slot = &held[draw % CAP_HELD];
        if (*slot != NULL) {
            const unsigned char *data = tarn_data(*slot);
            const int64_t last = tarn_numel(*slot) - 1;
            HOLDS(data[0] == data[last] && data[last / 2] == data[0]);
            tarn_release(*slot);
            *slot = NULL;
            continue;
        }
        const int64_t n = 1 + (int64_t)(draw >> 8) % ((int64_t)1 << (12 + draw / 8 % 8));
        *slot = tarn_full(tm, TARN_U8, TARN_SHAPE(n), (double)(draw >> 56));
        if (*slot != NULL) continue;
        HOLDS(tarn_error_code(tm) == TARN_ENOMEM);
        tarn_clear_error(tm);
        r->failed++;
    }
    for (size_t i = 0; i < CAP_HELD; i++)
        if (held[i] != NULL) tarn_release(held[i]);
    HOLDS(tarn_ok(tm));
    HOLDS(tarn_manager_get_stats(tm).active == 0);
    HOLDS(tarn_manager_destroy(tm) == 0);
    return NULL;
}

static void the_cap_is_exact(void **state)
{
    (void)state;
    check_fixture f;
    check_pool_begin(&f, &(tarn_pool_options){ .max_capacity = CAP });
    uint64_t random = check_seed();
    rival rivals[2 * THREADS];
    watcher w;
    for (size_t i = 0; i < 2 * THREADS; i++)
        rivals[i] = (rival){ .pool = f.pool, .random = check_random(&random) };
    watch_begin(&w, f.pool, CAP);
    run_all(2 * THREADS, compete, rivals, sizeof(rivals[0]));
    watch_end(&w);
    uint64_t failed = 0;
    for (size_t i = 0; i < 2 * THREADS; i++) failed += rivals[i].failed;
    const tarn_pool_stats s = tarn_pool_get_stats(f.pool);
    assert_true(failed > 0 || check_scaled(50) < 50); /* slow threads seldom collide */
    assert_int_equal(s.failed_acquisitions, failed);
    assert_true(s.peak_reserved <= CAP);
    check_end(&f);
}

typedef struct idler {
    tarn_pool *pool;
    pthread_barrier_t ready, over;
} idler;

/* Fills its cache with everything there is, and calls nothing until the other is served. */
static void *hoard(void *argument)
{
    idler *a = argument;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = a->pool });
    {
        TARN_SCOPE(tm);
        while (tarn_empty(tm, TARN_U8, TARN_SHAPE(100000)) != NULL) continue;
        HOLDS(tarn_error_code(tm) == TARN_ENOMEM);
        tarn_clear_error(tm);
    }
    (void)pthread_barrier_wait(&a->ready);
    (void)pthread_barrier_wait(&a->over);
    HOLDS(tarn_empty(tm, TARN_U8, TARN_SHAPE(100000)) != NULL);
    HOLDS(tarn_manager_destroy(tm) == 0);
    return NULL;
}

static void idle_caches_are_called_back(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .max_capacity = CAP });
    idler a = { .pool = f.pool };
    assert_int_equal(pthread_barrier_init(&a.ready, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&a.over, NULL, 2), 0);
    const pthread_t other = start(hoard, &a);
    (void)pthread_barrier_wait(&a.ready);
    const tarn_pool_stats before = tarn_pool_get_stats(f.pool);
    assert_true(before.held >= (size_t)CAP * 9 / 10 && before.reserved > CAP - 110000);
    {
        TARN_SCOPE(f.tm); /* the same size from the other's cache, then one that needs it gone */
        assert_non_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(100000)));
        assert_non_null(tarn_empty(f.tm, TARN_U8, TARN_SHAPE(CAP * 3 / 4)));
        assert_int_equal(tarn_pool_get_stats(f.pool).held, 0);
        assert_true(tarn_pool_get_stats(f.pool).reserved <= CAP);
    }
    (void)pthread_barrier_wait(&a.over);
    join(other);
    (void)pthread_barrier_destroy(&a.ready);
    (void)pthread_barrier_destroy(&a.over);
    check_end(&f);
}

/* ---- a busybody: calls everything while others train */

typedef struct busybody {
    tarn_pool *pool;
    uint64_t random;
    bool harmful; /* lets acquisitions fail, too */
    atomic_bool done;
    uint64_t steps;
} busybody;

static void ask(tarn_pool *pool, uint64_t what, FILE *stream)
{
    tarn_tag_usage tags[8];
    tarn_bucket_usage buckets[8];
    char text[4096];
    rewind(stream);
    switch (what) {
    case 0: HOLDS(tarn_pool_print_stats(pool, stream) == TARN_OK); break;
    case 1: HOLDS(tarn_pool_print_tags(pool, stream) == TARN_OK); break;
    case 2: HOLDS(tarn_pool_get_tags(pool, tags, 8) < 1000); break;
    case 3: HOLDS(tarn_pool_get_buckets(pool, buckets, 8) < 1000); break;
    case 4: HOLDS(tarn_pool_each_block(pool, NULL, NULL) < 10000); break;
    case 5: HOLDS(tarn_pool_get_options(pool).cache_limit == 0); break;
    default: {
        const tarn_pool_stats s = tarn_pool_get_stats(pool);
        HOLDS(tarn_pool_stats_json(&s, text, sizeof(text)) < sizeof(text));
    }
    }
}

static void meddle(busybody *b, uint64_t draw)
{
    tarn_pool *pool = b->pool;
    const size_t small = (size_t)(draw >> 32) % 100000;
    switch (draw % 5) {
    case 0: (void)tarn_pool_trim(pool, small); break;
    case 1: tarn_pool_reset_peaks(pool); break;
    case 2:
        tarn_pool_step(pool);
        b->steps++;
        break;
    case 3: (void)tarn_pool_set_max_capacity(pool, b->harmful ? small + 1 : CAP); break;
    default: {
        const tarn_faults faults = { .nth = draw >> 8 & 15, .probability = 0.1, .seed = draw };
        HOLDS(tarn_pool_inject_faults(pool, b->harmful ? &faults : NULL) == TARN_OK);
    }
    }
}

static void *busy(void *argument)
{
    busybody *b = argument;
    FILE *stream = tmpfile();
    HOLDS(stream != NULL);
    while (!atomic_load(&b->done)) {
        const uint64_t draw = check_random(&b->random);
        if (draw % 2 == 0) ask(b->pool, draw / 2 % 7, stream);
        else meddle(b, draw / 2);
        look(b->pool, 0);
        if (b->harmful && draw % 4 == 0) { /* lest nobody ever gets anywhere */
            (void)tarn_pool_inject_faults(b->pool, NULL);
            (void)tarn_pool_set_max_capacity(b->pool, 0);
        }
        pause_shortly();
    }
    (void)tarn_pool_inject_faults(b->pool, NULL);
    (void)tarn_pool_set_max_capacity(b->pool, 0);
    (void)fclose(stream);
    return NULL;
}

static void run_busybody(bool harmful, const tarn_pool_options *options)
{
    check_fixture f;
    check_pool_begin(&f, options);
    training jobs[THREADS];
    busybody b = { .pool = f.pool, .random = check_seed(), .harmful = harmful };
    for (size_t i = 0; i < THREADS; i++)
        jobs[i] = (training){
            .pool = f.pool, .seed = i, .runs = (int)check_scaled(10), .troubled = harmful
        };
    const pthread_t thread = start(busy, &b);
    run_all(THREADS, train, jobs, sizeof(jobs[0]));
    atomic_store(&b.done, true);
    join(thread);
    tarn_pool_stats sum = { 0 };
    const tarn_pool_stats s = tarn_pool_get_stats(f.pool);
    for (size_t i = 0; i < THREADS && !harmful; i++) verify_training(&jobs[i], &sum);
    if (!harmful) assert_int_equal(s.allocations, sum.allocations);
    if (!harmful) assert_int_equal(s.steps, sum.steps + b.steps);
    assert_int_equal(s.live_blocks, 0);
    assert_int_equal(s.in_use, 0);
    verify_tags_empty(f.pool);
    check_end(&f);
}

static void others_may_call_while_managers_train(void **state)
{
    (void)state;
    run_busybody(false, &(tarn_pool_options){ .decay_steps = 20 });
}

static void tracing_goes_on_while_managers_train(void **state)
{
    (void)state;
    run_busybody(false, &(tarn_pool_options){ .trace_events = 500 });
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    run_busybody(true, &(tarn_pool_options){ 0 });
}

/* ---- counting */

static void peaks_are_exact_with_one_manager(void **state)
{
    check_fixture *f = *state;
    const size_t block = tarn_pool_block_capacity(100000);
    for (size_t n = 3; n <= 5; n++) { /* one manager after the other */
        tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
        for (size_t i = 0; i < n; i++) assert_non_null(tarn_empty(tm, TARN_U8, TARN_SHAPE(100000)));
        assert_int_equal(tarn_manager_destroy(tm), 0);
        const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
        assert_int_equal(s.peak_usage, n * 100000);
        assert_int_equal(s.peak_in_use, n * block);
        assert_int_equal(s.peak_live_blocks, n);
        assert_int_equal(s.peak_cached, s.cached);
    }
    tarn_pool_reset_peaks(f->pool);
    const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
    assert_int_equal(s.peak_usage, 0);
    assert_int_equal(s.peak_in_use, 0);
    assert_int_equal(s.peak_live_blocks, 0);
    assert_int_equal(s.peak_reserved, s.reserved);
}

typedef struct turn {
    tarn_pool *pool;
    pthread_barrier_t *gate;
    size_t number;
} turn;

/* Holds number + 1 blocks while nobody else holds any. */
static void *take_turn(void *argument)
{
    turn *t = argument;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = t->pool });
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_barrier_wait(t->gate);
        if (i != t->number) continue;
        TARN_SCOPE(tm);
        for (size_t k = 0; k <= i; k++) HOLDS(tarn_empty(tm, TARN_U8, TARN_SHAPE(100000)) != NULL);
    }
    (void)pthread_barrier_wait(t->gate);
    HOLDS(tarn_manager_destroy(tm) == 0);
    return NULL;
}

static void peaks_of_several_managers_are_upper_bounds(void **state)
{
    check_fixture *f = *state;
    const size_t block = tarn_pool_block_capacity(100000);
    pthread_barrier_t gate;
    turn turns[THREADS];
    assert_int_equal(pthread_barrier_init(&gate, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) turns[i] = (turn){ f->pool, &gate, i };
    run_all(THREADS, take_turn, turns, sizeof(turns[0]));
    (void)pthread_barrier_destroy(&gate);
    const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
    assert_int_equal(s.allocations, THREADS * (THREADS + 1) / 2);
    assert_true(s.peak_usage >= THREADS * (size_t)100000);
    assert_true(s.peak_in_use >= THREADS * block && s.peak_in_use <= s.peak_reserved);
    assert_true(s.peak_live_blocks >= THREADS && s.peak_live_blocks <= s.allocations);
    assert_true(s.peak_cached <= s.peak_reserved);
}

/* ---- lives of managers */

enum { LIVES = 200 };

typedef struct living {
    tarn_pool *pool; /* NULL: each manager has one of its own */
    uint64_t random;
    uint64_t acquired;
} living;

static void *live(void *argument)
{
    living *l = argument;
    for (size_t i = 0; i < check_scaled(LIVES); i++) {
        tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = l->pool });
        HOLDS(tm != NULL);
        const uint64_t n = check_random(&l->random) % 20;
        for (uint64_t k = 0; k < n; k++) {
            const int64_t numel = (int64_t)(check_random(&l->random) % 20000);
            HOLDS(tarn_ones(tm, TARN_F32, TARN_SHAPE(numel)) != NULL);
        }
        HOLDS(tarn_manager_get_stats(tm).active == n);
        HOLDS(tarn_manager_destroy(tm) == 0);
        l->acquired += n;
    }
    return NULL;
}

static void managers_come_and_go(void **state)
{
    check_fixture *f = *state;
    living lives[2 * THREADS];
    uint64_t random = check_seed(), acquired = 0;
    watcher w;
    for (size_t i = 0; i < 2 * THREADS; i++)
        lives[i] = (living){ .pool = i % 4 == 0 ? NULL : f->pool, .random = check_random(&random) };
    watch_begin(&w, f->pool, 0);
    run_all(2 * THREADS, live, lives, sizeof(lives[0]));
    watch_end(&w);
    for (size_t i = 0; i < 2 * THREADS; i++)
        if (lives[i].pool != NULL) acquired += lives[i].acquired;
    const tarn_pool_stats s = tarn_pool_get_stats(f->pool);
    assert_int_equal(s.allocations, acquired);
    assert_int_equal(s.releases, acquired);
    assert_int_equal(s.held, 0);
}

typedef struct first {
    pthread_barrier_t *gate;
    tarn_pool *pool;
    tarn_manager *tm;
} first;

static void *be_first(void *argument)
{
    first *j = argument;
    (void)pthread_barrier_wait(j->gate);
    j->tm = tarn_manager_default();
    j->pool = tarn_pool_default();
    return NULL;
}

static void the_defaults_are_made_once(void **state)
{
    (void)state;
    pthread_barrier_t gate;
    assert_int_equal(pthread_barrier_init(&gate, NULL, THREADS), 0);
    for (int round = 0; round < 20; round++) {
        first jobs[THREADS];
        for (size_t i = 0; i < THREADS; i++) jobs[i] = (first){ .gate = &gate };
        run_all(THREADS, be_first, jobs, sizeof(jobs[0]));
        assert_non_null(jobs[0].tm);
        assert_ptr_equal(tarn_manager_pool(jobs[0].tm), jobs[0].pool);
        for (size_t i = 1; i < THREADS; i++) {
            assert_ptr_equal(jobs[i].tm, jobs[0].tm);
            assert_ptr_equal(jobs[i].pool, jobs[0].pool);
        }
        assert_non_null(tarn_ones(jobs[0].tm, TARN_F32, TARN_SHAPE(1000)));
        check_status(tarn_pool_destroy(jobs[0].pool), TARN_ESTATE);
        assert_int_equal(tarn_manager_destroy(jobs[0].tm), 0);
        check_status(tarn_pool_destroy(jobs[0].pool), TARN_OK);
    }
    (void)pthread_barrier_destroy(&gate);
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, check_setup_pool, check_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(training_is_the_same_in_many_threads),
        cmocka_unit_test(blocks_change_hands),
        cmocka_unit_test(without_a_cache_of_main),
        cmocka_unit_test(at_the_cap),
        cmocka_unit_test(fully_checked),
        cmocka_unit_test(passed_through),
        cmocka_unit_test(traced_and_wiped),
        cmocka_unit_test(others_consume_what_the_first_produces),
        cmocka_unit_test(the_first_consumes_what_others_produce),
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(idle_caches_are_called_back),
        cmocka_unit_test(others_may_call_while_managers_train),
        cmocka_unit_test(tracing_goes_on_while_managers_train),
        cmocka_unit_test(failures_leave_nothing_behind),
        WITH_POOL(peaks_are_exact_with_one_manager),
        WITH_POOL(peaks_of_several_managers_are_upper_bounds),
        WITH_POOL(managers_come_and_go),
        cmocka_unit_test(the_defaults_are_made_once),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
