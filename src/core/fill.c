/* SPDX-License-Identifier: MIT
 * fill.c - one element many times, and copies.
 *
 * A plain loop stores 16 bytes a cycle, because that is what every x86-64 processor can do; the
 * caches take 64. So the loop with wider vectors is chosen as the program runs. Every way stores
 * the same bytes. Measured on a Zen 5 with 48 KiB, 1 MiB and 32 MiB of cache, in microseconds:
 *
 *     bytes          40 K    200 K    4 M    16 M    64 M
 *     plain          0.69     3.4      68     293    2270
 *     AVX2           0.17     1.1      44     260    2320
 *     string         0.27     1.3      34     140    1740
 *     non-temporal   0.21     4.9     110     412    1880
 *
 * AVX-512 takes as long as AVX2. A sum over the memory right after the fill orders them alike, but
 * is twice as slow after non-temporal stores, except where no cache holds the memory. */
#include "core/fill.h"

#include <stdint.h>
#include <string.h>

/* The pattern is an element, repeated until it is eight bytes long. */
static void fill_plain(unsigned char *to, size_t bytes, uint64_t pattern)
{
    size_t i = 0;
    for (; bytes - i >= sizeof(pattern); i += sizeof(pattern))
        memcpy(to + i, &pattern, sizeof(pattern));
    memcpy(to + i, &pattern, bytes - i);
}

#if defined(__GNUC__) && defined(__x86_64__)

#include <immintrin.h>
#include <stdatomic.h>

#include "core/checkers.h"
#include "core/cpu.h"

enum { STRING_FROM = 1 << 20 }; /* bytes; about the second-level cache of a core */

__attribute__((target("avx2"))) static void fill_avx2(unsigned char *to, size_t bytes,
                                                      uint64_t pattern)
{
    const __m256i wide = _mm256_set1_epi64x((long long)pattern);
    size_t i = 0;
    for (; bytes - i >= 4 * sizeof(wide); i += 4 * sizeof(wide))
        for (size_t j = 0; j < 4; j++)
            _mm256_storeu_si256((__m256i *)(void *)(to + i + j * sizeof(wide)), wide);
    fill_plain(to + i, bytes - i, pattern);
}

/* The string instruction claims whole lines of the cache without reading them first. */
static void fill_string(unsigned char *to, size_t bytes, uint64_t pattern)
{
    size_t n = bytes / sizeof(pattern);
    tarn__written(to, bytes);
    __asm__ __volatile__("rep stosq" : "+D"(to), "+c"(n) : "a"(pattern) : "memory");
    memcpy(to, &pattern, bytes % sizeof(pattern));
}

/* The processor is asked once; threads that ask at the same time get the same answer. */
static void fill(unsigned char *to, size_t bytes, uint64_t pattern)
{
    enum { UNKNOWN, PLAIN = 1, AVX2 = 2, STRING = 4 };
    static atomic_int known;
    int ways = atomic_load_explicit(&known, memory_order_relaxed);
    if (ways == UNKNOWN) {
        const tarn__cpu cpu = tarn__cpu_detect();
        ways = PLAIN | (cpu.avx2 ? AVX2 : 0) | (cpu.fast_strings ? STRING : 0);
#if defined(TARN__ASAN)
        ways &= ~STRING; /* the checker does not see what it writes */
#endif
        atomic_store_explicit(&known, ways, memory_order_relaxed);
    }
    if (bytes >= STRING_FROM && (ways & STRING) != 0) fill_string(to, bytes, pattern);
    else if ((ways & AVX2) != 0) fill_avx2(to, bytes, pattern);
    else fill_plain(to, bytes, pattern);
}

#else

static void fill(unsigned char *to, size_t bytes, uint64_t pattern)
{
    fill_plain(to, bytes, pattern);
}

#endif

void tarn__fill(void *to, size_t n, const void *element, size_t size)
{
    unsigned char repeated[sizeof(uint64_t)];
    uint64_t pattern;
    for (size_t i = 0; i < sizeof(repeated); i += size) memcpy(repeated + i, element, size);
    memcpy(&pattern, repeated, sizeof(pattern));
    fill(to, n * size, pattern);
}

/* In pieces, because for a single copy of several megabytes memcpy of glibc takes non-temporal
 * stores. Measured as above: 16 MB take 430 us in pieces and 660 us at once, 64 MB 3.1 ms and
 * 3.9 ms, and with a sum over the copy afterwards the pieces are a tenth faster still. */
void tarn__copy(void *to, const void *from, size_t bytes)
{
    enum { PIECE = 1 << 18 };
    unsigned char *t = to;
    const unsigned char *f = from;
    for (; bytes > PIECE; bytes -= PIECE, t += PIECE, f += PIECE) memcpy(t, f, PIECE);
    memcpy(t, f, bytes);
}
