/* SPDX-License-Identifier: MIT
 * indices.c - the reading of operands that hold indices. */
#include <string.h>

#include "core/values.h"
#include "ops/loop.h"
#include "ops/shapes.h"

#define TARN_KERNELS "ops/indices.inc"
#include "ops/for_each_simd.h"

typedef int64_t (*read_row)(int64_t n, int64_t *to, const void *data, int64_t step, int64_t last);

static int64_t read_row_u8(int64_t n, int64_t *to, const void *data, int64_t step, int64_t last)
{
    const uint8_t *from = data;
    int64_t seen = 0;
    for (int64_t i = 0; i < n; i++) {
        to[i] = from[i * step];
        seen |= last - to[i];
    }
    return seen;
}

/* "[1,2]": the index of element i, last axis fastest. */
static const char *describe_place(const tarn__layout *shape, int64_t i,
                                  char text[TARN__DESCRIPTION_BYTES])
{
    tarn__layout place = { .ndim = shape->ndim };
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        place.dims[axis] = i % shape->dims[axis];
        i /= shape->dims[axis];
    }
    return tarn__describe_layout(&place, text);
}

/* Holds the error of the first index that is not in [0, size). */
static tarn_status out_of_range(const tarn__call *call, int i, int64_t size, const int64_t *read)
{
    const tarn__layout *layout = &call->in[i]->layout;
    char text[TARN__DESCRIPTION_BYTES];
    int64_t k = 0;
    while (read[k] >= 0 && read[k] < size) k++;
    return tarn__call_fail(call, TARN_EARG, "%s %lld at %s is not in [0, %lld)",
                           call->op->operands[i], (long long)read[k],
                           describe_place(layout, k, text), (long long)size);
}

tarn_status tarn__read_indices(const tarn__call *call, int i, int64_t size, int64_t *to)
{
    static const read_row rows[][2] = TARN__KERNELS(read_row);
    const tarn_tensor *t = call->in[i];
    const tarn__layout *layout = &t->layout;
    const int64_t bytes = (int64_t)tarn__dtype_size(layout->dtype);
    const read_row row =
        layout->dtype == TARN_U8 ? read_row_u8 : rows[tarn__simd()][layout->dtype == TARN_I64];
    int64_t seen = 0, *next = to;
    tarn__loop loop;
    if (layout->numel == 0) return TARN_OK;
    tarn__loop_begin(&loop, layout, 1, (const tarn__layout *const[]){ layout });
    do {
        seen |= row(loop.n, next, (const unsigned char *)t->data + loop.offset[0] * bytes,
                    loop.step[0], size - 1);
        next += loop.n;
    } while (tarn__loop_next(&loop));
    return seen >= 0 ? TARN_OK : out_of_range(call, i, size, to);
}
