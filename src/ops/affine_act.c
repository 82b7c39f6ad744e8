/* SPDX-License-Identifier: MIT
 * affine_act.c - y = f(x w^T + b): a linear layer with its activation.
 *
 * The kernels are those of affine and of the activation, one after the other: the activation works
 * in the memory of the product, and its gradient is one that can be computed from y. */
#include "ops/op_list.h"

/* Leaky relu's gradient asks on which side of 0 its operand was: y is on the same. Those of gelu
 * and silu need the operand itself. */
static const tarn__op *const activations[] = {
    [TARN_RELU] = &tarn__op_relu,       [TARN_TANH] = &tarn__op_tanh,
    [TARN_SIGMOID] = &tarn__op_sigmoid, [TARN_LEAKY_RELU] = &tarn__op_leaky_relu,
    [TARN_GELU] = &tarn__op_gelu,       [TARN_SILU] = &tarn__op_silu,
};
enum { ACTIVATIONS = sizeof(activations) / sizeof(activations[0]) };

static const double LEAKY_SLOPE = 0.01;

static int type_of(const tarn__call *call) { return call->in[0]->layout.dtype == TARN_F64; }

/* The activation, as a call on z. */
static tarn__call activation_of(const tarn__call *call, tarn_tensor *z, const tarn__attr *attr)
{
    return (tarn__call){ .op = activations[call->attr->choice],
                         .manager = call->manager,
                         .attr = attr,
                         .in = { z },
                         .out = call->out };
}

static tarn_status affine_act_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    return tarn__op_affine.infer(call, out, offset);
}

static tarn_status affine_act_forward(const tarn__call *call)
{
    const tarn__attr attr = { .value = LEAKY_SLOPE };
    const tarn__call act = activation_of(call, call->out, &attr);
    const tarn_status status = tarn__op_affine.forward[type_of(call)](call);
    return status == TARN_OK ? act.op->forward[type_of(call)](&act) : status;
}

/* Room for the gradient of the product. */
static size_t affine_act_scratch(const tarn__call *call)
{
    return call->dout != NULL ? tarn__bytes(call->dout) : 0;
}

static tarn_status affine_act_backward(const tarn__call *call)
{
    const tarn__attr attr = { .value = LEAKY_SLOPE };
    tarn__call act = activation_of(call, call->out, &attr), affine = *call;
    if (call->scratch == NULL) return tarn__op_affine.backward[type_of(call)](call); /* no rows */
    tarn_tensor dz = *call->dout;
    dz.data = call->scratch->data;
    act.dout = call->dout;
    act.din[0] = &dz;
    const tarn_status status = act.op->backward[type_of(call)](&act);
    affine.dout = &dz;
    return status == TARN_OK ? tarn__op_affine.backward[type_of(call)](&affine) : status;
}

static tarn_tensor *affine_act_compose(const tarn__call *call)
{
    const tarn__attr attr = { .value = LEAKY_SLOPE };
    tarn_tensor *z = tarn_affine(call->in[0], call->in[1], call->in[2]);
    return tarn__apply1(activations[call->attr->choice], z, &attr);
}

const tarn__op tarn__op_affine_act = {
    .name = "affine_act",
    .operands = { "x", "w", "b" },
    .arity = 3,
    .optional = 4,
    .uses = { TARN__USES_IN1 | TARN__USES_OUT, TARN__USES_IN0 | TARN__USES_OUT, TARN__USES_OUT },
    .infer = affine_act_infer,
    .forward = { affine_act_forward, affine_act_forward },
    .backward = { affine_act_backward, affine_act_backward },
    .scratch = affine_act_scratch,
    .compose = affine_act_compose,
};

tarn_tensor *tarn_affine_act(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b,
                             tarn_activation activation)
{
    tarn_tensor *const in[] = { x, w, b };
    if (x != NULL && ((int)activation < 0 || (int)activation >= ACTIVATIONS)) {
        const tarn__call call = { .op = &tarn__op_affine_act, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "unknown activation %d", (int)activation);
        return NULL;
    }
    if (activation == TARN_GELU || activation == TARN_SILU)
        return tarn__apply1(activations[activation], tarn_affine(x, w, b), NULL);
    return tarn__apply(&tarn__op_affine_act, in, &(tarn__attr){ .choice = (uint8_t)activation });
}
