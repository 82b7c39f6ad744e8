/* SPDX-License-Identifier: MIT
 * loader_thread.c - a thread that fills the next batch while the program uses this one.
 *
 * After a fork the child has the records of a thread that does not run: it touches none of them. */
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

static bool in_work(const tarn__loader_thread *t)
{
    return atomic_load_explicit(&t->at, memory_order_acquire) == TARN__JOB_IN_WORK;
}

/* Of the thread, which begins, and of the program's, which takes the job back, only one succeeds.
 */
static bool leave_given(tarn__loader_thread *t, int to)
{
    int given = TARN__JOB_GIVEN;
    return atomic_compare_exchange_strong_explicit(&t->at, &given, to, memory_order_acq_rel,
                                                   memory_order_acquire);
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
    for (;;) {
        while (sem_wait(&t->given) != 0) {} /* interrupted */
        if (atomic_load_explicit(&t->ending, memory_order_acquire)) return NULL;
        if (!leave_given(t, TARN__JOB_IN_WORK)) continue; /* too late */
        tarn__fill_take_part(&t->job);
        atomic_store_explicit(&t->at, TARN__JOB_OWN, memory_order_release);
    }
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
    if (t->process != 0) return runs_here(t) && !in_work(t);
    if (t->refused) return false;
    t->refused = true;
    if (sem_init(&t->given, 0, 0) != 0) return false;
    atomic_init(&t->at, TARN__JOB_OWN);
    atomic_init(&t->ending, false);
    t->refused = !start(t);
    if (t->refused) (void)sem_destroy(&t->given);
    else t->process = (long)getpid();
    return !t->refused;
}

void tarn__loader_thread_give(tarn__loader_thread *t)
{
    TARN_ASSERT(!in_work(t));
    atomic_store_explicit(&t->at, TARN__JOB_GIVEN, memory_order_release);
    (void)sem_post(&t->given);
}

bool tarn__loader_thread_take(tarn__loader_thread *t)
{
    if (!runs_here(t)) return false;
    tarn__fill_take_part(&t->job);
    if (leave_given(t, TARN__JOB_OWN) || !in_work(t)) return true;
    const uint64_t end = tarn__clock_ns() + patience_ns;
    while (in_work(t))
        if (tarn__clock_ns() > end) return false;
    return true;
}

void tarn__loader_thread_drop(tarn__loader_thread *t)
{
    if (!runs_here(t)) return;
    tarn__fill_drop(&t->job);
    (void)leave_given(t, TARN__JOB_OWN);
    while (in_work(t)) (void)sched_yield();
}

void tarn__loader_thread_end(tarn__loader_thread *t)
{
    if (t->process == 0 || !runs_here(t)) return;
    atomic_store_explicit(&t->ending, true, memory_order_release);
    (void)sem_post(&t->given);
    (void)pthread_join(t->thread, NULL);
    (void)sem_destroy(&t->given);
    t->process = 0;
}
