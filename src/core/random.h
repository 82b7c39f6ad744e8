/* SPDX-License-Identifier: MIT
 * random.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel
 * random numbers: as easy as 1, 2, 3; SC 2011). A draw is a function of a 64-bit key and a counter,
 * so that no order of calls can change it. */
#ifndef TARN_CORE_RANDOM_H
#define TARN_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The generator: ten rounds of two 32 x 32 -> 64 bit products, and the keys' steps; constants of
 * the paper. */
#define TARN__PHILOX_A UINT64_C(0xD2511F53)
#define TARN__PHILOX_B UINT64_C(0xCD9E8D57)
#define TARN__PHILOX_K0 UINT32_C(0x9E3779B9)
#define TARN__PHILOX_K1 UINT32_C(0xBB67AE85)
enum { TARN__PHILOX_ROUNDS = 10 };

#if defined(__clang__)
#define TARN__PHILOX_UNROLLED _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define TARN__PHILOX_UNROLLED _Pragma("GCC unroll 10")
#else
#define TARN__PHILOX_UNROLLED
#endif

/* Four 32-bit draws of a key at a 128-bit counter, which they take the place of. */
static inline void tarn__philox_draw(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    TARN__PHILOX_UNROLLED
    for (int round = 0; round < TARN__PHILOX_ROUNDS; round++) {
        const uint64_t p0 = TARN__PHILOX_A * c[0], p1 = TARN__PHILOX_B * c[2];
        c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)p1;
        c[3] = (uint32_t)p0;
        k0 += TARN__PHILOX_K0;
        k1 += TARN__PHILOX_K1;
    }
}

/* The same into `out`. */
void tarn__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The four draws number i of a 64-bit key. */
void tarn__random_words(uint64_t key, uint64_t i, uint32_t out[4]);

/* The draws number `first` and the RANDOM_LANES - 1 behind it: the same words, one after the other,
 * but computed side by side, in vectors where the caller is compiled for them. */
enum { RANDOM_LANES = 64, RANDOM_WORDS = 4 * RANDOM_LANES };
static inline void tarn__random_block(uint64_t key, uint64_t first, uint32_t words[RANDOM_WORDS])
{
    for (int i = 0; i < RANDOM_LANES; i++) {
        const uint64_t counter = first + (uint64_t)i;
        uint32_t c[4] = { (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0 };
        tarn__philox_draw(c, (uint32_t)key, (uint32_t)(key >> 32));
        for (int j = 0; j < 4; j++) words[4 * i + j] = c[j];
    }
}

/* A key made of a seed and what the draws are for. Different pairs give unrelated keys. */
uint64_t tarn__random_key(uint64_t seed, uint64_t purpose);

/* A 64-bit hash (FNV-1a) of n bytes, continuing from `hash`; TARN__HASH_START begins one. */
#define TARN__HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t tarn__hash_bytes(uint64_t hash, const void *bytes, size_t n);

/* What random numbers are drawn for: a part of their key, so that two uses of one stream number
 * differ. */
enum {
    TARN__RANDOM_TENSOR = 1, /* tarn_random_uniform and tarn_random_normal */
    TARN__RANDOM_DROPOUT,
    TARN__RANDOM_INIT,
    TARN__RANDOM_SHUFFLE,
    TARN__RANDOM_CHECK,
    TARN__RANDOM_MIX
};

/* y[i] uniform in [low, high), or normal; element i depends on key and i alone. The float forms
 * have 24 random bits, the double forms 53. */
void tarn__fill_uniform_f32(float *y, size_t n, double low, double high, uint64_t key);
void tarn__fill_uniform_f64(double *y, size_t n, double low, double high, uint64_t key);
void tarn__fill_normal_f32(float *y, size_t n, double mean, double deviation, uint64_t key);
void tarn__fill_normal_f64(double *y, size_t n, double mean, double deviation, uint64_t key);

/* A normal distribution that is cut to [low, high]; deviation > 0, and low <= high, which may be
 * infinite. */
typedef struct tarn__truncated {
    double mean, deviation, low, high;
} tarn__truncated;

void tarn__fill_truncated_f32(float *y, size_t n, const tarn__truncated *d, uint64_t key);
void tarn__fill_truncated_f64(double *y, size_t n, const tarn__truncated *d, uint64_t key);

/* A draw in [0, bound), bound > 0, unbiased: number i of key. */
uint64_t tarn__random_below(uint64_t bound, uint64_t key, uint64_t i);

#endif
