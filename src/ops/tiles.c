/* SPDX-License-Identifier: MIT
 * tiles.c - columns of windows that are tiles. */
#include "ops/tiles.h"

#include "core/simd.h"

enum { TILES = 16 }; /* of a row, to whose multiples it is rounded up */

static bool is_tiled(const tarn__window *w)
{
    return w->kernel == w->stride && w->padding == 0 && (w->dilation == 1 || w->kernel == 1) &&
           w->count * w->stride == w->size;
}

bool tarn__are_tiles(const tarn__conv *c)
{
    return is_tiled(&c->rows) && is_tiled(&c->columns) && c->columns.kernel == 2 && c->P > 0 &&
           c->K > 0 && c->most >= c->P;
}

#define TARN_KERNELS "ops/tiles.inc"
#include "ops/for_each_simd.h"

/* Each calls the kernel of the level in use. */
#define DISPATCH(real, type)                                                                    \
    void tarn__part_tiles_##type(const tarn__conv *c, const tarn__conv_piece *piece,            \
                                 int64_t group, const real *x, real *columns)                   \
    {                                                                                           \
        static void (*const levels[])(const tarn__conv *, const tarn__conv_piece *, int64_t,    \
                                      const real *, real *) = TARN__LEVELS(part_tiles_##type);  \
        levels[tarn__simd()](c, piece, group, x, columns);                                      \
    }                                                                                           \
    void tarn__join_tiles_##type(const tarn__conv *c, const tarn__conv_piece *piece,            \
                                 int64_t group, const real *columns, const real *bias, real *x) \
    {                                                                                           \
        static void (*const levels[])(const tarn__conv *, const tarn__conv_piece *, int64_t,    \
                                      const real *, const real *, real *) =                     \
            TARN__LEVELS(join_tiles_##type);                                                    \
        levels[tarn__simd()](c, piece, group, columns, bias, x);                                \
    }
DISPATCH(float, f32)
DISPATCH(double, f64)
#undef DISPATCH
