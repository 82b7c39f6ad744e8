/* SPDX-License-Identifier: MIT
 * in_place.c - operations that write their result into their first operand. It is refused
 * where a gradient would come out wrong. */
#include "core/assert.h"
#include "core/values.h"
#include "ops/apply.h"
#include "ops/observe.h"
#include "ops/op_list.h"
#include "ops/run_kernel.h"
#include "ops/watch.h"

/* ---- what is refused */

static tarn_status refuse(const tarn__call *call, const char *why)
{
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(call, TARN_ESTATE, "%s %s cannot be changed in place: %s: use tarn_%s",
                           call->op->operands[0], tarn__describe(call->in[0], text), why,
                           call->op->name);
}

/* Whether the elements of x may be overwritten at all. */
static tarn_status check_target(const tarn__call *call)
{
    const tarn_tensor *x = call->in[0];
    if (x->storage->read_only) return refuse(call, "it is frozen");
    if (tarn__is_expanded(&x->layout))
        return refuse(call, "it is expanded, so that one element stands for several");
    if (x->saves > 0)
        return refuse(call, "a recorded operation saved it, and backward would read other values");
    if (!tarn__recording(call->manager)) return TARN_OK;
    if (x->requires_grad && x->node == NULL && !x->graph_freed)
        return refuse(call,
                      "it is a leaf that requires a gradient (inside TARN_NO_GRAD it can be)");
    return TARN_OK;
}

/* Whether the operation can be recorded as one that overwrote x. */
static tarn_status check_recorded(const tarn__call *call)
{
    const tarn_tensor *x = call->in[0];
    if (x->owner == TARN__OWNER_OBJECT)
        return refuse(call, "it belongs to a module, loader or leaf");
    if (x->storage->refs > 1) return refuse(call, "another tensor shares its memory");
    const uint32_t owners = (x->owner != TARN__OWNER_NONE) + x->retains;
    if (x->refs > owners + (x->node != NULL ? 1u : 0u))
        return refuse(call, "a recorded operation has it as an operand");
    if (!x->layout.contiguous)
        return refuse(call, "backward needs it without gaps, the last axis fastest");
    for (int i = 0; i < call->op->arity; i++) {
        if (call->in[i] == NULL || !call->in[i]->requires_grad) continue;
        for (int k = 0; k < call->op->arity; k++)
            if ((call->op->uses[i] >> k & 1) != 0 && call->in[k] != NULL &&
                call->in[k]->storage == x->storage)
                return refuse(call, "its values before are needed for the gradient");
    }
    return TARN_OK;
}

/* Replaces operands that lie in the memory of x but elsewhere than x by copies, which the caller
 * unrefs. */
static tarn_status part_operands(tarn__call *call, tarn_tensor **copies)
{
    const tarn_tensor *x = call->in[0];
    for (int i = 1; i < call->op->arity; i++) {
        tarn_tensor *t = call->in[i];
        if (t == NULL || t->storage != x->storage) continue;
        if (t->data == x->data && x->layout.contiguous && t->layout.contiguous &&
            t->layout.numel == x->layout.numel)
            continue;
        tarn__layout layout = t->layout;
        copies[i] = tarn__call_new_tensor(call, &layout, TARN_KIND_WORKSPACE);
        if (copies[i] == NULL) return tarn_error_code(call->manager);
        tarn__copy_observed(copies[i], t);
        call->in[i] = copies[i];
    }
    return TARN_OK;
}

/* ---- the path */

/* Writes the result into x: at once where x has no gaps, else by way of a tensor that has none. */
static tarn_status overwrite(tarn__call *call, bool recorded)
{
    tarn_tensor *x = call->in[0];
    const tarn__kernel kernel = call->op->forward[tarn__simd()][x->layout.dtype == TARN_F64];
    tarn__call work = *call;
    tarn_status status = TARN_OK;
    for (int i = 0; i < call->op->arity; i++)
        if (call->in[i] != NULL) tarn__materialize(call->in[i]);
    work.out = x;
    if (!x->layout.contiguous) {
        tarn__layout layout = x->layout;
        work.out = tarn__call_new_tensor(call, &layout, TARN_KIND_WORKSPACE);
        if (work.out == NULL) return tarn_error_code(call->manager);
        work.in[0] = work.out;
        tarn__copy_observed(work.out, x);
    }
    tarn__touch(x, false);
    call->out = x;
    if (recorded) status = call->manager->recorder->record_in_place(call);
    if (status == TARN_OK && x->layout.numel > 0 && !call->manager->dry) {
        status = tarn__run_kernel(kernel, &work, work.out);
        tarn__observe_call(kernel, &work);
    }
    if (work.out != x) {
        if (status == TARN_OK) tarn__copy_observed(x, work.out);
        tarn__unref(work.out);
    }
    return status;
}

/* Every check comes first, then every acquisition, then the writes. */
static tarn_tensor *run_in_place(tarn__call *call)
{
    tarn__layout out = { 0 };
    int64_t offset = 0;
    tarn_tensor *x = call->in[0], *copies[TARN__MAX_OPERANDS] = { NULL };
    if (!call->plain && tarn__call_check(call) != TARN_OK) return NULL;
    if (check_target(call) != TARN_OK) return NULL;
    if (call->op->infer(call, &out, &offset) != TARN_OK) return NULL;
    if (out.dtype != x->layout.dtype || !tarn__same_shape(&out, &x->layout)) {
        char text[TARN__DESCRIPTION_BYTES], result[TARN__DESCRIPTION_BYTES];
        (void)tarn__call_fail(call, TARN_ESHAPE, "the result %s does not fit into %s %s",
                              tarn__describe_layout(&out, result), call->op->operands[0],
                              tarn__describe(x, text));
        return NULL;
    }
    const bool recorded = tarn__call_wants_record(call, out.dtype);
    if (recorded && check_recorded(call) != TARN_OK) return NULL;
    if (recorded && call->manager->observer != NULL)
        call->manager->observer->refuse_outside(
            call->manager, x, "a recorded operation changes a tensor from outside in place");
    tarn_status status = part_operands(call, copies);
    if (status == TARN_OK) status = overwrite(call, recorded);
    for (int i = 0; i < call->op->arity; i++)
        if (copies[i] != NULL) tarn__unref(copies[i]);
    if (status == TARN_OK && call->manager->watch != 0) status = tarn__watch_forward(call);
    return status == TARN_OK ? x : NULL;
}

tarn_tensor *tarn__apply_in_place(const tarn__op *op, tarn_tensor *const *in,
                                  const tarn__attr *attr)
{
    TARN_ASSERT(op->in_place);
    if (in[0] != NULL && in[0]->frozen) {
        const tarn__call call = { .op = op, .manager = in[0]->manager, .in = { in[0] } };
        (void)refuse(&call, "it is frozen");
        return NULL;
    }
    return tarn__apply_by(op, in, attr, run_in_place);
}

/* ---- the operations */

static tarn_tensor *with_tensor(const tarn__op *op, tarn_tensor *x, tarn_tensor *b)
{
    tarn_tensor *const in[] = { x, b };
    return tarn__apply_in_place(op, in, NULL);
}

static tarn_tensor *with_number(const tarn__op *op, tarn_tensor *x, double s)
{
    return tarn__apply_in_place(op, &x, &(tarn__attr){ .value = s });
}

static tarn_tensor *alone(const tarn__op *op, tarn_tensor *x)
{
    return tarn__apply_in_place(op, &x, NULL);
}

tarn_tensor *tarn_add_(tarn_tensor *x, tarn_tensor *b) { return with_tensor(&tarn__op_add, x, b); }
tarn_tensor *tarn_sub_(tarn_tensor *x, tarn_tensor *b) { return with_tensor(&tarn__op_sub, x, b); }
tarn_tensor *tarn_mul_(tarn_tensor *x, tarn_tensor *b) { return with_tensor(&tarn__op_mul, x, b); }
tarn_tensor *tarn_div_(tarn_tensor *x, tarn_tensor *b) { return with_tensor(&tarn__op_div, x, b); }

tarn_tensor *tarn_add_scalar_(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_add_scalar, x, s);
}

tarn_tensor *tarn_mul_scalar_(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_mul_scalar, x, s);
}

tarn_tensor *tarn_neg_(tarn_tensor *x) { return alone(&tarn__op_neg, x); }
tarn_tensor *tarn_exp_(tarn_tensor *x) { return alone(&tarn__op_exp, x); }
tarn_tensor *tarn_sqrt_(tarn_tensor *x) { return alone(&tarn__op_sqrt, x); }
tarn_tensor *tarn_tanh_(tarn_tensor *x) { return alone(&tarn__op_tanh, x); }
tarn_tensor *tarn_sigmoid_(tarn_tensor *x) { return alone(&tarn__op_sigmoid, x); }
tarn_tensor *tarn_relu_(tarn_tensor *x) { return alone(&tarn__op_relu, x); }

tarn_tensor *tarn_masked_fill_(tarn_tensor *x, tarn_tensor *mask, double value)
{
    tarn_tensor *const in[] = { x, mask };
    return tarn__apply_in_place(&tarn__op_masked_fill, in, &(tarn__attr){ .value = value });
}
