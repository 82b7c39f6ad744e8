/* SPDX-License-Identifier: MIT
 * system.h - the door to system memory. Nothing else in tarn calls the system's allocator. */
#ifndef TARN_CORE_SYSTEM_H
#define TARN_CORE_SYSTEM_H

#include <stdbool.h>

#include <tarn/system.h>

/* The operating system: whole pages for large requests, from 4 MiB on aligned to 2 MiB so that huge
 * pages fit; the C library's heap for small ones. Its advise is of use from 2 MiB on. Like all
 * here, it gives zeros aligned to 64 bytes, keeps no state, and serves any number of threads. */
extern const tarn_system tarn__system_default;

/* For pools that pass through: every request is an allocation of its own of exactly `bytes` bytes
 * (one byte for 0), so that memory checkers see its bounds. */
extern const tarn_system tarn__system_exact;

/* For dry runs: requests from 4 KiB on are addresses that take no memory until they are written,
 * and may be larger than what the machine has. */
extern const tarn_system tarn__system_dry;

/* ---- a barrier for the whole process
 *
 * Where one thread takes from another what that one uses all the time, each writes its own mark and
 * then reads that of the other:
 *
 *     often:   write A;  keep the compiler from swapping the two;  read B
 *     seldom:  write B;  tarn__process_barrier();                  read A
 *
 * The barrier acts in every running thread, so that at least one of the two sees the mark of the
 * other, and the frequent side needs no instruction for it. */

/* Whether there is such a barrier here. */
bool tarn__process_barrier_works(void);

/* Between the begin and the end of this call every other thread of the process passes a full memory
 * barrier. False, with no order promised, if the system has none (other than Linux before 4.14) or
 * refuses. The first call of a process registers it, which takes milliseconds where there are many
 * threads; later ones take microseconds. */
bool tarn__process_barrier(void);

#endif
