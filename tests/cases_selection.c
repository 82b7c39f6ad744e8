/* SPDX-License-Identifier: MIT
 * cases_selection.c - cases of what rearranges, joins and selects elements. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"
#include "ops/shapes.h"

static int axis_of(const op_array *a, int axis) { return axis < 0 ? axis + a->shape.ndim : axis; }

static void make(op_array *out, op_array *magnitude, tarn_shape shape)
{
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
}

/* ---- flip, roll, tile */

static bool flip_variant(int i, op_variant *v)
{
    static const tarn_axes axes[] = { { 1, 0, { 0 } },      { 1, 0, { -1 } }, { 2, 0, { 0, 2 } },
                                      { 0, 0, { 0 } },      { 1, 0, { 1 } },  { 2, 0, { 1, 2 } },
                                      { 3, 0, { 0, 1, 2 } } };
    const int more = i - OP_LENGTH(axes);
    if (more > 1) return false;
    v->shape[0] = more < 0 ? TARN_SHAPE(2, 3, 4) : more == 0 ? TARN_SHAPE(3, 0, 2) : TARN_SCALAR;
    if (more < 0) v->axes = axes[i];
    return true;
}

static tarn_tensor *flip_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_flip(in[0], v->axes);
}

static void flip_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    const tarn_shape *shape = &in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    make(out, magnitude, *shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        for (int axis = 0; axis < shape->ndim; axis++) {
            bool turned = v->axes.n == 0;
            for (int k = 0; k < v->axes.n; k++)
                turned = turned || axis_of(in, v->axes.axis[k]) == axis;
            if (turned) from[axis] = shape->dims[axis] - 1 - index[axis];
        }
        out->data[i++] = in->data[op_place_of(in, shape->ndim, from)];
    } while (op_next(shape, index));
}

static bool roll_variant(int i, op_variant *v)
{
    static const int shifts[][2] = { { 0, 1 }, { 1, -1 }, { -1, 7 }, { 1, 0 }, { 1, 3 } };
    if (i > OP_LENGTH(shifts)) return false;
    v->shape[0] = i < OP_LENGTH(shifts) ? TARN_SHAPE(2, 3, 4) : TARN_SHAPE(0, 2);
    if (i < OP_LENGTH(shifts)) {
        v->axis = shifts[i][0];
        v->start = shifts[i][1];
    }
    return true;
}

static tarn_tensor *roll_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_roll(in[0], v->axis, v->start);
}

static void roll_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    const int64_t size = in->shape.dims[axis];
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    make(out, magnitude, in->shape);
    if (out->n == 0) return;
    do {
        int64_t to[TARN_MAX_DIMS];
        memcpy(to, index, sizeof(to));
        to[axis] = (index[axis] + v->start + 10 * size) % size;
        out->data[op_place_of(out, in->shape.ndim, to)] = in->data[i++];
    } while (op_next(&in->shape, index));
}

static bool tile_variant(int i, op_variant *v)
{
    static const int times[][2] = { { 0, 2 }, { 1, 3 }, { -1, 1 }, { 1, 0 }, { 1, 2 } };
    if (i >= OP_LENGTH(times)) return false;
    v->shape[0] = i == 4 ? TARN_SHAPE(0, 3) : TARN_SHAPE(2, 3);
    v->axis = times[i][0];
    v->start = times[i][1];
    return true;
}

static tarn_tensor *tile_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_tile(in[0], v->axis, v->start);
}

static void tile_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[axis] *= v->start;
    make(out, magnitude, shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        from[axis] %= in->shape.dims[axis];
        out->data[i++] = in->data[op_place_of(in, shape.ndim, from)];
    } while (op_next(&shape, index));
}

/* ---- pad, unslice */

/* x at `start`, in steps, of an array of one value. */
static void surround(const op_array *x, const tarn_shape *shape, const int64_t *start,
                     const int64_t *step, double value, op_array *out, op_array *magnitude)
{
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    make(out, magnitude, *shape);
    for (int64_t k = 0; k < out->n; k++) out->data[k] = value;
    if (x->n == 0) return;
    do {
        int64_t p = 0;
        for (int axis = 0; axis < shape->ndim; axis++)
            p = p * shape->dims[axis] + start[axis] + index[axis] * step[axis];
        out->data[p] = x->data[i++];
    } while (op_next(&x->shape, index));
}

/* target: what comes before, then what comes after. */
static bool pad_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape x, pads;
    } variants[] = { { { 2, { 2, 3 } }, { 4, { 1, 0, 0, 2 } } },
                     { { 2, { 2, 3 } }, { 2, { 2, 1 } } },
                     { { 2, { 2, 3 } }, { 0, { 0 } } },
                     { { 2, { 0, 2 } }, { 4, { 1, 1, 1, 0 } } },
                     { { 0, { 0 } }, { 0, { 0 } } },
                     { { 5, { 1, 2, 1, 2, 1 } }, { 8, { 1, 0, 2, 0, 0, 1, 1, 0 } } } };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = variants[i].x;
    v->target = variants[i].pads;
    v->value = i == 1 ? 0 : 1.5;
    return true;
}

static void pads_of(const op_variant *v, tarn_shape *before, tarn_shape *after)
{
    before->ndim = after->ndim = v->target.ndim / 2;
    for (int i = 0; i < before->ndim; i++) {
        before->dims[i] = v->target.dims[i];
        after->dims[i] = v->target.dims[before->ndim + i];
    }
}

static tarn_tensor *pad_apply(tarn_tensor *const *in, const op_variant *v)
{
    tarn_shape before, after;
    pads_of(v, &before, &after);
    return tarn_pad(in[0], before, after, v->value);
}

static void pad_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    static const int64_t ones[TARN_MAX_DIMS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    tarn_shape before, after, shape = in->shape;
    int64_t start[TARN_MAX_DIMS] = { 0 };
    pads_of(v, &before, &after);
    for (int i = 0; i < before.ndim; i++) {
        const int axis = shape.ndim - before.ndim + i;
        start[axis] = before.dims[i];
        shape.dims[axis] += before.dims[i] + after.dims[i];
    }
    surround(in, &shape, start, ones, v->value, out, magnitude);
}

static bool unslice_variant(int i, op_variant *v)
{
    static const int variants[][4] = {
        { 0, 5, 2, 1 }, { 1, 3, 0, 1 }, { 1, 9, 1, 3 }, { 1, 5, 0, 2 }
    }; /* axis, size, start, step */
    if (i > OP_LENGTH(variants)) return false;
    v->shape[0] = i < OP_LENGTH(variants) ? TARN_SHAPE(2, 3) : TARN_SHAPE(2, 0);
    v->axis = i < OP_LENGTH(variants) ? variants[i][0] : 1;
    v->stop = i < OP_LENGTH(variants) ? variants[i][1] : 4;
    v->start = i < OP_LENGTH(variants) ? variants[i][2] : 4;
    v->step = i < OP_LENGTH(variants) ? variants[i][3] : 2;
    return true;
}

static tarn_tensor *unslice_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn__unslice(in[0], v->axis, v->stop, v->start, v->step);
}

static void unslice_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    int64_t start[TARN_MAX_DIMS] = { 0 }, step[TARN_MAX_DIMS] = { 1, 1 };
    tarn_shape shape = in->shape;
    shape.dims[v->axis] = v->stop;
    start[v->axis] = v->start;
    step[v->axis] = v->step;
    surround(in, &shape, start, step, 0, out, magnitude);
}

/* ---- triangles */

static bool triangle_variant(int i, op_variant *v)
{
    static const int diagonals[] = { 0, 1, -1, 9, -9, 2 };
    static const tarn_shape shapes[] = { { 2, { 4, 3 } }, { 3, { 2, 3, 4 } }, { 2, { 0, 3 } } };
    if (i >= OP_LENGTH(diagonals) * OP_LENGTH(shapes)) return false;
    v->shape[0] = shapes[i / OP_LENGTH(diagonals)];
    v->start = diagonals[i % OP_LENGTH(diagonals)];
    return true;
}

static tarn_tensor *tril_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_tril(in[0], v->start);
}
static tarn_tensor *triu_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_triu(in[0], v->start);
}

static void triangle(const op_array *in, const op_variant *v, bool lower, op_array *out,
                     op_array *magnitude)
{
    make(out, magnitude, in->shape);
    const int64_t n = in->shape.dims[in->shape.ndim - 1], m = in->shape.dims[in->shape.ndim - 2];
    for (int64_t i = 0; i < in->n; i++) {
        const int64_t above = i % n - i / n % m;
        if (lower ? above <= v->start : above >= v->start) out->data[i] = in->data[i];
    }
}

static void tril_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    triangle(in, v, true, out, magnitude);
}
static void triu_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    triangle(in, v, false, out, magnitude);
}

/* ---- joining */

static bool concat_variant(int i, op_variant *v)
{
    static const struct {
        int n, axis;
        tarn_shape shape;
        int64_t along[OP_OPERANDS];
    } variants[] = {
        { 2, 0, { 2, { 0, 3 } }, { 2, 1 } },           { 3, 1, { 3, { 2, 0, 3 } }, { 1, 2, 4 } },
        { 5, -1, { 2, { 2, 0 } }, { 1, 2, 3, 2, 1 } }, { 3, 0, { 1, { 0 } }, { 2, 0, 3 } },
        { 2, 0, { 2, { 0, 0 } }, { 2, 1 } },           { 4, -2, { 2, { 0, 1 } }, { 1, 1, 2, 3 } },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->n = variants[i].n;
    v->axis = variants[i].axis;
    for (int k = 0; k < v->n; k++) {
        v->shape[k] = variants[i].shape;
        v->shape[k].dims[(v->axis + v->shape[k].ndim) % v->shape[k].ndim] = variants[i].along[k];
    }
    return true;
}

static tarn_tensor *concat_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_concat(in, v->n, v->axis);
}

/* Copies x to where, along the axis, `start` is. */
static void place_part(op_array *out, const op_array *x, int axis, int64_t start)
{
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    if (x->n == 0) return;
    do {
        int64_t to[TARN_MAX_DIMS], p = 0;
        memcpy(to, index, sizeof(to));
        to[axis] += start;
        for (int k = 0; k < out->shape.ndim; k++) p = p * out->shape.dims[k] + to[k];
        out->data[p] = x->data[i++];
    } while (op_next(&x->shape, index));
}

static void concat_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    tarn_shape shape = in->shape;
    int64_t start = 0;
    for (int k = 1; k < v->n; k++) shape.dims[axis] += in[k].shape.dims[axis];
    make(out, magnitude, shape);
    for (int k = 0; k < v->n; k++) {
        place_part(out, &in[k], axis, start);
        start += in[k].shape.dims[axis];
    }
}

static bool stack_variant(int i, op_variant *v)
{
    static const struct {
        int n, axis;
        tarn_shape shape;
    } variants[] = { { 2, 0, { 2, { 2, 3 } } },
                     { 3, 1, { 2, { 2, 3 } } },
                     { 5, -1, { 2, { 2, 3 } } },
                     { 4, 0, { 0, { 0 } } },
                     { 2, 1, { 2, { 2, 0 } } } };
    if (i >= OP_LENGTH(variants)) return false;
    v->n = variants[i].n;
    v->start = variants[i].axis; /* which is not one of the axes that tensors have */
    for (int k = 0; k < v->n; k++) v->shape[k] = variants[i].shape;
    return true;
}

static tarn_tensor *stack_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_stack(in, v->n, (int)v->start);
}

static void stack_reference(const op_array *in, const op_variant *v, op_array *out,
                            op_array *magnitude)
{
    const int axis = (int)(v->start < 0 ? v->start + in->shape.ndim + 1 : v->start);
    tarn_shape one = { .ndim = in->shape.ndim + 1 }, shape;
    for (int k = 0; k < one.ndim; k++)
        one.dims[k] = k == axis ? 1 : in->shape.dims[k < axis ? k : k - 1];
    shape = one;
    shape.dims[axis] = v->n;
    make(out, magnitude, shape);
    for (int k = 0; k < v->n; k++) {
        const op_array x = { one, in[k].n, in[k].data };
        place_part(out, &x, axis, k);
    }
}

/* ---- one_hot */

static bool one_hot_variant(int i, op_variant *v)
{
    static const tarn_dtype types[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
    static const tarn_dtype labels[] = { TARN_I64, TARN_I32, TARN_U8 };
    static const tarn_shape shapes[] = {
        { 1, { 7 } }, { 2, { 2, 3 } }, { 0, { 0 } }, { 1, { 0 } }
    };
    if (i >= 12) return false;
    v->shape[0] = shapes[i % 4];
    v->classes = 5;
    v->dtype = labels[i % 3];
    v->choice = (int)types[i % 5];
    return true;
}

static tarn_tensor *one_hot_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_one_hot(in[0], v->classes, (tarn_dtype)v->choice);
}

static void one_hot_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    tarn_shape shape = in->shape;
    shape.dims[shape.ndim++] = v->classes;
    make(out, magnitude, shape);
    for (int64_t i = 0; i < in->n; i++) out->data[i * v->classes + (int64_t)in->data[i]] = 1;
}

/* ---- gather, scatter_add */

static bool indexed_variant(int i, op_variant *v)
{
    static const struct {
        int axis;
        tarn_shape x, index, src;
    } variants[] = {
        { 0, { 1, { 5 } }, { 1, { 7 } }, { 1, { 7 } } },
        { 0, { 2, { 3, 4 } }, { 2, { 5, 4 } }, { 2, { 5, 4 } } },
        { 1, { 2, { 3, 4 } }, { 2, { 3, 6 } }, { 2, { 3, 6 } } },
        { -2, { 3, { 2, 3, 4 } }, { 3, { 2, 5, 4 } }, { 3, { 2, 5, 4 } } },
        { 1, { 3, { 2, 3, 4 } }, { 3, { 1, 2, 3 } }, { 3, { 2, 4, 3 } } }, /* parts of all */
        { 0, { 2, { 3, 4 } }, { 2, { 0, 4 } }, { 2, { 2, 4 } } },
        { 0, { 2, { 2, 30 } }, { 2, { 9, 30 } }, { 2, { 9, 30 } } },
    };
    static const tarn_dtype types[] = { TARN_I64, TARN_I32, TARN_U8 };
    if (i >= OP_LENGTH(variants)) return false;
    v->axis = variants[i].axis;
    v->shape[0] = variants[i].x;
    v->shape[1] = variants[i].index;
    v->shape[2] = variants[i].src;
    v->classes = v->shape[0].dims[(v->axis + v->shape[0].ndim) % v->shape[0].ndim];
    v->dtype = types[i % 3];
    return true;
}

/* The place in `a` of an index, but for the axis: there it is `at`. */
static int64_t place_at(const op_array *a, const int64_t *index, int axis, double at)
{
    int64_t p = 0;
    for (int k = 0; k < a->shape.ndim; k++)
        p = p * a->shape.dims[k] + (k == axis ? (int64_t)at : index[k]);
    return p;
}

static tarn_tensor *gather_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_gather(in[0], v->axis, in[1]);
}

static void gather_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    make(out, magnitude, in[1].shape);
    if (out->n == 0) return;
    do {
        out->data[i] = in->data[place_at(in, index, axis, in[1].data[i])];
        i++;
    } while (op_next(&out->shape, index));
}

static tarn_tensor *scatter_add_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_scatter_add(in[0], v->axis, in[1], in[2]);
}

static void begin_sums(const op_array *x, op_array *out, op_array *magnitude)
{
    make(out, magnitude, x->shape);
    for (int64_t i = 0; i < x->n; i++) {
        out->data[i] = x->data[i];
        magnitude->data[i] = fabs(x->data[i]);
    }
}

static void scatter_add_reference(const op_array *in, const op_variant *v, op_array *out,
                                  op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    begin_sums(in, out, magnitude);
    if (in[1].n == 0) return;
    do {
        const int64_t to = place_at(out, index, axis, in[1].data[i++]);
        const double from = in[2].data[place_at(&in[2], index, axis, (double)index[axis])];
        out->data[to] += from;
        magnitude->data[to] += fabs(from);
    } while (op_next(&in[1].shape, index));
}

/* ---- index_select, index_add */

static bool listed_variant(int i, op_variant *v)
{
    static const struct {
        int axis;
        tarn_shape x;
        int64_t n;
    } variants[] = { { 0, { 1, { 5 } }, 7 },        { 0, { 2, { 3, 4 } }, 5 },
                     { 1, { 2, { 3, 4 } }, 6 },     { -2, { 3, { 2, 3, 4 } }, 2 },
                     { 0, { 2, { 3, 4 } }, 0 },     { 0, { 2, { 4, 70 } }, 9 },
                     { -1, { 3, { 2, 2, 5 } }, 1 }, { 1, { 2, { 0, 3 } }, 2 } };
    static const tarn_dtype types[] = { TARN_I64, TARN_I32, TARN_U8 };
    if (i >= OP_LENGTH(variants)) return false;
    const int axis = (variants[i].axis + variants[i].x.ndim) % variants[i].x.ndim;
    v->axis = variants[i].axis;
    v->shape[0] = v->shape[2] = variants[i].x;
    v->shape[1] = TARN_SHAPE(variants[i].n);
    v->shape[2].dims[axis] = variants[i].n;
    v->classes = v->shape[0].dims[axis];
    v->dtype = types[i % 3];
    return true;
}

static tarn_tensor *index_select_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_index_select(in[0], v->axis, in[1]);
}

static void index_select_reference(const op_array *in, const op_variant *v, op_array *out,
                                   op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[axis] = in[1].n;
    make(out, magnitude, shape);
    if (out->n == 0) return;
    do out->data[i++] = in->data[place_at(in, index, axis, in[1].data[index[axis]])];
    while (op_next(&shape, index));
}

static tarn_tensor *index_add_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_index_add(in[0], v->axis, in[1], in[2]);
}

static void index_add_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    const int axis = axis_of(in, v->axis);
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    begin_sums(in, out, magnitude);
    if (in[2].n == 0) return;
    do {
        const int64_t to = place_at(out, index, axis, in[1].data[index[axis]]);
        out->data[to] += in[2].data[i];
        magnitude->data[to] += fabs(in[2].data[i++]);
    } while (op_next(&in[2].shape, index));
}

/* ---- the table */

/* clang-format off */

#define FIVE OF(OP_ANY, OP_ANY, OP_ANY, OP_ANY, OP_ANY)

const op_case op_cases_selection[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(flip,            1, OF(OP_ANY),                    flip_variant,         0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(roll,            1, OF(OP_ANY),                    roll_variant,         0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_COMPOSED | OP_NO_SCALAR),
    ROW(tile,            1, OF(OP_ANY),                    tile_variant,         0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_COMPOSED | OP_NO_SCALAR),
    ROW(pad,             1, OF(OP_ANY),                    pad_variant,          0,   1, OP_ANY_DTYPE),
    ROW(unslice,         1, OF(OP_ANY),                    unslice_variant,      0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(tril,            1, OF(OP_ANY),                    triangle_variant,     0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(triu,            1, OF(OP_ANY),                    triangle_variant,     0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(concat,          5, FIVE,                          concat_variant,       0,   1, OP_LINEAR | OP_ONE_DTYPE | OP_COMPOSED | OP_NO_SCALAR),
    ROW(stack,           5, FIVE,                          stack_variant,        0,   1, OP_LINEAR | OP_ONE_DTYPE | OP_COMPOSED),
    ROW(one_hot,         1, OF(OP_LABELS),                 one_hot_variant,      0,   0, OP_NO_GRADIENT),
    ROW(gather,          2, OF(OP_ANY, OP_LABELS),         indexed_variant,      0,   2, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(scatter_add,     3, OF(OP_ANY, OP_LABELS, OP_ANY), indexed_variant,      1,   2, OP_LINEAR | OP_NO_SCALAR),
    ROW(index_select,    2, OF(OP_ANY, OP_LABELS),         listed_variant,       0,   2, OP_LINEAR | OP_ANY_DTYPE | OP_NO_SCALAR),
    ROW(index_add,       3, OF(OP_ANY, OP_LABELS, OP_ANY), listed_variant,       1,   2, OP_LINEAR | OP_NO_SCALAR),
    { 0 },
};
