/* SPDX-License-Identifier: MIT
 * loader_thread.h - a thread that fills the next batch while the program uses this one.
 *
 * It touches nothing but the job that it is given and the memory that this names. Whoever gives a
 * job takes part in it when the batch is wanted: where no processor was idle meanwhile, nothing is
 * waited for. */
#ifndef TARN_NN_LOADER_THREAD_H
#define TARN_NN_LOADER_THREAD_H

#include <pthread.h>

#include "nn/loader_fill.h"

/* All zeros is a thread that does not run yet. The members from lock on are there while one does.
 */
typedef struct tarn__loader_thread {
    bool refused;       /* the system gave no thread: it is not asked again */
    long process;       /* that the thread runs in; 0: there is none */
    tarn__fill_job job; /* the latest */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given, done;

    /* Guarded by the lock. */
    bool waiting; /* the job is there, and the thread has not begun it */
    bool busy;    /* the thread takes part in it */
    bool ending;
} tarn__loader_thread;

/* Makes the thread if there is none yet. False if there can be none: then nothing may be given. */
bool tarn__loader_thread_ready(tarn__loader_thread *t);

/* Gives t->job, which is complete, to the thread. */
void tarn__loader_thread_give(tarn__loader_thread *t);

/* Ends the job that was given: what nobody has begun is filled here, or, with `drop`, not at all.
 * Afterwards the thread touches neither the job nor its memory. False if it is the job of a process
 * from which this one was forked: its rows are not to be trusted. */
bool tarn__loader_thread_finish(tarn__loader_thread *t, bool drop);

/* Ends the thread after a job, if there is one, has been finished. A forked process, in which there
 * is no thread, only forgets it. */
void tarn__loader_thread_end(tarn__loader_thread *t);

#endif
