/* SPDX-License-Identifier: MIT
 * program.c - programs as records: made, extended, compared, freed. */
#include "autograd/program.h"

#include <stdio.h>
#include <string.h>

#include "core/size.h"

/* ---- making and ending */

tarn__program *tarn__program_new(tarn_manager *tm)
{
    tarn__program *p = tarn__records_alloc(tm->pool, sizeof(*p));
    if (p == NULL) return NULL;
    p->tm = tm;
    p->values.bytes = sizeof(tarn__value);
    p->views.bytes = sizeof(tarn__view);
    p->instructions.bytes = sizeof(tarn__instruction);
    p->handles.bytes = sizeof(tarn__handle);
    p->modes.bytes = sizeof(tarn__mode);
    p->inputs.bytes = sizeof(tarn__input);
    p->labels.bytes = sizeof(tarn__label);
    p->owners.bytes = sizeof(tarn__owner);
    return p;
}

static void free_array(const tarn__program *p, const tarn__array *a)
{
    if (a->items != NULL) tarn__records_free(p->tm->pool, a->items, (size_t)a->room * a->bytes);
}

void tarn__program_free(tarn__program *p)
{
    if (p == NULL) return;
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        if (v->place == TARN__VALUE_CONSTANT) tarn__records_free(p->tm->pool, v->data, v->bytes);
    }
    const tarn__array *const arrays[] = { &p->values, &p->views,  &p->instructions, &p->handles,
                                          &p->modes,  &p->inputs, &p->labels,       &p->owners };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) free_array(p, arrays[i]);
    tarn__records_free(p->tm->pool, p, sizeof(*p));
}

void tarn__program_refuse(tarn__program *p, const char *why, bool for_good)
{
    if (p->refused != NULL && (p->for_good || !for_good)) return;
    p->refused = why;
    p->for_good = for_good;
}

void *tarn__program_push(tarn__program *p, tarn__array *a)
{
    enum { FIRST = 16 };
    if (a->n == a->room) {
        const int32_t room = a->room == 0 ? FIRST : 2 * a->room;
        size_t bytes = 0;
        void *items = NULL;
        if (a->room < INT32_MAX / 2 && tarn__size_mul((size_t)room, a->bytes, &bytes))
            items = tarn__records_alloc(p->tm->pool, bytes);
        if (items == NULL) {
            tarn__program_refuse(p, "there was no memory to record the step", false);
            return NULL;
        }
        if (a->n > 0) memcpy(items, a->items, (size_t)a->n * a->bytes);
        free_array(p, a);
        a->items = items;
        a->room = room;
    }
    void *item = (unsigned char *)a->items + (size_t)a->n++ * a->bytes;
    memset(item, 0, a->bytes);
    return item;
}

/* ---- comparing two recordings */

bool tarn__same_layout(const tarn__layout *a, const tarn__layout *b)
{
    return a->dtype == b->dtype && tarn__same_shape(a, b) &&
           memcmp(a->strides, b->strides, a->ndim * sizeof(a->strides[0])) == 0;
}

static bool same_value(const tarn__value *a, const tarn__value *b)
{
    if (a->place != b->place || a->bytes != b->bytes) return false;
    if (a->place == TARN__VALUE_CONSTANT) return memcmp(a->data, b->data, a->bytes) == 0;
    return a->place == TARN__VALUE_INSIDE || a->place == TARN__VALUE_INPUT || a->data == b->data;
}

static bool same_view(const tarn__view *a, const tarn__view *b)
{
    return a->value == b->value && a->offset == b->offset &&
           tarn__same_layout(&a->tensor.layout, &b->tensor.layout);
}

/* Bits, so that NaN is itself. */
static bool same_double(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool same_attr(const tarn__instruction *x, const tarn__instruction *y)
{
    const tarn__attr *a = &x->attr, *b = &y->attr;
    return same_double(a->value, b->value) && same_double(a->value_b, b->value_b) &&
           (x->key >= 0 || a->key == b->key) && memcmp(a->sizes, b->sizes, sizeof(a->sizes)) == 0 &&
           a->n_sizes == b->n_sizes && a->axis == b->axis && a->axis_b == b->axis_b &&
           a->axes == b->axes && a->keep == b->keep && a->dtype == b->dtype &&
           a->choice == b->choice;
}

static bool same_action(const tarn__instruction *x, const tarn__instruction *y)
{
    const tarn__action *a = &x->action, *b = &y->action;
    return a->run == b->run && a->object == b->object && same_double(a->number, b->number) &&
           x->owner == y->owner;
}

/* What backward has of its attributes comes from forward, and may be indeterminate without any. */
static bool same_instruction(const tarn__instruction *a, const tarn__instruction *b)
{
    const bool forward = a->views[TARN__VIEW_DOUT] < 0;
    return a->kind == b->kind && a->arrived == b->arrived && a->key == b->key &&
           a->label == b->label && a->handle == b->handle && a->pass == b->pass &&
           a->kernel == b->kernel && a->call.op == b->call.op &&
           memcmp(a->call.add, b->call.add, sizeof(a->call.add)) == 0 &&
           memcmp(a->views, b->views, sizeof(a->views)) == 0 && (!forward || same_attr(a, b)) &&
           same_action(a, b);
}

static bool same_handle(const tarn__handle *a, const tarn__handle *b)
{
    return a->tensor == b->tensor && a->sequence == b->sequence && a->data == b->data &&
           a->grad == b->grad && a->requires_grad == b->requires_grad && a->frozen == b->frozen &&
           a->is_leaf == b->is_leaf && a->arrived == b->arrived;
}

static bool same_instructions(const tarn__program *a, const tarn__program *b, char *what,
                              size_t size)
{
    for (int32_t i = 0; i < a->instructions.n && i < b->instructions.n; i++) {
        const tarn__instruction *x = tarn__instruction_at(a, i), *y = tarn__instruction_at(b, i);
        if (same_instruction(x, y)) continue;
        const char *name = x->kind == TARN__RUN_CALL     ? x->call.op->name
                           : x->kind == TARN__RUN_ACTION ? x->action.name
                                                         : "gradient";
        (void)snprintf(what, size, "it is not the same in each call: instruction %d (%s) differs",
                       (int)i, name);
        return false;
    }
    if (a->instructions.n == b->instructions.n) return true;
    (void)snprintf(what, size, "it is not the same in each call: %d instructions, then %d",
                   (int)a->instructions.n, (int)b->instructions.n);
    return false;
}

bool tarn__program_equal(const tarn__program *a, const tarn__program *b, char *what, size_t size)
{
    (void)snprintf(what, size, "it does not work on the same tensors in each call");
    if (a->no_grad != b->no_grad || a->inputs.n != b->inputs.n || a->handles.n != b->handles.n ||
        a->modes.n != b->modes.n || a->has_result != b->has_result)
        return false;
    for (int32_t i = 0; i < a->inputs.n; i++)
        if (!tarn__same_layout(&tarn__input_at(a, i)->layout, &tarn__input_at(b, i)->layout) ||
            tarn__input_at(a, i)->value != tarn__input_at(b, i)->value)
            return false;
    for (int32_t i = 0; i < a->handles.n; i++)
        if (!same_handle(tarn__handle_at(a, i), tarn__handle_at(b, i))) return false;
    for (int32_t i = 0; i < a->modes.n; i++)
        if (tarn__mode_at(a, i)->mode != tarn__mode_at(b, i)->mode ||
            tarn__mode_at(a, i)->value != tarn__mode_at(b, i)->value)
            return false;
    if (!same_instructions(a, b, what, size)) return false;
    if (a->values.n != b->values.n || a->views.n != b->views.n) return false;
    for (int32_t i = 0; i < a->values.n; i++)
        if (!same_value(tarn__value_at(a, i), tarn__value_at(b, i))) {
            if (tarn__value_at(a, i)->place == TARN__VALUE_CONSTANT)
                (void)snprintf(what, size, "a constant of it is not the same in each call");
            return false;
        }
    for (int32_t i = 0; i < a->views.n; i++)
        if (!same_view(tarn__view_at(a, i), tarn__view_at(b, i))) return false;
    return true;
}
