/* SPDX-License-Identifier: MIT
 * conv_shapes.c - which shapes fit together in a convolution, and how it is cut into pieces. */
#include <stdio.h>

#include "core/size.h"
#include "ops/conv.h"
#include "ops/depthwise.h"
#include "ops/remedies.h"
#include "ops/tiles.h"

/* ---- sizes */

/* Windows with the attributes of axis 0 (rows) or 1 (columns); sizes and counts are left 0. */
static tarn__window window_of(const tarn__attr *attr, int axis)
{
    if (attr->choice == 1 && axis == 0)
        return (tarn__window){
            .size = 1, .kernel = 1, .stride = 1, .padding = 0, .dilation = 1, .count = 1
        };
    return (tarn__window){ .stride = attr->sizes[axis],
                           .padding = attr->sizes[2 + axis],
                           .dilation = attr->sizes[4 + axis] };
}

static void set_sizes(tarn__window *w, int64_t size, int64_t count, int64_t kernel)
{
    w->size = size;
    w->count = count;
    w->kernel = kernel;
}

/* Columns, and y with them, take so many bytes at most: they are written and read once each, and
 * what the second-level cache of a core holds (1 to 2 MiB) is not read from memory again. */
static const int64_t ROOM_BYTES = INT64_C(1) << 20;

/* But so many windows at least, since a product of fewer columns spends its time on reading w. */
enum { FEWEST = 64 };

static int64_t most_windows(const tarn__conv *c, size_t element)
{
    const int64_t bytes_of_one = (c->K + c->O) * (int64_t)element;
    int64_t most = bytes_of_one > 0 ? ROOM_BYTES / bytes_of_one : ROOM_BYTES;
    if (most < FEWEST) most = FEWEST;
    if (most < c->P) return most;
    return (most / c->P < c->B ? most / c->P : c->B) * c->P;
}

static bool is_plain(const tarn__window *w)
{
    return w->kernel == 1 && w->stride == 1 && w->padding == 0;
}

tarn__conv tarn__conv_of(const tarn__layout *x, const tarn__layout *y, const tarn__layout *w,
                         const tarn__attr *attr)
{
    tarn__conv c = { .groups = (int64_t)attr->key, .C = w->dims[1] };
    const int last = attr->choice + 1;
    c.O = w->dims[0] / c.groups;
    c.rows = window_of(attr, 0);
    c.columns = window_of(attr, 1);
    if (attr->choice == 2) set_sizes(&c.rows, x->dims[2], y->dims[2], w->dims[2]);
    set_sizes(&c.columns, x->dims[last], y->dims[last], w->dims[last]);
    c.is_plain = is_plain(&c.rows) && is_plain(&c.columns);
    if (x->numel == 0 && y->numel == 0 && w->numel == 0) return c;

    /* Each of these is a factor of the elements of a tensor, or there is nothing to do. */
    c.B = x->dims[0];
    c.H_W = x->numel > 0 ? c.rows.size * c.columns.size : 0;
    c.P = y->numel > 0 ? c.rows.count * c.columns.count : 0;
    c.K = w->numel > 0 ? c.C * c.rows.kernel * c.columns.kernel : 0;
    c.is_depthwise = tarn__is_depthwise(&c, tarn__dtype_size(x->dtype));
    if (c.P > 0) c.most = c.is_plain ? c.P : most_windows(&c, tarn__dtype_size(x->dtype));
    c.are_tiles = tarn__are_tiles(&c);
    return c;
}

size_t tarn__conv_room(const tarn__conv *c, size_t element)
{
    if (c->is_depthwise) return tarn__depthwise_room(c, element);
    if (c->P == 0 || c->is_plain) return 0;
    const int64_t rows = c->K + (c->most > c->P ? c->O : 0);
    size_t n, bytes;
    if (!tarn__size_mul((size_t)rows, (size_t)c->most, &n) || !tarn__size_mul(n, element, &bytes))
        return SIZE_MAX;
    return bytes;
}

bool tarn__conv_next(const tarn__conv *c, tarn__conv_piece *piece)
{
    if (piece->first + piece->n < c->P) {
        piece->first += piece->n;
    } else {
        piece->image += piece->images;
        piece->first = 0;
    }
    const int64_t images = c->B - piece->image, rest = c->P - piece->first;
    piece->images = c->most <= c->P ? 1 : c->most / c->P;
    if (piece->images > images) piece->images = images;
    piece->n = c->most < rest ? c->most : rest;
    return images > 0 && c->P > 0;
}

/* ---- what fits */

enum { OPERANDS_BYTES = 2 * TARN__DESCRIPTION_BYTES + 32 };

/* "x [2,3,4,4], w [5,3,3,3]". */
static const char *describe_operands(const tarn__call *call, char text[OPERANDS_BYTES])
{
    char first[TARN__DESCRIPTION_BYTES], second[TARN__DESCRIPTION_BYTES];
    tarn__describe(call->in[0], first);
    tarn__describe(call->in[1], second);
    (void)snprintf(text, OPERANDS_BYTES, "%s %s, %s %s", call->op->operands[0], first,
                   call->op->operands[1], second);
    return text;
}

/* `channels`: the axis of w that says how many x has; -1: none. */
static tarn_status check_ranks(const tarn__call *call, const char *needed_1d, const char *needed_2d,
                               int channels)
{
    char operands[OPERANDS_BYTES], remedy[TARN__REMEDY_BYTES] = "";
    const tarn__layout *w = &call->in[1]->layout;
    const int n = call->attr->choice + 2;
    if (call->in[0]->layout.ndim == n && w->ndim == n) return TARN_OK;
    if (channels >= 0 && w->ndim == n && call->attr->key == 1)
        tarn__remedy_channels(call, n, w->dims[channels], remedy);
    return tarn__call_fail(call, TARN_ESHAPE, "%s; %s are needed%s",
                           describe_operands(call, operands), n == 3 ? needed_1d : needed_2d,
                           remedy);
}

static tarn_status check_options(const tarn__call *call)
{
    const tarn__attr *attr = call->attr;
    tarn_status status = tarn__window_number(call, "groups", (int64_t)attr->key, 1);
    for (int axis = 2 - attr->choice; axis < 2 && status == TARN_OK; axis++) {
        const tarn__window w = window_of(attr, axis);
        status = tarn__window_numbers(call, &w);
    }
    return status;
}

/* Whether groups divide the channels that operand i has along `axis`. */
static tarn_status check_groups(const tarn__call *call, int i, int axis)
{
    char operands[OPERANDS_BYTES];
    const int64_t groups = (int64_t)call->attr->key, channels = call->in[i]->layout.dims[axis];
    if (channels % groups == 0) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE,
                           "%s: %lld groups do not divide the %lld channels of %s",
                           describe_operands(call, operands), (long long)groups,
                           (long long)channels, call->op->operands[i]);
}

static tarn_status check_bias(const tarn__call *call, int64_t channels)
{
    char first[TARN__DESCRIPTION_BYTES], second[TARN__DESCRIPTION_BYTES];
    const tarn_tensor *b = call->in[2];
    if (b == NULL || (b->layout.ndim == 1 && b->layout.dims[0] == channels)) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "w %s, bias %s; bias (%lld) is needed",
                           tarn__describe(call->in[1], first), tarn__describe(b, second),
                           (long long)channels);
}

/* x does not have the channels that w takes: `times` those of its `axis`. */
static tarn_status channel_misfit(const tarn__call *call, int axis, int64_t times)
{
    char operands[OPERANDS_BYTES], remedy[TARN__REMEDY_BYTES], groups[48] = "";
    const tarn__layout *x = &call->in[0]->layout, *w = &call->in[1]->layout;
    const int64_t channels = w->dims[axis] * times;
    if (times != 1) (void)snprintf(groups, sizeof(groups), " in %lld groups", (long long)times);
    return tarn__call_fail(
        call, TARN_ESHAPE, "%s: x has %lld channels (axis 1), and w takes %lld%s%s",
        describe_operands(call, operands), (long long)x->dims[1], (long long)channels, groups,
        tarn__remedy_channels(call, x->ndim, channels, remedy));
}

/* ---- the rules */

/* What each of the axes of windows has: for conv counts follow from sizes, for conv_transpose sizes
 * from counts. */
static tarn_status slide(const tarn__call *call, const tarn__layout *x, const int64_t *kernel,
                         tarn__layout *out)
{
    char operands[OPERANDS_BYTES];
    tarn_status status = TARN_OK;
    const int n = call->attr->choice;
    describe_operands(call, operands);
    for (int i = 0; i < n && status == TARN_OK; i++) {
        tarn__window w = window_of(call->attr, 2 - n + i);
        set_sizes(&w, x->dims[2 + i], 0, kernel[i]);
        status = tarn__window_slide(call, &w, 2 + i, operands);
        out->dims[2 + i] = w.count;
    }
    return status;
}

static tarn_status spread(const tarn__call *call, const tarn__layout *x, const int64_t *kernel,
                          tarn__layout *out)
{
    char operands[OPERANDS_BYTES];
    tarn_status status = TARN_OK;
    const int n = call->attr->choice;
    describe_operands(call, operands);
    for (int i = 0; i < n && status == TARN_OK; i++) {
        tarn__window w = window_of(call->attr, 2 - n + i);
        set_sizes(&w, 0, x->dims[2 + i], kernel[i]);
        status = tarn__window_spread(call, &w, call->attr->sizes[8 - n + i], 2 + i, operands);
        out->dims[2 + i] = w.size;
    }
    return status;
}

tarn_status tarn__conv_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout, *w = &call->in[1]->layout;
    const int64_t groups = (int64_t)call->attr->key;
    (void)offset;
    tarn_status status = check_ranks(call, "x (B, C, L) and w (O, C / groups, K)",
                                     "x (B, C, H, W) and w (O, C / groups, KH, KW)", 1);
    if (status == TARN_OK) status = check_options(call);
    if (status == TARN_OK) status = check_groups(call, 0, 1);
    if (status == TARN_OK) status = check_groups(call, 1, 0);
    if (status == TARN_OK) status = check_bias(call, w->dims[0]);
    if (status != TARN_OK) return status;
    if (x->dims[1] / groups != w->dims[1]) return channel_misfit(call, 1, groups);
    *out = *x;
    out->dims[1] = w->dims[0];
    return slide(call, x, w->dims + 2, out);
}

tarn_status tarn__conv_transpose_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    char operands[OPERANDS_BYTES];
    const tarn__layout *x = &call->in[0]->layout, *w = &call->in[1]->layout;
    (void)offset;
    tarn_status status = check_ranks(call, "x (B, C, L) and w (C, O / groups, K)",
                                     "x (B, C, H, W) and w (C, O / groups, KH, KW)", 0);
    if (status == TARN_OK) status = check_options(call);
    if (status == TARN_OK) status = check_groups(call, 0, 1);
    if (status != TARN_OK) return status;
    if (x->dims[1] != w->dims[0]) return channel_misfit(call, 0, 1);
    *out = *x;
    if (!tarn__i64_mul(w->dims[1], (int64_t)call->attr->key, &out->dims[1]))
        return tarn__call_fail(call, TARN_EOVERFLOW, "%s: the result would have too many channels",
                               describe_operands(call, operands));
    status = check_bias(call, out->dims[1]);
    return status == TARN_OK ? spread(call, x, w->dims + 2, out) : status;
}

tarn_status tarn__conv_dw_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    char operands[OPERANDS_BYTES], needed[TARN__DESCRIPTION_BYTES];
    const tarn__layout *x = &call->in[0]->layout, *dy = &call->in[1]->layout;
    const int n = call->attr->choice;
    tarn__layout y = *x;
    (void)offset;
    tarn_status status = check_ranks(call, "x (B, C, L) and dy (B, O, L')",
                                     "x (B, C, H, W) and dy (B, O, H', W')", -1);
    if (status == TARN_OK) status = check_options(call);
    if (status == TARN_OK) status = check_groups(call, 0, 1);
    if (status == TARN_OK) status = check_groups(call, 1, 1);
    if (status == TARN_OK) status = slide(call, x, &call->attr->sizes[8 - n], &y);
    if (status != TARN_OK) return status;
    y.dims[1] = dy->dims[1];
    if (!tarn__same_shape(&y, dy))
        return tarn__call_fail(call, TARN_ESHAPE, "%s; dy %s is needed",
                               describe_operands(call, operands),
                               tarn__describe_layout(&y, needed));
    *out = *x;
    out->dims[0] = dy->dims[1];
    out->dims[1] = x->dims[1] / (int64_t)call->attr->key;
    for (int i = 0; i < n; i++) out->dims[2 + i] = call->attr->sizes[8 - n + i];
    return TARN_OK;
}
