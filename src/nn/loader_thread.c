/* SPDX-License-Identifier: MIT
 * loader_thread.c - a thread that fills the next batch while the program uses this one.
 *
 *   waiting or busy: the job belongs to both threads, who share its rows (loader_fill.h)
 *   neither:         it belongs to the program's
 *
 * After a fork the child has the records of a thread that does not run, and a lock that may be held
 * for ever: it touches none of them. */
#define _GNU_SOURCE /* SCHED_BATCH */
#include "nn/loader_thread.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/clock.h"

/* How long a thread that runs takes for the rows it has begun, and more. */
static const uint64_t patience_ns = 20 * 1000;

static bool runs_here(const tarn__loader_thread *t) { return t->process == (long)getpid(); }

static bool is_busy(const tarn__loader_thread *t)
{
    return atomic_load_explicit(&t->busy, memory_order_acquire);
}

/* ---- the thread */

/* Where all processors are at work, waking this thread shall not interrupt them. */
static void stand_back(void)
{
#if defined(SCHED_BATCH)
    const struct sched_param none = { .sched_priority = 0 };
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
#endif
}

static void *run(void *argument)
{
    tarn__loader_thread *t = argument;
    stand_back();
    (void)pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->waiting && !t->ending) (void)pthread_cond_wait(&t->given, &t->lock);
        if (t->ending) break;
        t->waiting = false;
        atomic_store_explicit(&t->busy, true, memory_order_relaxed);
        (void)pthread_mutex_unlock(&t->lock);
        tarn__fill_take_part(&t->job);
        atomic_store_explicit(&t->busy, false, memory_order_release);
        (void)pthread_mutex_lock(&t->lock);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Signals are for the program's own threads: this one is born with all of them blocked. */
static bool start(tarn__loader_thread *t)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    const bool started = pthread_create(&t->thread, NULL, run, t) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* ---- its giver */

bool tarn__loader_thread_ready(tarn__loader_thread *t)
{
    if (t->process != 0) return runs_here(t) && !is_busy(t);
    if (t->refused) return false;
    t->waiting = t->ending = false;
    atomic_init(&t->busy, false);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->given, NULL);
    t->refused = !start(t);
    if (!t->refused) t->process = (long)getpid();
    return !t->refused;
}

void tarn__loader_thread_give(tarn__loader_thread *t)
{
    (void)pthread_mutex_lock(&t->lock);
    TARN_ASSERT(!t->waiting && !is_busy(t));
    t->waiting = true;
    (void)pthread_cond_signal(&t->given);
    (void)pthread_mutex_unlock(&t->lock);
}

/* Keeps the thread from beginning with the job. */
static void withdraw(tarn__loader_thread *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->waiting = false;
    (void)pthread_mutex_unlock(&t->lock);
}

bool tarn__loader_thread_take(tarn__loader_thread *t)
{
    if (!runs_here(t)) return false;
    tarn__fill_take_part(&t->job);
    withdraw(t);
    if (!is_busy(t)) return true;
    const uint64_t end = tarn__clock_ns() + patience_ns;
    while (is_busy(t))
        if (tarn__clock_ns() > end) return false;
    return true;
}

void tarn__loader_thread_drop(tarn__loader_thread *t)
{
    if (!runs_here(t)) return;
    tarn__fill_drop(&t->job);
    withdraw(t);
    while (is_busy(t)) (void)sched_yield();
}

void tarn__loader_thread_end(tarn__loader_thread *t)
{
    if (t->process == 0 || !runs_here(t)) return;
    (void)pthread_mutex_lock(&t->lock);
    t->ending = true;
    (void)pthread_cond_signal(&t->given);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->given);
    (void)pthread_mutex_destroy(&t->lock);
    t->process = 0;
}
