/* SPDX-License-Identifier: MIT
 * loader_thread.h - a thread that fills the next batch while the program uses this one.
 *
 * It touches nothing but the job that it is given and the memory that this names. Whoever gives a
 * job takes part in it when the batch is wanted, and does not wait for a thread that is kept from
 * going on: then the batch is filled elsewhere, and the job is the thread's until it is idle. */
#ifndef TARN_NN_LOADER_THREAD_H
#define TARN_NN_LOADER_THREAD_H

#include <pthread.h>
#include <semaphore.h>

#include "nn/loader_fill.h"

/* Where a job is. There is no lock that a thread could hold while the system keeps it from going
 * on.
 */
typedef enum tarn__loader_thread_at {
    TARN__JOB_OWN,    /* it belongs to the program's thread alone */
    TARN__JOB_GIVEN,  /* to both, who share its rows (loader_fill.h); the thread has not begun */
    TARN__JOB_IN_WORK /* to both; the thread goes back to TARN__JOB_OWN when no rows are left */
} tarn__loader_thread_at;

/* All zeros is a thread that does not run yet. */
typedef struct tarn__loader_thread {
    bool refused;       /* the system gave no thread: it is not asked again */
    long process;       /* that the thread runs in; 0: there is none */
    tarn__fill_job job; /* the latest */
    pthread_t thread;
    sem_t given;        /* counts what was given, and the end */
    atomic_int at;      /* a tarn__loader_thread_at */
    atomic_bool ending; /* the thread is to end */
} tarn__loader_thread;

/* Makes the thread if there is none yet. True if a job may be given now: there can be a thread, and
 * it has left the job before. */
bool tarn__loader_thread_ready(tarn__loader_thread *t);

/* Gives t->job, which is complete, to the thread. */
void tarn__loader_thread_give(tarn__loader_thread *t);

/* Fills what is left of the job that was given. False if the thread has not filled its part and
 * seems not to run, or if it is the thread of a process from which this one was forked: the memory
 * is not ready, and not to be touched until the thread is. */
bool tarn__loader_thread_take(tarn__loader_thread *t);

/* Leaves what is left of the latest job, if there is one, unfilled, and waits until the thread has
 * left it. */
void tarn__loader_thread_drop(tarn__loader_thread *t);

/* Waits for the thread to end, if there is one. A forked process, in which there is none, only
 * forgets it. */
void tarn__loader_thread_end(tarn__loader_thread *t);

#endif
