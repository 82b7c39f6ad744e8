/* SPDX-License-Identifier: MIT
 * extreme.c - max, min, argmax and argmin. The first of equals wins; a NaN wins over every number,
 * the first over the others. */
#include <string.h>

#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/reduce.h"

/* ---- winners */

/* The best term of each output of a piece so far, and its place in the order of the reduced
 * axes. */
typedef struct winners {
    union {
#define BEST(code, type, name) type code[TARN__REDUCE_PIECE];
        TARN_DTYPE_LIST(BEST)
#undef BEST
    } best;
    int64_t place[TARN__REDUCE_PIECE];
} winners;

/* Lets the terms of a block compete with the winners before them; whose places are wanted or not.
 */
typedef void (*contest)(const tarn__reduce_block *block, winners *w, bool placed);

/* By > the largest wins, by < the smallest. The loops run along the stride at which terms lie
 * closest; the order within one output is the same either way. */
#define CONTEST(name, code, type, beats)                                                         \
    static void name(const tarn__reduce_block *block, winners *w, bool placed)                   \
    {                                                                                            \
        const type *x = block->x;                                                                \
        type *best = w->best.code;                                                               \
        const int64_t across = block->across, along = block->along;                              \
        (void)placed;                                                                            \
        if (block->place == 0)                                                                   \
            for (int64_t j = 0; j < block->w; j++) best[j] = x[j * across], w->place[j] = 0;     \
        if (along <= across)                                                                     \
            for (int64_t j = 0; j < block->w; j++)                                               \
                for (int64_t i = 0; i < block->n; i++) COMPETE(x[j * across + i * along], beats) \
        else                                                                                     \
            for (int64_t i = 0; i < block->n; i++)                                               \
                for (int64_t j = 0; j < block->w; j++) COMPETE(x[j * across + i * along], beats) \
    }
#define COMPETE(term, beats)                                              \
    {                                                                     \
        if ((term beats best[j] || term != term) && best[j] == best[j]) { \
            best[j] = term;                                               \
            w->place[j] = block->place + i;                               \
        }                                                                 \
    }
#define CONTEST_MAX(code, type, name) CONTEST(max_##code, code, type, >)
TARN_DTYPE_LIST(CONTEST_MAX)
#define CONTEST_MIN(code, type, name) CONTEST(min_##code, code, type, <)
TARN_DTYPE_LIST(CONTEST_MIN)
#undef CONTEST_MIN
#undef CONTEST_MAX
#undef COMPETE
#undef CONTEST

/* Plays all contests for one piece of outputs; returns how many there are. */
static int64_t play(tarn__reduction *r, contest play_block, winners *w, bool placed)
{
    const int64_t n = r->block.w;
    do play_block(&r->block, w, placed);
    while (tarn__reduction_next_block(r));
    return n;
}

/* Where the term at `place` of an output lies, counted from the output's first term. Along the
 * first of the axes there is nothing to divide. */
static int64_t offset_of_place(const tarn__layout *x, uint32_t axes, int64_t place)
{
    int64_t offset = 0;
    for (int axis = x->ndim - 1; axis >= 0 && place > 0; axis--) {
        if ((axes >> axis & 1) == 0) continue;
        if ((axes & ((UINT32_C(1) << axis) - 1)) == 0) return offset + place * x->strides[axis];
        offset += place % x->dims[axis] * x->strides[axis];
        place /= x->dims[axis];
    }
    return offset;
}

/* ---- kernels */

#define TARN_KERNELS "ops/extreme.inc"
#include "ops/for_each_simd.h"

static tarn_status places(const tarn__call *call, contest play_block)
{
    int64_t *y = call->out->data;
    tarn__reduction r;
    tarn__reduction_begin(&r, call->in[0], call->attr->axes);
    do {
        winners w;
        const int64_t n = play(&r, play_block, &w, true);
        memcpy(y, w.place, (size_t)n * sizeof(*y));
        y += n;
    } while (tarn__reduction_next_piece(&r));
    return TARN_OK;
}

/* Of floats by level. */
#define PLACES(op)                                                                            \
    static tarn_status arg##op##_forward(const tarn__call *call)                              \
    {                                                                                         \
        static const contest any[] = { TARN_DTYPE_LIST(PLACES_##op) };                        \
        static const contest floats[][2] = TARN__KERNELS(op##_block);                         \
        const uint8_t dtype = call->in[0]->layout.dtype;                                      \
        const bool is_float = dtype == TARN_F32 || dtype == TARN_F64;                         \
        return places(call, is_float ? floats[tarn__simd()][dtype == TARN_F64] : any[dtype]); \
    }
#define PLACES_max(code, type, name) [TARN_##code] = max_##code,
#define PLACES_min(code, type, name) [TARN_##code] = min_##code,
PLACES(max)
PLACES(min)
#undef PLACES_min
#undef PLACES_max
#undef PLACES

/* ---- the gradients as expressions: the places of the winners do not change with x */

static tarn_tensor *max_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *place = tarn_argmax(call->in[0], tarn__kept_axes(call));
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    return tarn__at_winners(call, place, dy);
}

static tarn_tensor *min_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *place = tarn_argmin(call->in[0], tarn__kept_axes(call));
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    return tarn__at_winners(call, place, dy);
}

/* ---- the operations */

static tarn_status infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    for (int axis = 0; axis < x->ndim; axis++) {
        char text[TARN__DESCRIPTION_BYTES];
        if ((call->attr->axes >> axis & 1) != 0 && x->dims[axis] == 0)
            return tarn__call_fail(call, TARN_ESHAPE, "axis %d of x %s has no elements", axis,
                                   tarn__describe(call->in[0], text));
    }
    return tarn__infer_reduce(call, out, offset);
}

static tarn_status infer_places(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_status status = infer(call, out, offset);
    out->dtype = TARN_I64;
    return status;
}

const tarn__op tarn__op_max = {
    .name = "max",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 },
    .infer = infer,
    .forward = TARN__KERNELS(max_forward),
    .backward = TARN__KERNELS(max_backward),
    .graph = max_graph,
};

const tarn__op tarn__op_min = {
    .name = "min",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 },
    .infer = infer,
    .forward = TARN__KERNELS(min_forward),
    .backward = TARN__KERNELS(min_backward),
    .graph = min_graph,
};

const tarn__op tarn__op_argmax = {
    .name = "argmax",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = infer_places,
    .forward = TARN__ANY(argmax_forward),
};

const tarn__op tarn__op_argmin = {
    .name = "argmin",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = infer_places,
    .forward = TARN__ANY(argmin_forward),
};

tarn_tensor *tarn_max(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_max, x, &axes);
}

tarn_tensor *tarn_min(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_min, x, &axes);
}

tarn_tensor *tarn_argmax(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_argmax, x, &axes);
}

tarn_tensor *tarn_argmin(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_argmin, x, &axes);
}
