/* SPDX-License-Identifier: MIT
 * remedies.c - the ends of messages about shapes. */
#include "ops/remedies.h"

#include <stdarg.h>
#include <stdio.h>

/* Writes ` (name(operand ...) makes it [shape])`. */
static const char *tell(char text[TARN__REMEDY_BYTES], const tarn__layout *made, const char *format,
                        ...) TARN_PRINTF(3, 4);

static const char *tell(char text[TARN__REMEDY_BYTES], const tarn__layout *made, const char *format,
                        ...)
{
    char call[80], shape[TARN__DESCRIPTION_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(call, sizeof(call), format, arguments);
    va_end(arguments);
    if (n > 0)
        (void)snprintf(text, TARN__REMEDY_BYTES, " (%s makes it %.64s)", call,
                       tarn__describe_layout(made, shape));
    return text;
}

/* ---- broadcasting */

static bool broadcasts(const tarn__layout *a, const tarn__layout *b)
{
    for (int i = 1; i <= a->ndim && i <= b->ndim; i++) {
        const int64_t m = a->dims[a->ndim - i], n = b->dims[b->ndim - i];
        if (m != n && m != 1 && n != 1) return false;
    }
    return true;
}

const char *tarn__remedy_broadcast(const tarn__call *call, int i, int j,
                                   char text[TARN__REMEDY_BYTES])
{
    const bool first = call->in[i]->layout.ndim < call->in[j]->layout.ndim;
    const int k = first ? i : j;
    tarn__layout made = call->in[k]->layout;
    const tarn__layout *other = &call->in[first ? j : i]->layout;
    text[0] = '\0';
    if (made.ndim >= other->ndim) return text;
    made.dims[made.ndim++] = 1;
    if (!broadcasts(&made, other)) return text;
    return tell(text, &made, "tarn_unsqueeze(%s, -1)", call->op->operands[k]);
}

/* ---- one shape */

const char *tarn__remedy_reshape(const tarn__call *call, int i, char text[TARN__REMEDY_BYTES])
{
    const tarn__layout *x = &call->in[0]->layout, *own = &call->in[i]->layout;
    char sizes[64] = "TARN_SCALAR";
    int n = x->ndim > 0 ? snprintf(sizes, sizeof(sizes), "TARN_SHAPE(") : 0;
    text[0] = '\0';
    if (x->numel != own->numel || x->ndim > 4) return text;
    for (int axis = 0; axis < x->ndim && n > 0 && (size_t)n < sizeof(sizes); axis++)
        n += snprintf(sizes + n, sizeof(sizes) - (size_t)n, "%lld%s", (long long)x->dims[axis],
                      axis < x->ndim - 1 ? ", " : ")");
    if ((size_t)n >= sizeof(sizes)) return text;
    return tell(text, x, "tarn_reshape(%s, %s)", call->op->operands[i], sizes);
}

/* ---- the last axis */

const char *tarn__remedy_transpose(const tarn__call *call, int i, char text[TARN__REMEDY_BYTES])
{
    tarn__layout made = call->in[i]->layout;
    const int last = made.ndim - 1;
    made.dims[last] = call->in[i]->layout.dims[last - 1];
    made.dims[last - 1] = call->in[i]->layout.dims[last];
    return tell(text, &made, "tarn_transpose(%s, -2, -1)", call->op->operands[i]);
}

const char *tarn__remedy_last_axis(const tarn__call *call, int i, int64_t size,
                                   char text[TARN__REMEDY_BYTES])
{
    tarn__layout made = call->in[i]->layout;
    const int last = made.ndim - 1;
    int64_t joined = last >= 0 ? made.dims[last] : 0;
    text[0] = '\0';
    for (int axis = last - 1; axis >= 0 && joined > 0 && joined < size; axis--) {
        if (made.dims[axis] > size / joined) break;
        joined *= made.dims[axis];
        if (joined != size) continue;
        made.ndim = (uint8_t)(axis + 1);
        made.dims[axis] = size;
        return tell(text, &made, "tarn_flatten(%s, %d, -1)", call->op->operands[i], axis);
    }
    return last >= 1 && made.dims[last - 1] == size ? tarn__remedy_transpose(call, i, text) : text;
}

/* ---- channels */

const char *tarn__remedy_channels(const tarn__call *call, int ndim, int64_t channels,
                                  char text[TARN__REMEDY_BYTES])
{
    const tarn__layout *x = &call->in[0]->layout;
    const char *name = call->op->operands[0];
    tarn__layout made = *x;
    text[0] = '\0';
    if (x->ndim == ndim && x->dims[ndim - 1] == channels) {
        for (int axis = 1; axis < ndim; axis++)
            made.dims[axis] = x->dims[axis == 1 ? ndim - 1 : axis - 1];
        return ndim == 4 ? tell(text, &made, "tarn_permute(%s, TARN_AXES(0, 3, 1, 2))", name)
                         : tell(text, &made, "tarn_transpose(%s, 1, 2)", name);
    }
    if (x->ndim != ndim - 1 || x->ndim < 1) return text;
    const int axis = x->dims[0] == channels && channels != 1 ? 0 : 1; /* of a batch, of channels */
    if (axis == 1 && channels != 1) return text;
    for (int i = ndim - 1; i > axis; i--) made.dims[i] = x->dims[i - 1];
    made.dims[axis] = 1;
    made.ndim = (uint8_t)ndim;
    return tell(text, &made, "tarn_unsqueeze(%s, %d)", name, axis);
}
