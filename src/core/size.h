/* SPDX-License-Identifier: MIT
 * size.h - the one place for arithmetic on sizes: every size that reaches an allocator and every
 * element count comes from here. Each function returns false, with *out untouched, when the result
 * does not fit. */
#ifndef TARN_CORE_SIZE_H
#define TARN_CORE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool tarn__size_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

static inline bool tarn__size_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

/* Rounds up to a multiple of `step`, a power of two. */
static inline bool tarn__size_round_up(size_t a, size_t step, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, step - 1, &r)) return false;
    *out = r & ~(step - 1);
    return true;
}

static inline bool tarn__i64_mul(int64_t a, int64_t b, int64_t *out)
{
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

static inline bool tarn__i64_add(int64_t a, int64_t b, int64_t *out)
{
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

#endif
