/* SPDX-License-Identifier: MIT
 * random.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel
 * random numbers: as easy as 1, 2, 3; SC 2011). A draw is a function of a 64-bit key and a counter,
 * so that no order of calls can change it. */
#ifndef TARN_CORE_RANDOM_H
#define TARN_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Four 32-bit draws of `key` at a 128-bit counter. */
void tarn__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The four draws number i of a 64-bit key. */
void tarn__random_words(uint64_t key, uint64_t i, uint32_t out[4]);

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
