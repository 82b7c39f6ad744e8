/* SPDX-License-Identifier: MIT
 * threads.h - work that is large enough is done by several threads.
 *
 * The process has one team of workers, started when it is first needed. Whoever has work divides it
 * into parts that may run in any order and at once; the caller takes parts as well, and never waits
 * for a worker to wake up. While the team is at work for one thread, others do theirs alone: so
 * there are never more threads at work than were asked for. Parts must not depend on how many there
 * are: then results do not either. */
#ifndef TARN_CORE_THREADS_H
#define TARN_CORE_THREADS_H

#include <stdint.h>

/* One part, `part` of `parts`, of somebody's work. */
typedef void tarn__part(void *context, int part, int parts);

/* Does all parts, which is at least one, and returns when they are done. */
void tarn__parallel(tarn__part *work, void *context, int parts);

/* The threads that work is for, the caller included: as set, else as many as BLAS uses. */
int tarn__threads(void);

/* Sets their number, from 1 on, for the next work; workers that are too many end. */
void tarn__set_threads(int n);

/* How many parts to make of work that streams over so many bytes: 1 if it is too little. */
int tarn__parts_for(int64_t bytes);

/* The first of n items of a part, and the first of the next; borders are multiples of `whole`. */
static inline int64_t tarn__part_begin(int64_t n, int64_t whole, int part, int parts)
{
    const int64_t wholes = (n + whole - 1) / whole;
    const int64_t at = (wholes * part / parts) * whole;
    return at < n ? at : n;
}

#endif
