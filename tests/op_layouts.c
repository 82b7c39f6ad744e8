/* SPDX-License-Identifier: MIT
 * op_layouts.c - operands that are views: of what, where they show it, and of which trials. */
#include <string.h>

#include "check.h"
#include "op_cases.h"

enum {
    BEFORE = 1, /* elements around a slice, along each axis */
    AFTER = 2,
    STEP = 2, /* of so many elements of each axis one is shown */
    GAP = 3   /* elements before an offset view: fewer than a vector register holds */
};

const char *op_layout_name(op_layout layout)
{
    static const char *const names[] = { "plain",   "transposed", "sliced",
                                         "stepped", "offset",     "expanded" };
    return names[layout];
}

bool op_layout_applies(op_layout layout, const op_array *a)
{
    switch (layout) {
    case OP_TRANSPOSED: return a->shape.ndim >= 2;
    case OP_STEPPED: return a->shape.ndim >= 1;
    case OP_EXPANDED: return a->shape.ndim >= 1 && a->shape.dims[0] > 1;
    default: return true;
    }
}

static tarn_shape base_shape(const tarn_shape *shape, op_layout layout)
{
    tarn_shape s = *shape;
    if (layout == OP_SLICED && s.ndim == 0) return TARN_SHAPE(BEFORE + 1 + AFTER);
    if (layout == OP_OFFSET) return TARN_SHAPE(GAP + op_shape_numel(shape));
    for (int i = 0; i < s.ndim; i++) {
        if (layout == OP_TRANSPOSED) s.dims[i] = shape->dims[s.ndim - 1 - i];
        if (layout == OP_SLICED) s.dims[i] = BEFORE + shape->dims[i] + AFTER;
        if (layout == OP_STEPPED) s.dims[i] = STEP * shape->dims[i];
    }
    if (layout == OP_EXPANDED) s.dims[0] = 1;
    return s;
}

/* Where the base of an array has element i, whose index is given. */
static int64_t base_place(const tarn_shape *base, op_layout layout, const int64_t *index, int64_t i)
{
    int64_t p = 0;
    if (layout == OP_OFFSET) return GAP + i;
    for (int axis = 0; axis < base->ndim; axis++) {
        int64_t k = index[axis];
        if (layout == OP_TRANSPOSED) k = index[base->ndim - 1 - axis];
        if (layout == OP_SLICED) k = index[axis] + BEFORE;
        if (layout == OP_STEPPED) k = index[axis] * STEP;
        if (layout == OP_EXPANDED && axis == 0) k = 0;
        p = p * base->dims[axis] + k;
    }
    return p;
}

void op_array_expand(op_array *a)
{
    const int64_t row = a->n > 0 ? a->n / a->shape.dims[0] : 0;
    for (int64_t k = row; k < a->n; k++) a->data[k] = a->data[k - row];
}

tarn_tensor *op_base(tarn_manager *tm, tarn_dtype dtype, op_array *a, op_layout layout,
                     double filler)
{
    const tarn_shape shape = base_shape(&a->shape, layout);
    const int64_t n = op_shape_numel(&shape);
    op_array base;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    op_array_make(&base, shape);
    for (int64_t k = 0; k < n; k++) base.data[k] = filler;
    if (layout == OP_EXPANDED) op_array_expand(a);
    if (a->n > 0) do {
            base.data[base_place(&shape, layout, index, i)] = a->data[i];
            i++;
        } while (op_next(&a->shape, index));

    tarn_tensor *doubles = tarn_from_array(tm, TARN_F64, shape, base.data);
    op_array_free(&base);
    return dtype == TARN_F64 ? doubles : tarn_cast(doubles, dtype);
}

tarn_tensor *op_view(tarn_tensor *base, op_layout layout, tarn_shape shape)
{
    tarn_tensor *t = base;
    const int ndim = shape.ndim;
    if (layout == OP_TRANSPOSED)
        for (int i = 0; i < ndim / 2; i++) t = tarn_transpose(t, i, -1 - i);
    if (layout == OP_SLICED) {
        for (int i = 0; i < ndim; i++) t = tarn_slice(t, i, BEFORE, -AFTER);
        if (ndim == 0) t = tarn_reshape(tarn_slice(t, 0, BEFORE, -AFTER), TARN_SCALAR);
    }
    if (layout == OP_STEPPED)
        for (int i = 0; i < ndim; i++) t = tarn_slice_step(t, i, 0, STEP * shape.dims[i], STEP);
    if (layout == OP_EXPANDED) t = tarn_expand(t, shape);
    if (layout == OP_OFFSET)
        t = tarn_reshape(tarn_slice(t, 0, GAP, GAP + op_shape_numel(&shape)), shape);
    return t;
}

op_array op_show(op_array *base, op_layout layout, const tarn_shape *shape)
{
    op_array shown;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    op_array_make(&shown, *shape);
    if (shown.n > 0) do {
            const int64_t place = base_place(&base->shape, layout, index, i);
            shown.data[i++] = base->data[place];
        } while (op_next(shape, index));
    memset(index, 0, sizeof(index));
    i = 0;
    if (shown.n > 0) do
            base->data[base_place(&base->shape, layout, index, i++)] = 0;
        while (op_next(shape, index));
    return shown;
}

bool op_trial_allows(const op_trial *t, op_layout layout)
{
    if ((t->c->flags & OP_CONTIGUOUS) != 0 && layout != OP_PLAIN && layout != OP_OFFSET)
        return false;
    bool some = false;
    for (int i = 0; i < t->n; i++) some = some || op_layout_applies(layout, &t->in[i]);
    return some;
}
