/* SPDX-License-Identifier: MIT
 * attention.c - scaled dot-product attention.
 *
 * Letters: q (B, L, E), k (B, S, E), v (B, S, V), B standing for all axes before the last two. With
 * the scores s = scale q k^T + mask, whose hidden elements are -inf,
 *
 *     z = log(sum(e^s)) of each row,   p = e^(s - z),   y = p v,
 *
 * and with t = p (dy v^T - sum(dy y)), the sum being that of each row,
 *
 *     dv = p^T dy,   dq = scale t k,   dk = scale t^T q,   dmask = t.
 *
 * All of that goes by blocks of rows, whose scores fit into the cache: neither s nor p is ever
 * there as a whole. Forward leaves z; backward computes the scores again and with z the
 * probabilities. A row all of whose elements are hidden has z = inf and p = 0. */
#include <math.h>
#include <string.h>

#include "core/size.h"
#include "ops/formula.h"
#include "ops/gemm.h"
#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/rows.h"

/* The rows of a block, and the most scores, unless a single row has more. */
enum { BLOCK_ROWS = 64, BLOCK_SCORES = 1 << 17 };

enum { Q, K, V, MASK };

typedef struct sizes {
    int64_t B, L, S, E, V;
    int64_t rows; /* of a block */
    double scale;
    bool causal;
} sizes;

static sizes sizes_of(const tarn__call *call)
{
    const tarn__layout *q = &call->in[Q]->layout, *v = &call->in[V]->layout;
    const int last = q->ndim - 1;
    sizes s = { .B = 1,
                .L = q->dims[last - 1],
                .S = v->dims[last - 1],
                .E = q->dims[last],
                .V = v->dims[last],
                .scale = call->attr->value,
                .causal = call->attr->choice != 0 };
    for (int i = 0; i < last - 1; i++) s.B *= q->dims[i];
    s.rows = s.S > BLOCK_SCORES / BLOCK_ROWS ? BLOCK_SCORES / s.S : BLOCK_ROWS;
    if (s.rows < 1) s.rows = 1;
    if (s.rows > s.L) s.rows = s.L;
    return s;
}

/* The keys that any row before `end` may attend to. */
static int64_t keys_before(const sizes *s, int64_t end)
{
    return s->causal && end < s->S ? end : s->S;
}

/* ---- where things are */

/* The stride of an axis, counted from the last (0: the last); 0 where there is one element, or no
 * such axis. */
static int64_t stride_from_last(const tarn__layout *l, int i)
{
    const int axis = l->ndim - 1 - i;
    return axis < 0 || l->dims[axis] == 1 ? 0 : l->strides[axis];
}

/* The offset of batch number b, counted by the batch axes of the output, in another tensor. */
static int64_t batch_offset(const tarn__layout *out, const tarn__layout *l, int64_t b)
{
    int64_t offset = 0;
    for (int i = 2; i < out->ndim; i++) {
        const int64_t size = out->dims[out->ndim - 1 - i];
        offset += b % size * stride_from_last(l, i);
        b /= size;
    }
    return offset;
}

/* ---- the shape rule */

/* What does not agree of q, k and v; NULL: everything does. */
static const char *disagreement(const tarn__layout *q, const tarn__layout *k, const tarn__layout *v)
{
    const int last = q->ndim - 1;
    if (last < 1 || k->ndim != q->ndim || v->ndim != q->ndim) return "all need as many axes";
    for (int i = 0; i < last - 1; i++)
        if (k->dims[i] != q->dims[i] || v->dims[i] != q->dims[i])
            return "the axes before the last two differ (tarn_expand repeats without a copy)";
    if (k->dims[last] != q->dims[last]) return "the last sizes of q and k differ";
    return k->dims[last - 1] != v->dims[last - 1] ? "k and v differ in their numbers of rows"
                                                  : NULL;
}

static tarn_status check_operands(const tarn__call *call)
{
    char q[TARN__DESCRIPTION_BYTES], k[TARN__DESCRIPTION_BYTES], v[TARN__DESCRIPTION_BYTES];
    const char *what =
        disagreement(&call->in[Q]->layout, &call->in[K]->layout, &call->in[V]->layout);
    if (what == NULL) return TARN_OK;
    return tarn__call_fail(
        call, TARN_ESHAPE,
        "q %s, k %s, v %s: %s; q (..., L, E), k (..., S, E), v (..., S, V) are needed",
        tarn__describe(call->in[Q], q), tarn__describe(call->in[K], k),
        tarn__describe(call->in[V], v), what);
}

/* For a mask (B, S) of scores (B, ..., L, S): it is of keys, one row for each example. */
static const char *remedy_mask(const tarn__layout *m, const tarn__layout *scores)
{
    const int n = scores->ndim;
    const bool is_of_keys =
        m->ndim == 2 && n > 2 && m->dims[0] == scores->dims[0] && m->dims[1] == scores->dims[n - 1];
    if (!is_of_keys || n > 4) return "";
    return n == 3
               ? " (to hide keys of each example, it is to be (B, 1, S): tarn_unsqueeze(mask, 1))"
               : " (to hide keys of each example, it is to be (B, 1, 1, S): tarn_unsqueeze(mask, "
                 "1), twice)";
}

static tarn_status check_mask(const tarn__call *call, const tarn__layout *scores)
{
    const tarn__layout *m = &call->in[MASK]->layout;
    char text[TARN__DESCRIPTION_BYTES], needed[TARN__DESCRIPTION_BYTES];
    bool fits = m->ndim <= scores->ndim;
    if (m->dtype != TARN_U8 && m->dtype != scores->dtype)
        return tarn__call_fail(
            call, TARN_EDTYPE, "mask is %s; uint8 or %s is needed (tarn_cast converts)",
            tarn_dtype_name((tarn_dtype)m->dtype), tarn_dtype_name((tarn_dtype)scores->dtype));
    for (int i = 1; i <= m->ndim && fits; i++)
        fits = m->dims[m->ndim - i] == 1 || m->dims[m->ndim - i] == scores->dims[scores->ndim - i];
    if (fits) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "mask %s does not broadcast to the scores %s%s",
                           tarn__describe(call->in[MASK], text),
                           tarn__describe_layout(scores, needed), remedy_mask(m, scores));
}

static tarn_status sdpa_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *q = &call->in[Q]->layout, *v = &call->in[V]->layout;
    (void)offset;
    if (check_operands(call) != TARN_OK) return TARN_ESHAPE;
    if (!(fabs(call->attr->value) < INFINITY))
        return tarn__call_fail(call, TARN_EARG, "scale is %g; a finite number is needed",
                               call->attr->value);
    *out = *q;
    out->dims[out->ndim - 1] = v->dims[v->ndim - 2];
    if (call->in[MASK] != NULL) {
        const tarn_status status = check_mask(call, out);
        if (status != TARN_OK) return status;
    }
    out->dims[out->ndim - 1] = v->dims[v->ndim - 1];
    return TARN_OK;
}

/* ---- what is kept, and room to work in */

static void sdpa_aux(const tarn__call *call, tarn__layout *layout)
{
    const sizes s = sizes_of(call);
    layout->dtype = call->in[Q]->layout.dtype;
    layout->ndim = 2;
    layout->dims[0] = s.B;
    layout->dims[1] = s.L;
}

/* Forward: the scores of a block. Backward: two of these and, if it is wanted, the gradient of the
 * mask, in double, which comes first. */
static size_t sdpa_scratch(const tarn__call *call)
{
    const sizes s = sizes_of(call);
    const bool is_backward = call->dout != NULL;
    const size_t size = tarn_dtype_size((tarn_dtype)call->in[Q]->layout.dtype);
    size_t scores, bytes = 0;
    if (!tarn__size_mul((size_t)(s.rows > 0 ? s.rows : 1), (size_t)(s.S > 0 ? s.S : 1), &scores) ||
        !tarn__size_mul(scores, is_backward ? 2 * size : size, &scores))
        return SIZE_MAX;
    if (is_backward && call->din[MASK] != NULL &&
        !tarn__size_mul(tarn__elements(call->din[MASK]), sizeof(double), &bytes))
        return SIZE_MAX;
    return tarn__size_add(bytes, scores, &bytes) ? bytes : SIZE_MAX;
}

#define TARN_KERNELS "ops/attention.inc"
#include "ops/for_each_simd.h"

/* ---- as other operations */

/* A mask of what is hidden from rows by order: the keys after them. */
static tarn_tensor *later_keys(tarn_manager *tm, int64_t L, int64_t S)
{
    tarn_tensor *row = tarn_arange(tm, TARN_I64, 0, (double)L, 1);
    row = tarn_reshape(row, TARN_SHAPE(L, 1));
    tarn_tensor *key = tarn_arange(tm, TARN_I64, 0, (double)S, 1);
    return tarn_greater(key, row);
}

/* Hidden elements are not -inf here, of which a whole row would become NaN, but far below all
 * others; afterwards they are set to 0. */
static tarn_tensor *sdpa_compose(const tarn__call *call)
{
    const sizes s = sizes_of(call);
    const double low = call->in[Q]->layout.dtype == TARN_F32 ? -3e38 : -1e308;
    tarn_tensor *mask = call->in[MASK];
    tarn_tensor *hidden = NULL, *later = NULL;
    tarn_tensor *keys = tarn_transpose(call->in[K], -2, -1);
    tarn_tensor *scores = tarn_mul_scalar(tarn_matmul(call->in[Q], keys), s.scale);
    if (mask != NULL && mask->layout.dtype == TARN_U8) {
        hidden = tarn_equal_scalar(mask, 0);
    } else if (mask != NULL) {
        hidden = tarn_equal_scalar(mask, -INFINITY);
        scores = tarn_add(scores, mask);
    }
    if (s.causal) later = later_keys(call->manager, s.L, s.S);
    if (hidden != NULL) scores = tarn_masked_fill(scores, hidden, low);
    if (later != NULL) scores = tarn_masked_fill(scores, later, low);
    tarn_tensor *p = tarn_softmax(scores, -1);
    if (hidden != NULL) p = tarn_masked_fill(p, hidden, 0);
    if (later != NULL) p = tarn_masked_fill(p, later, 0);
    return tarn_matmul(p, call->in[V]);
}

/* ---- the operation */

enum {
    SCORES = TARN__USES_IN0 | TARN__USES_IN1 | TARN__USES_IN3,
    ALL = SCORES | TARN__USES_IN2 | TARN__USES_OUT
};

const tarn__op tarn__op_sdpa = {
    .name = "sdpa",
    .operands = { "q", "k", "v", "mask" },
    .arity = 4,
    .optional = 8,
    .any_dtype = 8,
    .layout = TARN__MATRICES,
    .uses = { ALL, ALL, SCORES, ALL },
    .infer = sdpa_infer,
    .forward = TARN__KERNELS(sdpa_forward),
    .backward = TARN__KERNELS(sdpa_backward),
    .aux = sdpa_aux,
    .scratch = sdpa_scratch,
    .compose = sdpa_compose,
};

tarn_tensor *tarn_sdpa(tarn_tensor *q, tarn_tensor *k, tarn_tensor *v,
                       const tarn_sdpa_options *options)
{
    static const tarn_sdpa_options defaults;
    const tarn_sdpa_options *o = options != NULL ? options : &defaults;
    tarn_tensor *const in[] = { q, k, v, o->mask };
    tarn__attr attr = { .value = o->scale, .choice = o->causal };
    if (o->scale == 0) {
        const int64_t E = q != NULL && q->layout.ndim > 0 ? q->layout.dims[q->layout.ndim - 1] : 0;
        attr.value = E > 0 ? 1 / sqrt((double)E) : 1;
    }
    return tarn__apply(&tarn__op_sdpa, in, &attr);
}
