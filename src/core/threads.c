/* SPDX-License-Identifier: MIT
 * threads.c - the team of workers.
 *
 * The caller fills in the work, opens it, takes parts itself until none is left, closes it and
 * waits until nobody is inside any more. A worker that finds the work open goes inside, takes parts
 * and leaves. Since it announces itself before it looks, the caller sees either that it is inside
 * or that it found the work closed. Workers look for a while before they sleep, because the next
 * product of a step follows in microseconds. */
#define _POSIX_C_SOURCE 200809L

#include "core/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/runtime.h"

enum {
    MOST_WORKERS = 255,
    LOOKS = 4000,           /* of a worker before it sleeps: about 100 us */
    LOOKS_OF_CALLER = 1000, /* before it lets others have the processor */
    BYTES_A_PART =
        1 << 20 /* with a quarter of it, 100000 weights by SGD cost 30 us more, not less */
};

static struct team {
    atomic_flag taken; /* by the thread whose work it is */
    atomic_int wanted; /* threads that were asked for; 0: nobody did */

    /* The work: written while it is closed and nobody is inside. */
    tarn__part *work;
    void *context;
    int parts;
    atomic_int next; /* part to be taken */
    atomic_bool open;
    atomic_int inside;

    /* Sleeping and ending; `round` counts what was opened. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint round;
    atomic_int asleep;
    atomic_bool ends;

    int n_workers; /* of the one who has taken the team */
    pthread_t workers[MOST_WORKERS];
} team = { .taken = ATOMIC_FLAG_INIT,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .wake = PTHREAD_COND_INITIALIZER };

static inline void rest(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* ---- workers */

static void take_parts(void)
{
    const int parts = team.parts;
    for (int i; (i = atomic_fetch_add(&team.next, 1)) < parts;) team.work(team.context, i, parts);
}

/* Waits until another round begins; false if the team ends. */
static bool await(unsigned seen)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load(&team.round) != seen || atomic_load(&team.ends)) break;
        rest();
    }
    if (atomic_load(&team.round) == seen && !atomic_load(&team.ends)) {
        pthread_mutex_lock(&team.lock);
        atomic_fetch_add(&team.asleep, 1);
        while (atomic_load(&team.round) == seen && !atomic_load(&team.ends))
            pthread_cond_wait(&team.wake, &team.lock);
        atomic_fetch_sub(&team.asleep, 1);
        pthread_mutex_unlock(&team.lock);
    }
    return !atomic_load(&team.ends);
}

static void *worker(void *unused)
{
    unsigned seen = 0;
    while (await(seen)) {
        seen = atomic_load(&team.round);
        atomic_fetch_add(&team.inside, 1);
        if (atomic_load(&team.open)) take_parts();
        atomic_fetch_sub(&team.inside, 1);
    }
    return unused;
}

static void rouse(void)
{
    if (atomic_load(&team.asleep) == 0) return;
    pthread_mutex_lock(&team.lock);
    pthread_cond_broadcast(&team.wake);
    pthread_mutex_unlock(&team.lock);
}

/* ---- their number; by the one who has taken the team */

static void end_workers(void)
{
    atomic_store(&team.ends, true);
    rouse();
    while (team.n_workers > 0) pthread_join(team.workers[--team.n_workers], NULL);
    atomic_store(&team.ends, false);
}

/* A child has none of its parent's threads, and may have been born in the middle of their work. */
static void forget_workers(void)
{
    team.n_workers = 0;
    atomic_store(&team.open, false);
    atomic_store(&team.inside, 0);
    atomic_store(&team.asleep, 0);
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.wake, NULL);
    atomic_flag_clear(&team.taken);
}

/* Starts what is missing of n workers, as far as the system allows. Signals are for the threads of
 * the program. */
static void start_workers(int n)
{
    static bool watches_forks;
    sigset_t all, before;
    if (!watches_forks && pthread_atfork(NULL, NULL, forget_workers) != 0) return;
    watches_forks = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (team.n_workers < n &&
           pthread_create(&team.workers[team.n_workers], NULL, worker, NULL) == 0)
        team.n_workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The code of the workers may be about to leave memory. */
__attribute__((destructor)) static void end_team(void)
{
    if (!atomic_flag_test_and_set(&team.taken)) end_workers();
}

int tarn__threads(void)
{
    const int wanted = atomic_load_explicit(&team.wanted, memory_order_relaxed);
    if (wanted > 0) return wanted;
    const int blas = tarn__blas_get_threads();
    return blas < 1 ? 1 : blas > MOST_WORKERS + 1 ? MOST_WORKERS + 1 : blas;
}

void tarn__set_threads(int n)
{
    atomic_store(&team.wanted, n > MOST_WORKERS + 1 ? MOST_WORKERS + 1 : n);
    if (atomic_flag_test_and_set(&team.taken)) return; /* the next work looks */
    if (team.n_workers > tarn__threads() - 1) end_workers();
    atomic_flag_clear(&team.taken);
}

/* ---- work */

void tarn__parallel(tarn__part *work, void *context, int parts)
{
    const int threads = parts > 1 ? tarn__threads() : 1;
    if (threads == 1 || atomic_flag_test_and_set(&team.taken)) {
        for (int i = 0; i < parts; i++) work(context, i, parts);
        return;
    }
    if (team.n_workers > threads - 1) end_workers();
    if (team.n_workers < threads - 1) start_workers(threads - 1);
    team.work = work;
    team.context = context;
    team.parts = parts;
    atomic_store(&team.next, 0);
    atomic_store(&team.open, true);
    atomic_fetch_add(&team.round, 1);
    rouse();
    take_parts();
    atomic_store(&team.open, false);
    for (int i = 0; atomic_load(&team.inside) != 0; i++)
        if (i < LOOKS_OF_CALLER) rest();
        else (void)sched_yield();
    atomic_flag_clear(&team.taken);
}

int tarn__parts_for(int64_t bytes)
{
    if (bytes < 2 * BYTES_A_PART) return 1;
    const int threads = tarn__threads();
    if (threads == 1) return 1;
    const int64_t parts = bytes / BYTES_A_PART;
    return parts < 4 * threads ? (int)parts : 4 * threads;
}
