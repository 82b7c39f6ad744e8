/* SPDX-License-Identifier: MIT
 * loader_thread.h - a thread that fills the next batch while the program uses this one.
 *
 * It touches nothing but the job that it is given and the memory that this names. Whoever gives a
 * job takes part in it when the batch is wanted, and does not wait for a thread that is kept from
 * going on: then the batch is filled elsewhere, and the job is the thread's until it is idle. */
#ifndef TARN_NN_LOADER_THREAD_H
#define TARN_NN_LOADER_THREAD_H

#include <pthread.h>

#include "nn/loader_fill.h"

/* All zeros is a thread that does not run yet. */
typedef struct tarn__loader_thread {
    bool refused;       /* the system gave no thread: it is not asked again */
    long process;       /* that the thread runs in; 0: there is none */
    tarn__fill_job job; /* the latest */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given;
    bool waiting, ending; /* guarded by the lock: there is a job that the thread has not begun; the
                             thread is to end */
    atomic_bool busy;     /* it takes part in the job; set under the lock */
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
