/* SPDX-License-Identifier: MIT
 * one_hot.c - labels as rows of zeros with a one. */
#include <string.h>

#include "core/values.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

static tarn_status one_hot_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int64_t classes = call->attr->sizes[0];
    char text[TARN__DESCRIPTION_BYTES];
    const tarn_status status = tarn__check_index_dtype(call, 0);
    if (status != TARN_OK) return status;
    if (classes < 0) return tarn__call_fail(call, TARN_EARG, "%lld classes", (long long)classes);
    if (call->in[0]->layout.ndim == TARN_MAX_DIMS)
        return tarn__call_fail(call, TARN_ELIMIT, "labels %s has %d dimensions already",
                               tarn__describe(call->in[0], text), TARN_MAX_DIMS);
    (void)tarn__infer_same(call, out, offset);
    out->dtype = call->attr->dtype;
    out->dims[out->ndim++] = classes;
    return TARN_OK;
}

static size_t one_hot_scratch(const tarn__call *call)
{
    const size_t n = tarn__elements(call->in[0]);
    return n <= SIZE_MAX / sizeof(int64_t) ? n * sizeof(int64_t) : SIZE_MAX;
}

/* Zeros are zero bytes in every type. */
static tarn_status one_hot_forward(const tarn__call *call)
{
    const int64_t classes = call->attr->sizes[0], n = call->in[0]->layout.numel;
    const int64_t *labels = call->scratch->data;
    const tarn_dtype dtype = (tarn_dtype)call->out->layout.dtype;
    const size_t size = tarn__dtype_size(call->out->layout.dtype);
    unsigned char *row = call->out->data;
    const tarn_status status = tarn__read_indices(call, 0, classes, call->scratch->data);
    if (status != TARN_OK) return status;
    memset(call->out->data, 0, tarn__bytes(call->out));
    for (int64_t i = 0; i < n; i++, row += (size_t)classes * size)
        tarn__store(row + (size_t)labels[i] * size, dtype, 1);
    return TARN_OK;
}

const tarn__op tarn__op_one_hot = {
    .name = "one_hot",
    .operands = { "label" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .stops_gradient = true,
    .infer = one_hot_infer,
    .forward = TARN__ANY(one_hot_forward),
    .scratch = one_hot_scratch,
};

tarn_tensor *tarn_one_hot(tarn_tensor *labels, int64_t classes, tarn_dtype dtype)
{
    if (labels != NULL && tarn_dtype_size(dtype) == 0) {
        const tarn__call call = { .op = &tarn__op_one_hot, .manager = labels->manager };
        (void)tarn__call_fail(&call, TARN_EDTYPE, "%d is no element type", (int)dtype);
        return NULL;
    }
    return tarn__apply1(&tarn__op_one_hot, labels,
                        &(tarn__attr){ .sizes = { classes }, .dtype = (uint8_t)dtype });
}
