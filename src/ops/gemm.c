/* SPDX-License-Identifier: MIT
 * gemm.c - matrix products: which way they take, the one door to BLAS, and a plain product for
 * those too small for either of the others. */
#include "ops/gemm.h"

#include <limits.h>

#include <cblas.h>

#include "core/checkers.h"
#include "core/simd.h"
#include "ops/gemm_tiles.h"

/* The largest size that BLAS takes. */
enum { MOST = INT_MAX };

#define blas_gemm_f32 cblas_sgemm
#define blas_gemm_f64 cblas_dgemm
#define blas_gemv_f32 cblas_sgemv
#define blas_gemv_f64 cblas_dgemv

/* A product of at most SMALL multiplications runs in plain C, unless tiles compute it: then one of
 * at most TINY. Measured on a Xeon of 2023 with one thread, in ns, plain product | OpenBLAS 0.3.21
 * with its kernels for SkylakeX, which know small matrices | for Haswell, which do not:
 *
 *     m n k        a b^T, float      a b, float      a^T b, float    the same, double
 *     4 x  8 x 2   36 |  74 |  72                                     30 |  82 |  78
 *     4 x  8 x 4   42 |  79 |  74    26 | 29 |  71   27 | 68 |  70    42, 44, 40 | 89, 32, 28
 *     8 x  8 x 4   71 | 104 |  95    48 | 38 |  90   49 | 68 |  89    66, 88, 74 | 97, 40, 31
 *     8 x  8 x 8  130 | 120 | 103    82 | 44 | 105   84 | 79 | 104   109, 175, 128 | 116, 46, 34
 *
 * A linear layer asks for the three in equal numbers. At 256 they cost it 168 against 210, at 512
 * as much as BLAS or more. The tiles of gemm_tiles.c take 72, 46 and 46 at
 * 8 x 8 x 8, and what the plain product takes at 4 x 8 x 2. */
enum { SMALL = 256, TINY = 64 };

static bool is_small(int64_t m, int64_t n, int64_t k)
{
    const bool tiles = tarn__simd() != TARN__SIMD_PLAIN && m > 1 && n > 1;
    const int64_t most = tiles ? TINY : SMALL;
    return m <= most && n <= most && k <= most && m * n * k <= most;
}

/* ---- how BLAS sees a matrix */

/* By rows, `leading` elements apart; `transposed`: what is stored so is the transpose. */
typedef struct stored {
    const void *data;
    int64_t leading; /* at least the length of a row, and 1 */
    bool transposed;
} stored;

/* A stride along which there is only one element may be anything: it is not looked at. */
static stored stored_as(tarn__matrix x, int64_t rows, int64_t columns)
{
    const bool by_rows = (columns == 1 || x.column == 1) && (rows == 1 || x.row >= columns);
    if (by_rows) return (stored){ x.data, rows == 1 ? columns : x.row, false };
    return (stored){ x.data, columns == 1 ? rows : x.column, true };
}

enum halving { HALVE_NOTHING, HALVE_M, HALVE_N, HALVE_K };

/* Which size to halve so that in the end all of them and every distance between rows are at most
 * MOST: a distance that is too large stops to matter when there is only one row. */
static enum halving to_halve(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b,
                             int64_t c_row)
{
    const stored a_stored = stored_as(a, m, k), b_stored = stored_as(b, k, n);
    const bool a_too_wide = a_stored.leading > MOST, b_too_wide = b_stored.leading > MOST;
    if (m > 1 && (m > MOST || c_row > MOST || (a_too_wide && !a_stored.transposed))) return HALVE_M;
    if (n > 1 && (n > MOST || (b_too_wide && b_stored.transposed))) return HALVE_N;
    if (k > 1 && (k > MOST || a_too_wide || b_too_wide)) return HALVE_K;
    return HALVE_NOTHING;
}

#define TARN_KERNELS "ops/gemm_plain.inc"
#include "ops/for_each_simd.h"

/* The same bits at every level; but with three operands an instruction, small nets are trained 4 %
 * faster. */
#define PLAIN(real, type)                                                                       \
    static void (*const plain_levels_##type[])(int64_t m, int64_t n, int64_t k, tarn__matrix a, \
                                               tarn__matrix b, real * c, int64_t c_row,         \
                                               bool add) = TARN__LEVELS(plain_##type);
PLAIN(float, f32)
PLAIN(double, f64)

#define TARN_KERNELS "ops/gemm.inc"
#include "ops/for_each_float.h"
