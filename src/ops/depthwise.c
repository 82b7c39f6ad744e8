/* SPDX-License-Identifier: MIT
 * depthwise.c - convolutions of which every channel has windows of its own. */
#include "ops/depthwise.h"

#include <string.h>

#include "core/simd.h"

enum {
    BLOCK_BYTES = 64,       /* of elements that are computed together, at every level */
    BAND_BYTES = 16 * 1024, /* of a plane: half of a first-level cache */
    MOST_BYTES = 512 * 1024 /* but rows may be so long that the least of it takes this */
};

/* How an image is cut into bands of rows, of the products that reach for x and of those for y. */
typedef struct bands {
    int64_t rows;  /* of the result, at once */
    int64_t reach; /* more of the plane */
    int64_t pitch; /* of the plane, from one row to the next: a row of the result in blocks, and
                      what windows reach beyond it */
    int64_t whole; /* a row of the result in blocks */
} bands;

static bands bands_of(const tarn__conv *c, size_t element)
{
    const int64_t size = (int64_t)element, block = BLOCK_BYTES / size;
    const tarn__window *w = &c->columns;
    const int64_t widest = w->size > w->count ? w->size : w->count;
    bands b = { .reach = tarn__window_reach(&c->rows) };
    b.whole = (widest + block - 1) / block * block;
    b.pitch = b.whole + tarn__window_reach(w);
    b.rows = BAND_BYTES / (b.pitch * size) - b.reach;
    if (b.rows < 1) b.rows = 1;
    return b;
}

bool tarn__is_depthwise(const tarn__conv *c, size_t element)
{
    const bool fits = c->C == 1 && c->O >= 1 && c->O <= TARN__DEPTHWISE_TIMES && c->K >= 1 &&
                      c->K <= TARN__DEPTHWISE_PLACES && c->B > 0 && c->H_W > 0 && c->P > 0;
    if (!fits || c->rows.stride != 1 || c->columns.stride != 1) return false;
    const bands b = bands_of(c, element);
    return b.reach < MOST_BYTES && b.pitch < MOST_BYTES &&
           (b.reach + 1) * b.pitch * (int64_t)element <= MOST_BYTES;
}

/* A plane of x, and beside it one of y or a row of the result. */
size_t tarn__depthwise_room(const tarn__conv *c, size_t element)
{
    const bands b = bands_of(c, element);
    return (size_t)((2 * b.rows + b.reach) * b.pitch) * element + BLOCK_BYTES;
}

/* The places of a window, in the order of w: how far from the first of a plane that is reached. */
typedef struct taps {
    int64_t n, offset[TARN__DEPTHWISE_PLACES];
    bool turned, are_nine; /* from the last to the first; 3 x 3 places beside one another */
} taps;

/* `turned`: as y is seen from x. */
static taps taps_of(const tarn__conv *c, size_t element, bool turned)
{
    const int64_t pitch = bands_of(c, element).pitch;
    taps t = { .n = c->K, .turned = turned };
    t.are_nine = c->rows.kernel == 3 && c->columns.kernel == 3 && c->rows.dilation == 1 &&
                 c->columns.dilation == 1;
    const int64_t last = tarn__window_reach(&c->rows) * pitch + tarn__window_reach(&c->columns);
    for (int64_t k = 0; k < c->K; k++) {
        const int64_t r = k / c->columns.kernel, s = k % c->columns.kernel;
        const int64_t offset = r * c->rows.dilation * pitch + s * c->columns.dilation;
        t.offset[k] = turned ? last - offset : offset;
    }
    return t;
}

#define TARN_KERNELS "ops/depthwise.inc"
#include "ops/for_each_simd.h"

/* Each calls the kernel of the level in use; y and x are made of the other alike. */
#define TO_IMAGE(product, real, type)                                                             \
    void tarn__depthwise_##product##_##type(const tarn__conv *c, const real *from, const real *w, \
                                            const real *bias, real *to, real *room, bool add)     \
    {                                                                                             \
        static void (*const levels[])(const tarn__conv *, const real *, const real *,             \
                                      const real *, real *, real *, bool) =                       \
            TARN__LEVELS(depthwise_##product##_##type);                                           \
        levels[tarn__simd()](c, from, w, bias, to, room, add);                                    \
    }
#define DISPATCH(real, type)                                                                  \
    TO_IMAGE(y, real, type)                                                                   \
    TO_IMAGE(x, real, type)                                                                   \
    void tarn__depthwise_w_##type(const tarn__conv *c, const real *x, const real *y, real *w, \
                                  real *room, bool add)                                       \
    {                                                                                         \
        static void (*const levels[])(const tarn__conv *, const real *, const real *, real *, \
                                      real *, bool) = TARN__LEVELS(depthwise_w_##type);       \
        levels[tarn__simd()](c, x, y, w, room, add);                                          \
    }
DISPATCH(float, f32)
DISPATCH(double, f64)
#undef DISPATCH
#undef TO_IMAGE
