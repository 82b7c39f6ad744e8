/* SPDX-License-Identifier: MIT
 * custom.c - operations of a program's own: each is a tarn__op whose functions translate the call
 * into plain arrays. */
#include <stdarg.h>
#include <string.h>

#include <tarn/custom.h>

#include "core/values.h"
#include "ops/op.h"

_Static_assert((int)TARN_CUSTOM_OPERANDS == (int)TARN__MAX_OPERANDS, "one limit");
_Static_assert(TARN_USES_RESULT == TARN__USES_OUT, "bits of uses");
_Static_assert(TARN_CUSTOM_ATTRIBUTES == sizeof(((tarn__attr *)NULL)->sizes), "room of attributes");

enum { NAME_BYTES = 64 };

struct tarn_custom {
    tarn__object object;
    tarn__op op;
    tarn_custom_options options;
    char name[NAME_BYTES], operands[TARN_CUSTOM_OPERANDS][NAME_BYTES];
};

static const tarn_custom *custom_of(const tarn__call *call)
{
    return (const tarn_custom *)(const void *)((const char *)call->op - offsetof(tarn_custom, op));
}

/* ---- calls as plain arrays */

static tarn_elements elements_of(const tarn_tensor *t, bool readable)
{
    tarn_elements e = { 0 };
    if (t == NULL) return e;
    e.data = readable ? t->data : NULL;
    e.n = t->layout.numel;
    e.dtype = (tarn_dtype)t->layout.dtype;
    e.shape.ndim = t->layout.ndim;
    for (int i = 0; i < e.shape.ndim; i++) e.shape.dims[i] = t->layout.dims[i];
    return e;
}

/* In backward only what some wanted gradient reads is there. */
static void translate(const tarn__call *call, tarn_custom_call *c)
{
    const tarn_custom *custom = custom_of(call);
    unsigned kept = call->dout == NULL ? ~0u : 0;
    for (int i = 0; i < call->op->arity && call->dout != NULL; i++)
        if (call->din[i] != NULL) kept |= call->op->uses[i];
    *c = (tarn_custom_call){ .attributes = call->attr->sizes,
                             .context = custom->options.context,
                             .scratch = call->scratch != NULL ? call->scratch->data : NULL,
                             .internal = call };
    for (int i = 0; i < call->op->arity; i++) {
        c->in[i] = elements_of(call->in[i], (kept >> i & 1) != 0);
        c->din[i] = elements_of(call->din[i], true);
        c->add[i] = call->add[i];
    }
    c->out = elements_of(call->out, (kept & TARN__USES_OUT) != 0);
    c->dout = elements_of(call->dout, true);
}

/* A status of the program's function, with an error held if it is one. */
static tarn_status checked(const tarn__call *call, const char *function, tarn_status status)
{
    if (status == TARN_OK) return TARN_OK;
    return tarn__call_fail(call, status, "its %s function failed: %s", function,
                           tarn_status_text(status));
}

/* ---- the operation's functions */

static tarn_status infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_custom *custom = custom_of(call);
    tarn_custom_call c;
    if (custom->options.infer == NULL) return tarn__infer_same(call, out, offset);
    translate(call, &c);
    tarn_shape shape = c.in[0].shape;
    tarn_dtype dtype = c.in[0].dtype;
    tarn_status status = checked(call, "infer", custom->options.infer(&c, &shape, &dtype));
    if (status != TARN_OK) return status;
    status = tarn__layout_make(out, dtype, &shape);
    if (status == TARN_OK) return TARN_OK;
    return tarn__call_fail(call, status, "its infer function gave a shape that cannot be: %s",
                           tarn_status_text(status));
}

static tarn_status forward(const tarn__call *call)
{
    tarn_custom_call c;
    translate(call, &c);
    return checked(call, "forward", custom_of(call)->options.forward(&c));
}

static tarn_status backward(const tarn__call *call)
{
    tarn_custom_call c;
    translate(call, &c);
    return checked(call, "backward", custom_of(call)->options.backward(&c));
}

static size_t scratch(const tarn__call *call)
{
    tarn_custom_call c;
    translate(call, &c);
    return custom_of(call)->options.scratch_bytes(&c, call->dout != NULL);
}

static tarn_tensor *graph(const tarn__call *call, int i)
{
    const tarn_custom_options *o = &custom_of(call)->options;
    tarn_tensor *g = o->graph((tarn_list){ call->op->arity, call->in }, call->out, call->dout, i,
                              call->attr->sizes, o->context);
    if (g == NULL && tarn_ok(call->manager))
        (void)tarn__call_fail(call, TARN_EARG, "its graph function returned NULL");
    return g;
}

/* ---- making and applying */

static void copy_name(char to[NAME_BYTES], const char *from)
{
    (void)snprintf(to, NAME_BYTES, "%s", from);
}

static tarn_status check_options(tarn_manager *tm, const tarn_custom_options *o)
{
    if (o == NULL || o->name == NULL || o->name[0] == '\0')
        return tarn__fail(tm, TARN_EARG, "tarn_custom_create: the operation has no name");
    if (o->forward == NULL)
        return tarn__fail(tm, TARN_EARG, "tarn_custom_create: %s has no forward function", o->name);
    if (o->operands[0] == NULL || (o->optional & 1) != 0)
        return tarn__fail(tm, TARN_EARG,
                          "tarn_custom_create: %s needs a first operand that is not optional",
                          o->name);
    return TARN_OK;
}

static void fill_operation(tarn_custom *custom)
{
    const tarn_custom_options *o = &custom->options;
    tarn__op *op = &custom->op;
    copy_name(custom->name, o->name);
    custom->options.name = custom->name; /* the caller's text may end */
    *op = (tarn__op){ .name = custom->name,
                      .optional = (uint8_t)o->optional,
                      .any_dtype = (uint8_t)o->any_dtype,
                      .infer = infer,
                      .forward = TARN__ANY(forward) };
    while (op->arity < TARN_CUSTOM_OPERANDS && o->operands[op->arity] != NULL) {
        copy_name(custom->operands[op->arity], o->operands[op->arity]);
        op->operands[op->arity] = custom->operands[op->arity];
        op->uses[op->arity] = (uint8_t)o->uses[op->arity];
        op->arity++;
    }
    if (o->backward != NULL)
        memcpy(op->backward, (tarn__kernel[TARN__SIMD_LEVELS][2])TARN__ANY(backward),
               sizeof(op->backward));
    if (o->scratch_bytes != NULL) op->scratch = scratch;
    if (o->graph != NULL) op->graph = graph;
}

tarn_custom *tarn_custom_create(tarn_manager *tm, const tarn_custom_options *options)
{
    if (tm == NULL || check_options(tm, options) != TARN_OK) return NULL;
    tarn_custom *custom = tarn__object_new(tm, sizeof(*custom), tarn__object_free);
    if (custom == NULL) return NULL;
    custom->options = *options;
    fill_operation(custom);
    return custom;
}

/* The operation lives no longer than its manager: the tape of another may not refer to it. */
static tarn_status check_manager(const tarn__call *call, tarn_list operands)
{
    for (int i = 0; i < operands.n; i++)
        if (operands.items[i] != NULL && !operands.items[i]->frozen &&
            operands.items[i]->manager != call->manager)
            return tarn__call_fail(call, TARN_ESTATE,
                                   "operand %s belongs to another manager than the operation",
                                   call->op->operands[i]);
    return TARN_OK;
}

tarn_tensor *tarn_custom_apply(const tarn_custom *operation, tarn_list operands,
                               const void *attributes, size_t bytes)
{
    if (operation == NULL) return NULL;
    tarn__attr attr = { 0 };
    const tarn__call call = { .op = &operation->op, .manager = operation->object.manager };
    if (operands.n != operation->op.arity || operands.items == NULL) {
        (void)tarn__call_fail(&call, TARN_EARG, "%d operands are given; it has %d", operands.n,
                              operation->op.arity);
        return NULL;
    }
    if (check_manager(&call, operands) != TARN_OK) return NULL;
    if (bytes > TARN_CUSTOM_ATTRIBUTES || (bytes > 0 && attributes == NULL)) {
        (void)tarn__call_fail(&call, TARN_EARG,
                              "%zu bytes of attributes at %s; at most %d are possible", bytes,
                              attributes == NULL ? "NULL" : "an address", TARN_CUSTOM_ATTRIBUTES);
        return NULL;
    }
    if (bytes > 0) memcpy(attr.sizes, attributes, bytes);
    return tarn__apply(&operation->op, operands.items, &attr);
}

tarn_status tarn_custom_fail(const tarn_custom_call *call, tarn_status code, const char *format,
                             ...)
{
    char text[512];
    if (call == NULL || call->internal == NULL) return code;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return tarn__call_fail(call->internal, code, "%s", n < 0 ? "" : text);
}
