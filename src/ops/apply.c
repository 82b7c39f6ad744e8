/* SPDX-License-Identifier: MIT
 * apply.c - the one path of every operation: validate > infer shape > allocate > run > record. */
#include <stdarg.h>
#include <stdio.h>

#include "core/assert.h"
#include "ops/apply.h"
#include "ops/observe.h"
#include "ops/run_kernel.h"
#include "ops/watch.h"

/* ---- errors */

tarn_status tarn__call_fail(const tarn__call *call, tarn_status code, const char *format, ...)
{
    char text[640];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *label = call->manager->label;
    return tarn__fail(call->manager, code, "%s: %s", label != NULL ? label : call->op->name,
                      n < 0 ? "" : text);
}

/* ---- validate */

static bool is_float(uint8_t dtype) { return dtype == TARN_F32 || dtype == TARN_F64; }

/* The manager of the first operand that is not frozen, else of the first; NULL if every operand is
 * NULL, or frozen while one is missing: then the caller's manager is not known, that of the frozen
 * ones may be at work in another thread, and whatever left the operand NULL has said why. */
static tarn_manager *manager_of(const tarn__op *op, tarn_tensor *const *in)
{
    tarn_manager *first = NULL;
    bool missing = false;
    for (int i = 0; i < op->arity; i++) {
        if (in[i] == NULL) {
            missing = missing || (op->optional >> i & 1) == 0;
            continue;
        }
        if (!in[i]->frozen) return in[i]->manager;
        if (first == NULL) first = in[i]->manager;
    }
    return missing ? NULL : first;
}

static tarn_status check_dtypes(const tarn__call *call)
{
    const tarn__op *op = call->op;
    const tarn_tensor *first = NULL;
    int first_i = 0;
    for (int i = 0; i < op->arity; i++) {
        const tarn_tensor *t = call->in[i];
        if (t == NULL || (op->any_dtype >> i & 1) != 0) continue;
        if (!is_float(t->layout.dtype))
            return tarn__call_fail(call, TARN_EDTYPE,
                                   "%s is %s; float32 or float64 is needed (tarn_cast converts)",
                                   op->operands[i], tarn_dtype_name((tarn_dtype)t->layout.dtype));
        if (first == NULL) {
            first = t;
            first_i = i;
        } else if (t->layout.dtype != first->layout.dtype) {
            return tarn__call_fail(
                call, TARN_EDTYPE, "%s is %s, %s is %s; one type is needed (tarn_cast converts)",
                op->operands[first_i], tarn_dtype_name((tarn_dtype)first->layout.dtype),
                op->operands[i], tarn_dtype_name((tarn_dtype)t->layout.dtype));
        }
    }
    return TARN_OK;
}

/* Operand i has ended. Of several its name tells which. */
static tarn_status fail_stale(const tarn__call *call, int i)
{
    char reader[160];
    const char *label = call->manager->label;
    if (label == NULL) label = call->op->name;
    if (call->op->arity > 1)
        (void)snprintf(reader, sizeof(reader), "%s: %s", label, call->op->operands[i]);
    (void)tarn__readable(call->in[i], call->op->arity > 1 ? reader : label);
    return TARN_ESTALE;
}

tarn_status tarn__call_check(const tarn__call *call)
{
    const tarn__op *op = call->op;
    for (int i = 0; i < op->arity; i++) {
        const tarn_tensor *t = call->in[i];
        if (t == NULL) {
            if ((op->optional >> i & 1) != 0) continue;
            return tarn__call_fail(
                call, TARN_EARG, "operand %s is NULL, but no call before failed: was it ever made?",
                op->operands[i]);
        }
        if (t->manager != call->manager)
            return tarn__call_fail(call, TARN_ESTATE,
                                   "operand %s belongs to another manager than the first operand "
                                   "(tarn_module_freeze lets every manager read a module)",
                                   op->operands[i]);
        if (t->ended_by != TARN__ALIVE) return fail_stale(call, i);
    }
    return check_dtypes(call);
}

/* ---- run */

/* Whether the last two axes can go to a product as they are. */
static bool is_matrix(const tarn__layout *l)
{
    if (l->ndim < 2) return l->contiguous || l->strides[0] > 0;
    const int64_t rows = l->dims[l->ndim - 2], columns = l->dims[l->ndim - 1];
    const int64_t row = l->strides[l->ndim - 2], column = l->strides[l->ndim - 1];
    const bool by_rows = (columns <= 1 || column == 1) && (rows <= 1 || row >= columns);
    const bool by_columns = (rows <= 1 || row == 1) && (columns <= 1 || column >= rows);
    return by_rows || by_columns;
}

/* Whether neighbours in a row lie a line of the cache apart, and those in a column side by side: a
 * kernel that reads it by rows would take a line for each element. A copy takes each line once, and
 * the sum of a matrix of 1024 x 1024 and its transpose a fourth of the time. */
static bool lies_across(const tarn__layout *l)
{
    enum { LINE = 16, MANY = 4096 };
    bool has_columns = false;
    if (l->numel < MANY || l->strides[l->ndim - 1] < LINE) return false;
    for (int i = 0; i < l->ndim; i++) {
        if (l->strides[i] == 0 && l->dims[i] > 1) return false; /* the copy would be larger */
        has_columns = has_columns || (l->strides[i] == 1 && l->dims[i] >= LINE);
    }
    return has_columns;
}

static bool fits(const tarn__op *op, const tarn__layout *l)
{
    if (l->contiguous) return true;
    if (op->layout == TARN__STRIDED) return !op->by_element || !lies_across(l);
    return op->layout == TARN__MATRICES && is_matrix(l);
}

tarn_tensor *tarn__prepare_operand(const tarn__op *op, tarn_tensor *t)
{
    tarn__materialize(t);
    if (fits(op, &t->layout)) {
        tarn__ref(t);
        return t;
    }
    tarn__layout packed = t->layout;
    const tarn_status status = tarn__layout_pack(&packed);
    if (status != TARN_OK) {
        (void)tarn__fail(t->manager, status, "%s: an operand is too large to copy", op->name);
        return NULL;
    }
    const tarn__place before = tarn__enter_place(t->manager, op->name, TARN_KIND_WORKSPACE);
    tarn_tensor *copy = tarn__tensor_new(t->manager, &packed, TARN_UNINITIALIZED);
    tarn__leave_place(t->manager, before);
    if (copy != NULL) tarn__copy_observed(copy, t);
    return copy;
}

tarn_tensor *tarn__call_new_tensor(const tarn__call *call, tarn__layout *layout, tarn_kind kind)
{
    const tarn_status status = tarn__layout_pack(layout);
    if (status != TARN_OK) {
        (void)tarn__call_fail(call, status, "there would be too many elements to work with");
        return NULL;
    }
    const tarn__place before = tarn__enter_place(call->manager, call->op->name, kind);
    tarn_tensor *t = tarn__tensor_new(call->manager, layout, TARN_UNINITIALIZED);
    tarn__leave_place(call->manager, before);
    return t;
}

tarn_status tarn__take_scratch(tarn__call *call)
{
    const size_t bytes = call->op->scratch != NULL ? call->op->scratch(call) : 0;
    if (bytes == 0) return TARN_OK;
    tarn__layout layout = { .dtype = TARN_U8, .ndim = 1 };
    if (bytes > INT64_MAX)
        return tarn__call_fail(call, TARN_EOVERFLOW, "there would be too many bytes to work with");
    layout.dims[0] = (int64_t)bytes;
    call->scratch = tarn__call_new_tensor(call, &layout, TARN_KIND_WORKSPACE);
    return call->scratch != NULL ? TARN_OK : tarn_error_code(call->manager);
}

static tarn_status take_aux(tarn__call *call)
{
    tarn__layout layout = { 0 };
    call->op->aux(call, &layout);
    call->aux = tarn__call_new_tensor(call, &layout, TARN_KIND_ACTIVATION);
    return call->aux != NULL ? TARN_OK : tarn_error_code(call->manager);
}

/* Gives the output, whose layout is complete, its memory and runs the forward kernel. On failure
 * the output has ended. */
static void run(tarn__call *call, tarn_tensor *out, bool recorded)
{
    const tarn__op *op = call->op;
    tarn_status status = TARN_OK;
    TARN_ASSERT(call->in[0] != NULL); /* the first operand is never optional */
    const int type = call->in[0]->layout.dtype == TARN_F64;
    call->out = tarn__tensor_complete(out, TARN_UNINITIALIZED, tarn__tag_here(call->manager));
    if (call->out == NULL) return;
    if (recorded && op->aux != NULL) status = take_aux(call);
    if (status == TARN_OK && op->scratch != NULL) status = tarn__take_scratch(call);
    if (status == TARN_OK && call->out->layout.numel > 0 && !call->manager->dry) {
        const tarn__kernel kernel = op->forward[tarn__simd()][type];
        status = tarn__run_kernel(kernel, call, call->out);
        tarn__observe_call(kernel, call);
    }
    if (call->scratch != NULL) tarn__unref(call->scratch);
    call->scratch = NULL;
    if (status == TARN_OK) return;
    tarn__unref(call->out);
    call->out = NULL;
}

/* The same with operands that the operation may want otherwise. */
static void run_prepared(tarn__call *call, tarn_tensor *out, bool recorded)
{
    const int arity = call->op->arity;
    tarn_tensor *given[TARN__MAX_OPERANDS];
    bool ready = true;
    for (int i = 0; i < arity; i++) {
        given[i] = call->in[i];
        if (given[i] == NULL) continue;
        call->in[i] = ready ? tarn__prepare_operand(call->op, given[i]) : NULL;
        ready = call->in[i] != NULL;
    }
    if (ready) run(call, out, recorded);
    else tarn__tensor_cancel(out);
    for (int i = 0; i < arity; i++) {
        if (call->in[i] != NULL) tarn__unref(call->in[i]);
        call->in[i] = given[i];
    }
}

/* ---- record */

bool tarn__call_wants_record(const tarn__call *call, uint8_t dtype)
{
    const tarn__op *op = call->op;
    if (call->wanted == 0 || !tarn__recording(call->manager) || !is_float(dtype)) return false;
    return !op->stops_gradient && (op->is_view || op->backward[0][0] != NULL);
}

static tarn_tensor *run_call(tarn__call *call)
{
    int64_t offset = 0;
    if (!call->plain && tarn__call_check(call) != TARN_OK) return NULL;
    tarn_tensor *out = tarn__tensor_begin(call->manager);
    if (out == NULL) return NULL;
    tarn_status status = call->op->infer(call, &out->layout, &offset);
    if (status == TARN_OK && !call->op->is_view) {
        status = tarn__layout_pack(&out->layout);
        if (status != TARN_OK)
            (void)tarn__call_fail(call, status, "the result would hold too many elements");
    }
    if (status != TARN_OK) {
        tarn__tensor_cancel(out);
        return NULL;
    }
    const bool recorded = tarn__call_wants_record(call, out->layout.dtype);
    if (call->op->is_view) call->out = tarn__tensor_complete_view(out, call->in[0], offset);
    else (call->plain ? run : run_prepared)(call, out, recorded);
    if (call->out != NULL && call->manager->watch != 0 && tarn__watch_forward(call) != TARN_OK) {
        tarn__unref(call->out);
        call->out = NULL;
    }
    if (call->out != NULL && recorded && call->manager->recorder->record(call) != TARN_OK) {
        tarn__unref(call->out);
        call->out = NULL;
    }
    if (call->aux != NULL) tarn__unref(call->aux);
    return tarn__adopt(call->out);
}

/* ---- operands */

/* Takes the operands over, if they are what operations usually get: of one manager, alive, of one
 * float type, and plain. Then nothing of them needs to be checked or prepared. */
static bool take_plain(tarn__call *call, tarn_tensor *const *in)
{
    const tarn__op *op = call->op;
    if (in[0] == NULL || !is_float(in[0]->layout.dtype)) return false;
    for (int i = 0; i < op->arity; i++) {
        tarn_tensor *t = in[i];
        if (t == NULL && (op->optional >> i & 1) != 0) continue;
        if (t == NULL || t->manager != call->manager || t->ended_by != TARN__ALIVE) return false;
        if (t->layout.dtype != in[0]->layout.dtype && (op->any_dtype >> i & 1) == 0) return false;
        if (!tarn__is_plain(t)) return false;
        call->in[i] = t;
        call->wanted |= (uint8_t)(t->requires_grad << i);
    }
    return true;
}

/* Takes any operands over. Frozen ones of other managers get handles here, which stand in borrowed
 * and are the caller's to unref. False with the error held. */
static bool take_any(tarn__call *call, tarn_tensor *const *in, tarn_tensor **borrowed)
{
    bool ready = true;
    call->wanted = 0;
    for (int i = 0; i < call->op->arity; i++) {
        call->in[i] = in[i];
        if (in[i] == NULL) continue;
        if (in[i]->frozen && in[i]->manager != call->manager)
            call->in[i] = borrowed[i] = tarn__tensor_borrow(call->manager, in[i]);
        if (call->in[i] == NULL) ready = false;
        else call->wanted |= (uint8_t)(call->in[i]->requires_grad << i);
    }
    return ready;
}

static tarn_tensor *run_any(tarn__call *call, tarn_tensor *const *in,
                            tarn_tensor *(*run_it)(tarn__call *call))
{
    tarn_tensor *borrowed[TARN__MAX_OPERANDS] = { NULL };
    tarn_tensor *out = take_any(call, in, borrowed) ? run_it(call) : NULL;
    for (int i = 0; i < TARN__MAX_OPERANDS; i++)
        if (borrowed[i] != NULL) tarn__unref(borrowed[i]);
    return out;
}

tarn_tensor *tarn__apply_by(const tarn__op *op, tarn_tensor *const *in, const tarn__attr *attr,
                            tarn_tensor *(*run_it)(tarn__call *call))
{
    TARN_ASSERT(op->arity >= 1 && op->arity <= TARN__MAX_OPERANDS);
    tarn_manager *tm = manager_of(op, in);
    if (tm == NULL) return NULL;
    tarn__call call = { .op = op, .manager = tm, .attr = attr };
    const char *label = tm->label;
    if (label == NULL) tm->label = op->name;
    const tarn__place before = tarn__enter_place(tm, op->name, TARN_KIND_ACTIVATION);
    call.plain = take_plain(&call, in);
    tarn_tensor *out = call.plain ? run_it(&call) : run_any(&call, in, run_it);
    tarn__leave_place(tm, before);
    tm->label = label;
    return out;
}

tarn_tensor *tarn__apply(const tarn__op *op, tarn_tensor *const *in, const tarn__attr *attr)
{
    return tarn__apply_by(op, in, attr, run_call);
}

tarn_tensor *tarn__apply1(const tarn__op *op, tarn_tensor *x, const tarn__attr *attr)
{
    TARN_ASSERT(op->arity == 1);
    tarn_tensor *const in[] = { x };
    return tarn__apply(op, in, attr);
}

tarn_tensor *tarn__apply2(const tarn__op *op, tarn_tensor *a, tarn_tensor *b,
                          const tarn__attr *attr)
{
    TARN_ASSERT(op->arity == 2);
    tarn_tensor *const in[] = { a, b };
    return tarn__apply(op, in, attr);
}
