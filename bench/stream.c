/* SPDX-License-Identifier: MIT
 * stream.c - plain loops over arrays, compiled for each width of vectors. */
#include "stream.h"

#include <stdlib.h>

#define INLINE static inline __attribute__((always_inline))

/* One cache line of floats: one register, two or four, as the function's target has them. */
typedef float lanes __attribute__((vector_size(64), may_alias));
_Static_assert(sizeof(lanes) == STREAM_LANES * sizeof(float), "the lanes fill the vector");

/* Reading alone must not be optimised away. Four sums, so that none waits for the last addition. */
INLINE void read_all(const stream *s, int reads)
{
    lanes sums[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    const size_t n = (s->n + STREAM_LANES - 1) / STREAM_LANES;
    for (int r = 0; r < reads; r++) {
        const lanes *in = (const lanes *)s->in[r];
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            for (size_t j = 0; j < 4; j++) sums[j] += in[i + j];
        for (; i < n; i++) sums[0] += in[i];
    }
    sums[0] += sums[1] + sums[2] + sums[3];
    __asm__ volatile("" : : "r"(&sums[0]) : "memory");
}

/* Writes the mean of what was read: repeated on its own results, it neither grows nor shrinks into
 * numbers that processors are slow with. */
INLINE void write_mean(const stream *s, int reads, int writes)
{
    const lanes *in[STREAM_READS];
    lanes *out[STREAM_WRITES];
    const float share = 1.0f / (float)(s->reads > 0 ? s->reads : 1);
    const size_t n = (s->n + STREAM_LANES - 1) / STREAM_LANES;
    for (int r = 0; r < reads; r++) in[r] = (const lanes *)s->in[r];
    for (int w = 0; w < writes; w++) out[w] = (lanes *)s->out[w];
    for (size_t i = 0; i < n; i++) {
        lanes sum = { 0 };
        for (int r = 0; r < reads; r++) sum += in[r][i];
        sum *= share;
        for (int w = 0; w < writes; w++) out[w][i] = sum;
    }
}

/* With both counts constant, the compiler unrolls the loops over the arrays. */
INLINE void choose(const stream *s)
{
    switch (s->reads * 10 + s->writes) {
    case 1: write_mean(s, 0, 1); break;
    case 10: read_all(s, 1); break;
    case 20: read_all(s, 2); break;
    case 30: read_all(s, 3); break;
    case 11: write_mean(s, 1, 1); break;
    case 12: write_mean(s, 1, 2); break;
    case 21: write_mean(s, 2, 1); break;
    case 22: write_mean(s, 2, 2); break;
    case 31: write_mean(s, 3, 1); break;
    case 32: write_mean(s, 3, 2); break;
    case 41: write_mean(s, 4, 1); break;
    case 42: write_mean(s, 4, 2); break;
    case 43: write_mean(s, 4, 3); break;
    default: abort();
    }
}

static void run_plain(const stream *s) { choose(s); }

#ifdef __x86_64__
__attribute__((target("avx2"))) static void run_avx2(const stream *s) { choose(s); }
__attribute__((target("avx512f"))) static void run_avx512(const stream *s) { choose(s); }
#endif

void stream_run(const stream *s)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) run_avx512(s);
    else if (__builtin_cpu_supports("avx2")) run_avx2(s);
    else run_plain(s);
#else
    run_plain(s);
#endif
}

double stream_bytes(const stream *s)
{
    return (double)(s->reads + s->writes) * (double)s->n * (double)sizeof(float);
}
