/* SPDX-License-Identifier: MIT
 * cases_shape.c - cases of views, copies, casts and draws. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/random.h"
#include "op_cases.h"

/* ---- what changes nothing */

static void same_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    (void)v;
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    memcpy(out->data, in->data, (size_t)in->n * sizeof(double));
}

static tarn_tensor *detach_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_detach(in[0]);
}

static tarn_tensor *contiguous_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_contiguous(in[0]);
}

static tarn_tensor *alias_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_alias(in[0]);
}

#define alias_reference same_reference
#define detach_reference same_reference
#define contiguous_reference same_reference

/* ---- views */

static bool reshape_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[][2] = { { { 2, { 3, 4 } }, { 2, { 2, 6 } } },
                                            { { 2, { 3, 4 } }, { 3, { 2, -1, 3 } } },
                                            { { 0, { 0 } }, { 2, { 1, 1 } } },
                                            { { 2, { 0, 4 } }, { 3, { 2, 0, 7 } } } };
    if (i >= OP_LENGTH(shapes)) return false;
    v->shape[0] = shapes[i][0];
    v->target = shapes[i][1];
    return true;
}

static tarn_tensor *reshape_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_reshape(in[0], v->target);
}

static void reshape_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    tarn_shape shape = v->target;
    for (int i = 0; i < shape.ndim; i++)
        if (shape.dims[i] < 0) shape.dims[i] = in->n / -op_shape_numel(&v->target);
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    memcpy(out->data, in->data, (size_t)in->n * sizeof(double));
}

static bool transpose_variant(int i, op_variant *v)
{
    static const int axes[][2] = { { 0, 1 }, { 0, -1 }, { 1, 1 }, { -1, -2 }, { 0, 2 } };
    if (i >= OP_LENGTH(axes)) return false;
    v->shape[0] = i == 4 ? TARN_SHAPE(2, 0, 4) : TARN_SHAPE(2, 3, 4);
    v->axis = axes[i][0];
    v->axis_b = axes[i][1];
    return true;
}

static tarn_tensor *transpose_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_transpose(in[0], v->axis, v->axis_b);
}

/* out[index] = in[index with both axes exchanged] */
static void transpose_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    const int ndim = in->shape.ndim, p = (v->axis + ndim) % ndim, q = (v->axis_b + ndim) % ndim;
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[p] = in->shape.dims[q];
    shape.dims[q] = in->shape.dims[p];
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        from[p] = index[q];
        from[q] = index[p];
        out->data[i++] = in->data[op_place_of(in, ndim, from)];
    } while (op_next(&shape, index));
}

static bool permute_variant(int i, op_variant *v)
{
    static const tarn_axes orders[] = { { 3, 0, { 1, 2, 0 } },
                                        { 3, 0, { 2, 0, 1 } },
                                        { 3, 0, { 0, -1, 1 } },
                                        { 3, 0, { 0, 1, 2 } },
                                        { 3, 0, { -1, -2, -3 } } };
    if (i > OP_LENGTH(orders)) return false;
    v->shape[0] = i == 0 ? TARN_SHAPE(2, 0, 4) : TARN_SHAPE(2, 3, 4);
    if (i < OP_LENGTH(orders)) v->axes = orders[i];
    else v->shape[0] = TARN_SCALAR;
    return true;
}

static tarn_tensor *permute_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_permute(in[0], v->axes);
}

/* out[index] = in[index of each axis at its own place] */
static void permute_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    const int ndim = in->shape.ndim;
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    for (int k = 0; k < ndim; k++) shape.dims[k] = in->shape.dims[(v->axes.axis[k] + ndim) % ndim];
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        for (int k = 0; k < ndim; k++) from[(v->axes.axis[k] + ndim) % ndim] = index[k];
        out->data[i++] = in->data[op_place_of(in, ndim, from)];
    } while (op_next(&shape, index));
}

/* The same elements in the shape `target`. */
static void regrouped_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    op_array_make(out, v->target);
    op_array_make(magnitude, v->target);
    memcpy(out->data, in->data, (size_t)in->n * sizeof(double));
}
#define squeeze_reference regrouped_reference
#define squeeze_all_reference regrouped_reference
#define unsqueeze_reference regrouped_reference
#define flatten_reference regrouped_reference

typedef struct regrouping {
    tarn_shape from;
    int axis, axis_b;
    tarn_shape to;
} regrouping;

static bool regrouped(const regrouping *all, int n, int i, op_variant *v)
{
    if (i >= n) return false;
    v->shape[0] = all[i].from;
    v->axis = all[i].axis;
    v->axis_b = all[i].axis_b;
    v->target = all[i].to;
    return true;
}

static bool squeeze_variant(int i, op_variant *v)
{
    static const regrouping all[] = { { { 3, { 2, 1, 3 } }, 1, 0, { 2, { 2, 3 } } },
                                      { { 3, { 2, 3, 1 } }, -1, 0, { 2, { 2, 3 } } },
                                      { { 1, { 1 } }, 0, 0, { 0, { 0 } } },
                                      { { 3, { 0, 1, 3 } }, -2, 0, { 2, { 0, 3 } } } };
    return regrouped(all, OP_LENGTH(all), i, v);
}

static tarn_tensor *squeeze_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_squeeze(in[0], v->axis);
}

static bool squeeze_all_variant(int i, op_variant *v)
{
    static const regrouping all[] = { { { 4, { 1, 2, 1, 3 } }, 0, 0, { 2, { 2, 3 } } },
                                      { { 2, { 2, 3 } }, 0, 0, { 2, { 2, 3 } } },
                                      { { 2, { 1, 1 } }, 0, 0, { 0, { 0 } } },
                                      { { 2, { 0, 1 } }, 0, 0, { 1, { 0 } } },
                                      { { 0, { 0 } }, 0, 0, { 0, { 0 } } } };
    return regrouped(all, OP_LENGTH(all), i, v);
}

static tarn_tensor *squeeze_all_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_squeeze_all(in[0]);
}

static bool unsqueeze_variant(int i, op_variant *v)
{
    static const regrouping all[] = { { { 2, { 2, 3 } }, 0, 0, { 3, { 1, 2, 3 } } },
                                      { { 2, { 2, 3 } }, 1, 0, { 3, { 2, 1, 3 } } },
                                      { { 2, { 2, 3 } }, 2, 0, { 3, { 2, 3, 1 } } },
                                      { { 2, { 2, 3 } }, -1, 0, { 3, { 2, 3, 1 } } },
                                      { { 2, { 0, 3 } }, -3, 0, { 3, { 1, 0, 3 } } },
                                      { { 0, { 0 } }, 0, 0, { 1, { 1 } } } };
    if (!regrouped(all, OP_LENGTH(all), i, v)) return false;
    v->start = v->axis; /* which is not one of the axes that x has */
    v->axis = 0;
    return true;
}

static tarn_tensor *unsqueeze_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_unsqueeze(in[0], (int)v->start);
}

static bool flatten_variant(int i, op_variant *v)
{
    static const regrouping all[] = { { { 3, { 2, 3, 4 } }, 1, -1, { 2, { 2, 12 } } },
                                      { { 3, { 2, 3, 4 } }, 0, 1, { 2, { 6, 4 } } },
                                      { { 3, { 2, 3, 4 } }, 0, -1, { 1, { 24 } } },
                                      { { 3, { 2, 3, 4 } }, 1, 1, { 3, { 2, 3, 4 } } },
                                      { { 3, { 2, 0, 4 } }, 0, 1, { 2, { 0, 4 } } } };
    return regrouped(all, OP_LENGTH(all), i, v);
}

static tarn_tensor *flatten_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_flatten(in[0], v->axis, v->axis_b);
}

static bool slice_variant(int i, op_variant *v)
{
    static const struct {
        int axis;
        int64_t start, stop, step; /* 0: without steps */
    } slices[] = { { 0, 1, 3, 0 },  { 1, 0, 4, 0 },  { -1, 2, -1, 0 }, { 0, -2, 3, 0 },
                   { 1, 2, 2, 0 },  { 1, 0, 5, 1 },  { 1, 0, 5, 2 },   { 1, 1, 5, 3 },
                   { -2, 0, 3, 2 }, { 1, -4, 5, 2 }, { 1, 0, 5, 9 },   { 1, 3, 3, 2 },
                   { 1, 1, 3, 0 } };
    if (i >= OP_LENGTH(slices)) return false;
    v->shape[0] = i + 1 == OP_LENGTH(slices) ? TARN_SHAPE(0, 4) : TARN_SHAPE(3, 5);
    v->axis = slices[i].axis;
    v->start = slices[i].start;
    v->stop = slices[i].stop;
    v->step = slices[i].step;
    return true;
}

static tarn_tensor *slice_apply(tarn_tensor *const *in, const op_variant *v)
{
    if (v->step == 0) return tarn_slice(in[0], v->axis, v->start, v->stop);
    return tarn_slice_step(in[0], v->axis, v->start, v->stop, v->step);
}

/* The elements of an axis that are start + i step, for `places` of i. */
static void stepped(const op_array *in, int axis, int64_t start, int64_t step, int64_t places,
                    op_array *out, op_array *magnitude)
{
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[axis] = places;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        from[axis] = start + index[axis] * step;
        out->data[i++] = in->data[op_place_of(in, shape.ndim, from)];
    } while (op_next(&shape, index));
}

static void slice_reference(const op_array *in, const op_variant *v, op_array *out,
                            op_array *magnitude)
{
    const int axis = v->axis < 0 ? v->axis + in->shape.ndim : v->axis;
    const int64_t size = in->shape.dims[axis], step = v->step == 0 ? 1 : v->step;
    const int64_t start = v->start < 0 ? v->start + size : v->start;
    const int64_t stop = v->stop < 0 ? v->stop + size : v->stop;
    int64_t places = 0;
    while (start + places * step < stop) places++;
    stepped(in, axis, start, step, places, out, magnitude);
}

static bool select_variant(int i, op_variant *v)
{
    static const int places[][2] = {
        { 0, 1 }, { 1, 0 }, { -1, -1 }, { -3, -2 }, { 1, 2 }, { 0, 1 }
    };
    if (i >= OP_LENGTH(places)) return false;
    v->shape[0] = i == 4 ? TARN_SHAPE(0, 3) : i == 5 ? TARN_SHAPE(3) : TARN_SHAPE(2, 3, 4);
    v->axis = places[i][0];
    v->start = places[i][1];
    return true;
}

static tarn_tensor *select_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_select(in[0], v->axis, v->start);
}

static void select_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const int axis = v->axis < 0 ? v->axis + in->shape.ndim : v->axis;
    const int64_t size = in->shape.dims[axis], start = v->start < 0 ? v->start + size : v->start;
    stepped(in, axis, start, 1, 1, out, magnitude);
    tarn_shape *shape = &out->shape;
    for (int i = axis; i + 1 < shape->ndim; i++) shape->dims[i] = shape->dims[i + 1];
    shape->ndim--;
}

static bool expand_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[][2] = { { { 2, { 3, 1 } }, { 2, { 3, 4 } } },
                                            { { 1, { 3 } }, { 3, { 2, 2, 3 } } },
                                            { { 0, { 0 } }, { 1, { 5 } } },
                                            { { 2, { 1, 3 } }, { 2, { 0, 3 } } },
                                            { { 2, { 1, 0 } }, { 3, { 2, 4, 0 } } } };
    if (i >= OP_LENGTH(shapes)) return false;
    v->shape[0] = shapes[i][0];
    v->target = shapes[i][1];
    return true;
}

static tarn_tensor *expand_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_expand(in[0], v->target);
}

static void expand_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    op_array_make(out, v->target);
    op_array_make(magnitude, v->target);
    if (out->n == 0) return;
    do out->data[i++] = in->data[op_place_of(in, v->target.ndim, index)];
    while (op_next(&v->target, index));
}

static tarn_tensor *broadcast_to_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_broadcast_to(in[0], v->target);
}
#define broadcast_to_reference expand_reference

/* ---- casts and draws */

static bool cast_variant(int i, op_variant *v)
{
    static const tarn_dtype types[] = { TARN_F64, TARN_F32, TARN_I32, TARN_I64,
                                        TARN_U8,  TARN_F64, TARN_F64 };
    v->shape[0] = i == 5 ? TARN_SCALAR : i == 6 ? TARN_SHAPE(0, 2) : TARN_SHAPE(3, 5);
    if (i < OP_LENGTH(types)) v->dtype = types[i];
    return i < OP_LENGTH(types);
}

static tarn_tensor *cast_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_cast(in[0], v->dtype);
}

static double cast_one(double x, tarn_dtype dtype)
{
    if (dtype == TARN_F64) return x;
    if (dtype == TARN_F32) return (double)(float)x;
    const double low = dtype == TARN_I32 ? -0x1p31 : dtype == TARN_I64 ? -0x1p63 : 0;
    const double high = dtype == TARN_I32 ? 0x1p31 - 1 : dtype == TARN_I64 ? 0x1p63 : 255;
    return isnan(x) ? 0 : fmin(fmax(trunc(x), low), high);
}

static void cast_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) out->data[i] = cast_one(in->data[i], v->dtype);
}

static bool dropout_variant(int i, op_variant *v)
{
    static const double probabilities[] = { 0, 0.5, 0.1, 1, 0.5, 0.5 };
    v->shape[0] = i == 4 ? TARN_SCALAR : i == 5 ? TARN_SHAPE(0, 3) : TARN_SHAPE(7, 11);
    v->stream = (uint64_t)i;
    if (i < OP_LENGTH(probabilities)) v->value = probabilities[i];
    return i < OP_LENGTH(probabilities);
}

static tarn_tensor *dropout_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_dropout(in[0], v->value, v->stream);
}

/* The draws of the manager of check.h, whose seed is 42: word i % 4 of Philox at counter i / 4. */
static void dropout_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    const uint64_t key = tarn__random_key(tarn__random_key(42, TARN__RANDOM_DROPOUT), v->stream);
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) {
        const uint32_t counter[4] = { (uint32_t)(i / 4) };
        const uint32_t halves[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
        uint32_t words[4];
        tarn__philox(counter, halves, words);
        const bool kept = (double)words[i % 4] * 0x1p-32 >= v->value;
        out->data[i] = kept ? in->data[i] / (1 - v->value) : 0;
        magnitude->data[i] = fabs(out->data[i]);
    }
}

/* ---- the table */

/* clang-format off */

const op_case op_cases_shape[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(alias,           1, OF(OP_ANY),                    op_any_shape,         0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(reshape,         1, OF(OP_ANY),                    reshape_variant,      0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_CONTIGUOUS),
    ROW(squeeze,         1, OF(OP_ANY),                    squeeze_variant,      0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(squeeze_all,     1, OF(OP_ANY),                    squeeze_all_variant,  0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_COMPOSED),
    ROW(unsqueeze,       1, OF(OP_ANY),                    unsqueeze_variant,    0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(flatten,         1, OF(OP_ANY),                    flatten_variant,      0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_COMPOSED | OP_NO_SCALAR),
    ROW(transpose,       1, OF(OP_ANY),                    transpose_variant,    0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(permute,         1, OF(OP_ANY),                    permute_variant,      0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(slice,           1, OF(OP_ANY),                    slice_variant,        0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(select,          1, OF(OP_ANY),                    select_variant,       0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(expand,          1, OF(OP_ANY),                    expand_variant,       0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(broadcast_to,    1, OF(OP_ANY),                    expand_variant,       0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_COMPOSED),
    ROW(contiguous,      1, OF(OP_ANY),                    op_any_shape,         0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(cast,            1, OF(OP_ANY),                    cast_variant,         0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(dropout,         1, OF(OP_ANY),                    dropout_variant,      2,   2, OP_LINEAR),
    ROW(detach,          1, OF(OP_ANY),                    op_any_shape,         0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE),
    { 0 },
};
