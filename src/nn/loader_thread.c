/* SPDX-License-Identifier: MIT
 * loader_thread.c - a thread that fills the next batch while the program uses this one.
 *
 *   waiting or busy: the job belongs to both threads, who share its rows (loader_fill.h)
 *   neither:         it belongs to the program's
 *
 * After a fork the child has the records of a thread that does not run, and a lock that may be held
 * for ever: it touches none of them. */
#define _POSIX_C_SOURCE 200809L
#include "nn/loader_thread.h"

#include <signal.h>
#include <unistd.h>

#include "core/assert.h"

static bool runs_here(const tarn__loader_thread *t) { return t->process == (long)getpid(); }

/* ---- the thread */

static void *run(void *argument)
{
    tarn__loader_thread *t = argument;
    (void)pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->waiting && !t->ending) (void)pthread_cond_wait(&t->given, &t->lock);
        if (t->ending) break;
        t->waiting = false;
        t->busy = true;
        (void)pthread_mutex_unlock(&t->lock);
        tarn__fill_take_part(&t->job);
        (void)pthread_mutex_lock(&t->lock);
        t->busy = false;
        (void)pthread_cond_signal(&t->done);
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
    if (t->process != 0) return runs_here(t);
    if (t->refused) return false;
    t->waiting = t->busy = t->ending = false;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->given, NULL);
    (void)pthread_cond_init(&t->done, NULL);
    t->refused = !start(t);
    if (!t->refused) t->process = (long)getpid();
    return !t->refused;
}

void tarn__loader_thread_give(tarn__loader_thread *t)
{
    (void)pthread_mutex_lock(&t->lock);
    TARN_ASSERT(!t->waiting && !t->busy);
    t->waiting = true;
    (void)pthread_cond_signal(&t->given);
    (void)pthread_mutex_unlock(&t->lock);
}

bool tarn__loader_thread_finish(tarn__loader_thread *t, bool drop)
{
    if (!runs_here(t)) return false;
    if (drop) tarn__fill_drop(&t->job);
    else tarn__fill_take_part(&t->job);
    (void)pthread_mutex_lock(&t->lock);
    t->waiting = false;
    while (t->busy) (void)pthread_cond_wait(&t->done, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
    return true;
}

void tarn__loader_thread_end(tarn__loader_thread *t)
{
    if (t->process == 0 || !runs_here(t)) return;
    (void)pthread_mutex_lock(&t->lock);
    t->ending = true;
    (void)pthread_cond_signal(&t->given);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->done);
    (void)pthread_cond_destroy(&t->given);
    (void)pthread_mutex_destroy(&t->lock);
    t->process = 0;
}
