/* SPDX-License-Identifier: MIT
 * clock.h - the time, for reports. */
#ifndef TARN_CORE_CLOCK_H
#define TARN_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* ns of a clock that only goes forward. The including file defines _POSIX_C_SOURCE. */
static inline uint64_t tarn__clock_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

#endif
