/* SPDX-License-Identifier: MIT
 * window.c - windows that slide along an axis: how many there are, and what to change if there are
 * none. */
#include "ops/window.h"

bool tarn__window_pair(const tarn__op *op, const tarn_tensor *x, const char *name,
                       const tarn_shape *shape)
{
    if (shape->ndim == 2) return true;
    if (x == NULL) return false;
    const tarn__call call = { .op = op, .manager = x->manager };
    (void)tarn__call_fail(&call, TARN_EARG, "%s has %d sizes; rows and columns are needed", name,
                          shape->ndim);
    return false;
}

tarn_status tarn__window_number(const tarn__call *call, const char *name, int64_t value,
                                int64_t least)
{
    if (value >= least && value <= INT32_MAX) return TARN_OK;
    return tarn__call_fail(call, TARN_EARG, "%s is %lld; %lld to %d is possible", name,
                           (long long)value, (long long)least, INT32_MAX);
}

tarn_status tarn__window_numbers(const tarn__call *call, const tarn__window *w)
{
    tarn_status status = tarn__window_number(call, "stride", w->stride, 1);
    if (status == TARN_OK) status = tarn__window_number(call, "padding", w->padding, 0);
    if (status == TARN_OK) status = tarn__window_number(call, "dilation", w->dilation, 1);
    return status;
}

/* The size that slides and its kernel exist and are not too large to compute with. */
static tarn_status check_sizes(const tarn__call *call, int64_t size, int64_t kernel, int axis,
                               const char *operands)
{
    if (kernel < 1 || size < 1)
        return tarn__call_fail(call, TARN_ESHAPE, "%s: %s is empty along axis %d", operands,
                               size < 1 ? call->op->operands[0] : "the kernel", axis);
    if (kernel > INT32_MAX || size > INT32_MAX)
        return tarn__call_fail(call, TARN_ELIMIT, "%s: sizes along axis %d are limited to %d",
                               operands, axis, INT32_MAX);
    return TARN_OK;
}

tarn_status tarn__window_slide(const tarn__call *call, tarn__window *w, int axis,
                               const char *operands)
{
    const tarn_status status = check_sizes(call, w->size, w->kernel, axis, operands);
    if (status != TARN_OK) return status;
    const int64_t room = w->size + 2 * w->padding - tarn__window_reach(w) - 1;
    w->count = (room >= 0 ? room / w->stride : -((w->stride - 1 - room) / w->stride)) + 1;
    if (w->count >= 1) return TARN_OK;
    const int64_t needed = (tarn__window_reach(w) + 2 - w->size) / 2;
    return tarn__call_fail(
        call, TARN_ESHAPE,
        "%s: y would have the size (%lld + 2 * %lld - %lld * (%lld - 1) - 1) / %lld + 1 = %lld "
        "along axis %d; a smaller kernel%s or a padding of at least %lld is needed",
        operands, (long long)w->size, (long long)w->padding, (long long)w->dilation,
        (long long)w->kernel, (long long)w->stride, (long long)w->count, axis,
        w->dilation > 1 ? ", less dilation" : "", (long long)needed);
}

tarn_status tarn__window_spread(const tarn__call *call, tarn__window *w, int64_t more, int axis,
                                const char *operands)
{
    tarn_status status = check_sizes(call, w->count, w->kernel, axis, operands);
    if (status != TARN_OK) return status;
    if (more < 0 || more >= w->stride)
        return tarn__call_fail(
            call, TARN_EARG, "output_padding is %lld; less than the stride, 0 to %lld, is possible",
            (long long)more, (long long)w->stride - 1);
    w->size = (w->count - 1) * w->stride - 2 * w->padding + tarn__window_reach(w) + more + 1;
    if (w->size >= 1 && w->size <= INT32_MAX) return TARN_OK;
    return tarn__call_fail(
        call, w->size < 1 ? TARN_ESHAPE : TARN_ELIMIT,
        "%s: y would have the size (%lld - 1) * %lld - 2 * %lld + %lld * (%lld - 1) + %lld + 1 = "
        "%lld along axis %d; %s is needed",
        operands, (long long)w->count, (long long)w->stride, (long long)w->padding,
        (long long)w->dilation, (long long)w->kernel, (long long)more, (long long)w->size, axis,
        w->size < 1 ? "less padding" : "a smaller stride");
}
