/* SPDX-License-Identifier: MIT
 * loader_fill.c - how rows of data become the rows of a batch.
 *
 * Shuffled rows lie anywhere, and no processor guesses where the next one is: without a hint, most
 * of the time goes into waiting for memory. The order is known, so that each row is fetched into
 * the cache while those before it are converted. Measured with 128 rows of 784 bytes out of 47 MB,
 * converted to floats: 112 us without hints, 57 us with them (plain kernels).
 *
 * With AVX2 that leaves 41 us, most of them for going from bytes to doubles and on to floats. In
 * float arithmetic it is 19 us, as long as it takes to read and write all that. It is used where it
 * gives the same floats, which is tried for every byte that there is. */
#include "nn/loader_fill.h"

#include <math.h>
#include <string.h>

#include "core/simd.h"

/* y = d scale + (d scale_rest + offset), where d = x - base, for bytes x. */
typedef struct terms {
    float base, scale, scale_rest, offset;
} terms;

#define TARN_KERNELS "nn/loader.inc"
#include "ops/for_each_simd.h"

typedef void convert_function(void *to, const void *from, tarn_dtype dtype, size_t n, double shift,
                              double scale);
typedef void convert_bytes_function(void *to, const void *from, size_t n, const terms *t);

static convert_function *const convert[TARN__SIMD_LEVELS][2] = TARN__KERNELS(convert);
static convert_bytes_function *const convert_bytes[TARN__SIMD_LEVELS] =
    TARN__LEVELS(convert_bytes_f32);

/* The first level on which a fused multiply-add is an instruction. */
#if defined(FP_FAST_FMAF)
enum { FUSED_FROM = TARN__SIMD_PLAIN };
#else
enum { FUSED_FROM = TARN__SIMD_PLAIN + 1 };
#endif

enum {
    SHARE_BYTES = 32 * 1024, /* taken at a time: so many that taking costs nothing beside it */
    LINE = 64,               /* bytes that a processor fetches at once */
    AHEAD_BYTES = 1536,      /* fetched ahead: what fits beside all else in the nearest cache */
    MAX_AHEAD = 16,          /* rows, the same for short ones */
    MAX_FETCHED = 4096       /* bytes of a row: of longer ones, the processor sees the pattern */
};

static size_t row_bytes(const tarn__fill_part *part, tarn_dtype dtype)
{
    return part->row * tarn_dtype_size(dtype);
}

/* ---- jobs */

void tarn__fill_begin(tarn__fill_job *job, const tarn__rows *rows, int64_t first, int64_t n)
{
    job->n_parts = 0;
    job->rows = rows;
    job->first = first;
    job->n = n;
    job->share = n;
    atomic_init(&job->taken, 0);
}

void tarn__fill_add(tarn__fill_job *job, const tarn__fill_part *part)
{
    const size_t bytes = row_bytes(part, part->to_dtype);
    const int64_t share = bytes < SHARE_BYTES ? (int64_t)(SHARE_BYTES / bytes) : 1;
    if (share < job->share) job->share = share;
    job->parts[job->n_parts++] = *part;
}

/* ---- bytes */

/* Of shift, what leaves every difference to a byte a float. */
static terms make_terms(double shift, double scale)
{
    enum { STEPS = 1 << 15 }; /* of 1: differences below 512 have 24 bits */
    const double base = nearbyint(shift * STEPS) / STEPS;
    const float high = (float)scale;
    return (terms){ .base = (float)base,
                    .scale = high,
                    .scale_rest = (float)(scale - (double)high),
                    .offset = (float)((base - shift) * scale) };
}

bool tarn__fill_can_fuse(double shift, double scale)
{
    unsigned char bytes[256];
    float exact[256], fused[256];
    const int level = tarn__simd();
    const terms t = make_terms(shift, scale);
    if (level < FUSED_FROM) return false;
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    convert[level][0](exact, bytes, TARN_U8, 256, shift, scale);
    convert_bytes[level](fused, bytes, 256, &t);
    for (int i = 0; i < 256; i++)
        if (!(exact[i] == fused[i]) || signbit(exact[i]) != signbit(fused[i])) return false;
    return true;
}

/* ---- rows */

static const unsigned char *source_row(const tarn__fill_job *job, const tarn__fill_part *part,
                                       int64_t i)
{
    const size_t row = (size_t)tarn__rows_at(job->rows, job->first + i);
    return (const unsigned char *)part->from + row * row_bytes(part, part->from_dtype);
}

static void fetch(const unsigned char *row, size_t bytes)
{
    if (bytes > MAX_FETCHED) bytes = MAX_FETCHED;
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(row + i);
    __builtin_prefetch(row + bytes - 1); /* a row need not begin where a line does */
}

/* Fills the rows begin to end - 1 of one part; rows are copied where nothing is to be computed. */
static void fill(const tarn__fill_job *job, const tarn__fill_part *part, int64_t begin, int64_t end)
{
    const size_t x_bytes = row_bytes(part, part->from_dtype);
    const size_t y_bytes = row_bytes(part, part->to_dtype);
    const bool copy = part->from_dtype == part->to_dtype && part->shift == 0 && part->scale == 1;
    const int64_t far = 1 + (int64_t)(AHEAD_BYTES / x_bytes);
    const int64_t ahead = far < MAX_AHEAD ? far : MAX_AHEAD;
    const int level = tarn__simd(), wide = part->to_dtype == TARN_F64;
    const terms t = part->fuse ? make_terms(part->shift, part->scale) : (terms){ 0 };
    unsigned char *y = (unsigned char *)part->to + (size_t)begin * y_bytes;
    for (int64_t i = begin; i < end; i++, y += y_bytes) {
        const unsigned char *x = source_row(job, part, i);
        if (i + ahead < job->n) fetch(source_row(job, part, i + ahead), x_bytes);
        if (copy) memcpy(y, x, x_bytes);
        else if (part->fuse) convert_bytes[level](y, x, part->row, &t);
        else convert[level][wide](y, x, part->from_dtype, part->row, part->shift, part->scale);
    }
}

void tarn__fill_take_part(tarn__fill_job *job)
{
    for (;;) {
        const int64_t begin =
            atomic_fetch_add_explicit(&job->taken, job->share, memory_order_relaxed);
        if (begin >= job->n) return;
        const int64_t end = job->n - begin < job->share ? job->n : begin + job->share;
        for (int i = 0; i < job->n_parts; i++) fill(job, &job->parts[i], begin, end);
    }
}

void tarn__fill_drop(tarn__fill_job *job)
{
    atomic_store_explicit(&job->taken, job->n, memory_order_relaxed);
}
