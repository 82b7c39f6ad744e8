/* SPDX-License-Identifier: MIT
 * program_run.c - running a program. */
#include <string.h>

#include "autograd/leaf.h"
#include "autograd/program.h"
#include "ops/run_kernel.h"

/* ---- before a run */

/* Points the views of the inputs to the tensors of this run. */
static void bind_inputs(tarn__program *p, tarn_list inputs)
{
    for (int32_t i = 0; i < p->inputs.n; i++) {
        const tarn__input *in = tarn__input_at(p, i);
        tarn__value *v = tarn__value_at(p, in->value);
        tarn_tensor *t = inputs.items[i];
        tarn__materialize(t);
        unsigned char *data = (unsigned char *)t->data - in->offset;
        if (v->data == data) continue;
        v->data = data;
        for (int32_t k = v->views; k >= 0; k = tarn__view_at(p, k)->next)
            tarn__view_at(p, k)->tensor.data = data + tarn__view_at(p, k)->offset;
    }
}

/* Zeros that are pending outside are written, unless it is a gradient that is stored over. Whoever
 * has saved what is changed here, such as the last result, shall know. */
static void prepare_outside(tarn__program *p)
{
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        const bool outside = v->place == TARN__VALUE_OUTSIDE && v->first >= 0;
        if (v->written && (outside || v->place == TARN__VALUE_RESULT)) v->storage->version++;
        if (!outside || !v->storage->zero_pending || (v->is_gradient && v->stored)) continue;
        tarn_tensor whole = { .manager = p->tm, .storage = v->storage };
        tarn__materialize_zeros(&whole);
    }
}

/* ---- running */

static tarn_status run_action(const tarn__program *p, tarn__instruction *n)
{
    uint64_t key = 0;
    const tarn_status status = n->action.run(n->action.object, n->action.number, &key);
    if (!n->action.draws) return status;
    n->action.key = key;
    for (int32_t i = n->users; i >= 0; i = tarn__instruction_at(p, i)->users)
        tarn__instruction_at(p, i)->attr.key = key;
    return status;
}

static void run_leaf(const tarn__program *p, const tarn__instruction *n)
{
    tarn_tensor *t = tarn__handle_at(p, n->handle)->tensor;
    if (n->arrived && t->grad != NULL) tarn__touch(t->grad, true);
    t->grad_state = n->arrived ? TARN__GRAD_ARRIVED : TARN__GRAD_EMPTY;
}

/* A backward pass that fails leaves the gradients that it touched empty. */
static void fail_pass(const tarn__program *p, int32_t at)
{
    const uint32_t pass = tarn__instruction_at(p, at)->pass;
    for (int32_t i = at; i >= 0 && pass != 0; i--) {
        const tarn__instruction *n = tarn__instruction_at(p, i);
        if (n->kind == TARN__RUN_LEAF && n->pass == pass)
            tarn__leaf_empty(tarn__handle_at(p, n->handle)->tensor);
    }
}

static tarn_status run_instruction(const tarn__program *p, tarn__instruction *n)
{
    tarn_tensor *whole = n->call.in[0];
    switch ((tarn__instruction_kind)n->kind) {
    case TARN__RUN_CALL:
        return tarn__run_kernel(n->kernel, &n->call,
                                n->call.dout != NULL ? n->call.dout : n->call.out);
    case TARN__RUN_ZERO: memset(whole->data, 0, tarn__bytes(whole)); return TARN_OK;
    case TARN__RUN_EMPTY: tarn__make_zero(whole); return TARN_OK;
    case TARN__RUN_FILL: tarn__materialize(whole); return TARN_OK;
    case TARN__RUN_LEAF: run_leaf(p, n); return TARN_OK;
    case TARN__RUN_ACTION: return run_action(p, n);
    }
    return TARN_OK;
}

tarn_status tarn__program_run(tarn__program *p, tarn_list inputs)
{
    tarn_manager *tm = p->tm;
    const char *label = tm->label;
    tarn_status status = TARN_OK;
    bind_inputs(p, inputs);
    prepare_outside(p);
    for (int32_t i = 0; i < p->instructions.n && status == TARN_OK; i++) {
        tarn__instruction *n = tarn__instruction_at(p, i);
        tm->label = n->label < 0 ? NULL : tarn__label_at(p, n->label)->text;
        status = run_instruction(p, n);
        if (status != TARN_OK) fail_pass(p, i);
    }
    tm->label = label;
    return status;
}
