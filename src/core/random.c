/* SPDX-License-Identifier: MIT
 * random.c - Philox4x32-10, and what is drawn from it. */
#include "core/random.h"

#include <float.h>
#include <math.h>

/* ---- the generator */

void tarn__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = { counter[0], counter[1], counter[2], counter[3] };
    tarn__philox_draw(c, key[0], key[1]);
    for (int j = 0; j < 4; j++) out[j] = c[j];
}

void tarn__random_words(uint64_t key, uint64_t i, uint32_t out[4])
{
    const uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), 0, 0 };
    const uint32_t halves[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
    tarn__philox(counter, halves, out);
}

/* ---- keys and hashes */

/* The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators;
 * OOPSLA 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t tarn__random_key(uint64_t seed, uint64_t purpose)
{
    return mix(mix(seed + UINT64_C(0x9e3779b97f4a7c15)) ^
               (purpose * UINT64_C(0xd1342543de82ef95) + 1));
}

uint64_t tarn__hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- numbers: 24 random bits for a float, 53 for a double, so that each step is exact */

static double unit53(uint32_t high, uint32_t low)
{
    const uint64_t bits = ((uint64_t)high << 32 | low) >> 11;
    return (double)bits * 0x1p-53;
}

/* The point u of the way from low to high, whose distance may be larger than a double can hold. */
static double between(double low, double high, double u)
{
    const double range = high - low;
    return range <= DBL_MAX ? low + range * u : low * (1 - u) + high * u;
}

void tarn__fill_uniform_f32(float *y, size_t n, double low, double high, uint64_t key)
{
    for (size_t i = 0; i < n;) {
        uint32_t bits[4];
        tarn__random_words(key, i / 4, bits);
        for (size_t j = 0; j < 4 && i < n; j++, i++) {
            const double u = (double)(bits[j] >> 8) * 0x1p-24;
            const float value = (float)between(low, high, u);
            /* Rounding may reach the open end. */
            y[i] =
                (double)value < high || low == high ? value : nextafterf((float)high, (float)low);
        }
    }
}

void tarn__fill_uniform_f64(double *y, size_t n, double low, double high, uint64_t key)
{
    for (size_t i = 0; i < n;) {
        uint32_t bits[4];
        tarn__random_words(key, i / 2, bits);
        for (size_t j = 0; j < 4 && i < n; j += 2, i++) {
            const double value = between(low, high, unit53(bits[j], bits[j + 1]));
            y[i] = value < high || low == high ? value : nextafter(high, low);
        }
    }
}

/* Two independent standard normal numbers from two uniform ones (Box and Muller 1958); u in (0,
 * 1]. */
static void normal_pair(double u, double v, double out[2])
{
    const double radius = sqrt(-2 * log(u)), angle = 6.283185307179586476925 * v;
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void tarn__fill_normal_f32(float *y, size_t n, double mean, double deviation, uint64_t key)
{
    for (size_t i = 0; i < n;) {
        uint32_t bits[4];
        double z[4];
        tarn__random_words(key, i / 4, bits);
        for (int pair = 0; pair < 4; pair += 2)
            normal_pair(((double)bits[pair] + 1) * 0x1p-32, (double)bits[pair + 1] * 0x1p-32,
                        &z[pair]);
        for (size_t j = 0; j < 4 && i < n; j++, i++) y[i] = (float)(mean + deviation * z[j]);
    }
}

void tarn__fill_normal_f64(double *y, size_t n, double mean, double deviation, uint64_t key)
{
    for (size_t i = 0; i < n;) {
        uint32_t first[4], second[4];
        double z[4];
        /* Four numbers from two draws of four words. */
        tarn__random_words(key, i / 4 * 2, first);
        tarn__random_words(key, i / 4 * 2 + 1, second);
        normal_pair(unit53(first[0], first[1]) + 0x1p-53, unit53(first[2], first[3]), &z[0]);
        normal_pair(unit53(second[0], second[1]) + 0x1p-53, unit53(second[2], second[3]), &z[2]);
        for (size_t j = 0; j < 4 && i < n; j++, i++) y[i] = mean + deviation * z[j];
    }
}

/* ---- truncated normal: uniform proposals, of which one at x is accepted with the probability that
 * its density has in proportion to the largest, at `peak` */

typedef struct window {
    double from, to, peak;
} window;

/* Standard normal numbers beyond 9 happen once in 1e18 times; the density at p + t is below e^(-p
 * t) of that at p > 0, so that what lies 40 / p beyond it happens as rarely. */
static window window_of(const tarn__truncated *d)
{
    const double from = (d->low - d->mean) / d->deviation, to = (d->high - d->mean) / d->deviation;
    if (from > 0) {
        const double end = from + fmin(9, 40 / from);
        return (window){ from, fmin(to, end), from };
    }
    if (to < 0) {
        const double end = to - fmin(9, -40 / to);
        return (window){ fmax(from, end), to, to };
    }
    return (window){ fmax(from, -9), fmin(to, 9), 0 };
}

/* Draw number i of key; each proposal draws from another counter. */
static double truncated(const tarn__truncated *d, const window *w, uint64_t key, uint64_t i)
{
    for (uint64_t attempt = 0;; attempt++) {
        uint32_t bits[4];
        const uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), (uint32_t)attempt, 2 };
        const uint32_t halves[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
        tarn__philox(counter, halves, bits);
        const double x = w->from + (w->to - w->from) * unit53(bits[0], bits[1]);
        const double share = exp((w->peak - x) * (w->peak + x) / 2);
        if (unit53(bits[2], bits[3]) < share) return d->mean + d->deviation * x;
    }
}

/* Rounding may lead out of the bounds. */
void tarn__fill_truncated_f32(float *y, size_t n, const tarn__truncated *d, uint64_t key)
{
    const window w = window_of(d);
    for (size_t i = 0; i < n; i++) {
        const float value = (float)truncated(d, &w, key, i);
        y[i] = (double)value < d->low    ? nextafterf(value, INFINITY)
               : (double)value > d->high ? nextafterf(value, -INFINITY)
                                         : value;
    }
}

void tarn__fill_truncated_f64(double *y, size_t n, const tarn__truncated *d, uint64_t key)
{
    const window w = window_of(d);
    for (size_t i = 0; i < n; i++) y[i] = fmin(fmax(truncated(d, &w, key, i), d->low), d->high);
}

/* Rejects the words of the incomplete last interval; each rejection draws from another counter. */
uint64_t tarn__random_below(uint64_t bound, uint64_t key, uint64_t i)
{
    const uint64_t excess = (UINT64_MAX % bound + 1) % bound; /* 2^64 mod bound */
    for (uint64_t attempt = 0;; attempt++) {
        uint32_t bits[4];
        const uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), (uint32_t)attempt, 1 };
        const uint32_t halves[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
        tarn__philox(counter, halves, bits);
        const uint64_t word = (uint64_t)bits[0] << 32 | bits[1];
        if (word <= UINT64_MAX - excess) return word % bound;
    }
}
