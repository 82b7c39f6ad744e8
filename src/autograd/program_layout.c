/* SPDX-License-Identifier: MIT
 * program_layout.c - what of a step is computed in place, what memory it needs at least, and the
 * links from calls to memory. (program_offsets.c finds the places.)
 *
 *   lower bound == max over instructions of the sum of the bytes that live there
 *   arena       >= lower bound, and usually equal */
#include "autograd/program.h"
#include "core/assert.h"

/* ---- in place */

static tarn__value *value_of_view(const tarn__program *p, int32_t view)
{
    if (view < 0 || tarn__view_at(p, view)->value < 0) return NULL;
    return tarn__value_at(p, tarn__view_at(p, view)->value);
}

/* Whether the result of an elementwise operation may take the memory of its operand 0, which is
 * used here for the last time. */
static bool may_take(const tarn__program *p, const tarn__instruction *n, int32_t at)
{
    const tarn__value *to = value_of_view(p, n->views[TARN__VIEW_OUT]);
    const tarn__value *from = value_of_view(p, n->views[TARN__VIEW_IN]);
    if (to == NULL || from == NULL || to == from) return false;
    if (to->place != TARN__VALUE_INSIDE || from->place != TARN__VALUE_INSIDE) return false;
    if (to->first != at || from->last != at || from->bytes != to->bytes) return false;
    const tarn__view *out = tarn__view_at(p, n->views[TARN__VIEW_OUT]);
    const tarn__view *in = tarn__view_at(p, n->views[TARN__VIEW_IN]);
    if (out->offset != 0 || in->offset != 0 || !in->tensor.layout.contiguous) return false;
    if (in->tensor.layout.dtype != out->tensor.layout.dtype) return false;
    if (!tarn__same_shape(&in->tensor.layout, &out->tensor.layout)) return false;
    for (int k = 1; k < TARN__MAX_OPERANDS; k++) {
        const int32_t other = n->views[TARN__VIEW_IN + k];
        if (value_of_view(p, other) == from && other != n->views[TARN__VIEW_IN]) return false;
    }
    return true;
}

static void find_in_place(tarn__program *p)
{
    for (int32_t i = 0; i < p->instructions.n; i++) {
        const tarn__instruction *n = tarn__instruction_at(p, i);
        if (n->kind != TARN__RUN_CALL || n->views[TARN__VIEW_DOUT] >= 0 || !n->call.op->in_place ||
            !may_take(p, n, i))
            continue;
        tarn__value *to = value_of_view(p, n->views[TARN__VIEW_OUT]);
        const tarn__value *from = value_of_view(p, n->views[TARN__VIEW_IN]);
        to->home = from->home;
        p->n_in_place++;
    }
    /* A home lives as long as all that are in it. */
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        tarn__value *home = tarn__value_at(p, v->home);
        if (v->last > home->last) home->last = v->last;
    }
}

/* ---- the bound */

static size_t lower_bound(const tarn__program *p)
{
    size_t most = 0;
    for (int32_t at = 0; at < p->instructions.n; at++) {
        size_t sum = 0;
        for (int32_t i = 0; i < p->values.n; i++) {
            const tarn__value *v = tarn__value_at(p, i);
            if (tarn__has_home(p, i) && v->first <= at && at <= v->last)
                sum += tarn__planned_bytes(v);
        }
        if (sum > most) most = sum;
    }
    return most;
}

/* ---- all of it */

void tarn__program_lay_out(tarn__program *p)
{
    find_in_place(p);
    p->lower_bound = lower_bound(p);
    tarn__program_place(p);
    TARN_ASSERT(p->refused != NULL || tarn__program_check(p));
}

/* Every pair, by what it touches rather than by what was planned. */
bool tarn__program_check(const tarn__program *p)
{
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *a = tarn__value_at(p, i);
        if (a->place != TARN__VALUE_INSIDE || a->bytes == 0 || a->first < 0) continue;
        const tarn__value *at = tarn__value_at(p, a->home);
        if (at->offset % TARN__PLAN_QUANTUM != 0 || at->offset + a->bytes > p->arena_bytes)
            return false;
        for (int32_t j = 0; j < i; j++) {
            const tarn__value *b = tarn__value_at(p, j);
            if (b->place != TARN__VALUE_INSIDE || b->bytes == 0 || b->first < 0) continue;
            if (a->home == b->home || !tarn__live_together(a, b)) continue;
            const tarn__value *bt = tarn__value_at(p, b->home);
            if (at->offset < bt->offset + b->bytes && bt->offset < at->offset + a->bytes)
                return false;
        }
    }
    return true;
}

/* ---- links */

static unsigned char *memory_of(const tarn__program *p, const tarn__value *v, unsigned char *arena)
{
    if (v->place != TARN__VALUE_INSIDE) return v->data;
    return arena + tarn__value_at(p, v->home)->offset;
}

static tarn_tensor *linked(const tarn__program *p, int32_t view)
{
    return view < 0 ? NULL : &tarn__view_at(p, view)->tensor;
}

void tarn__program_link(tarn__program *p, unsigned char *arena)
{
    for (int32_t i = 0; i < p->views.n; i++) {
        tarn__view *view = tarn__view_at(p, i);
        if (view->value < 0) continue;
        const tarn__value *v = tarn__value_at(p, view->value);
        view->tensor.data = memory_of(p, v, arena) + view->offset;
        view->tensor.storage = v->place == TARN__VALUE_INSIDE ? NULL : v->storage;
    }
    for (int32_t i = 0; i < p->instructions.n; i++) tarn__instruction_at(p, i)->users = -1;
    for (int32_t i = 0; i < p->instructions.n; i++) {
        tarn__instruction *n = tarn__instruction_at(p, i);
        tarn__call *call = &n->call;
        for (int k = 0; k < TARN__MAX_OPERANDS; k++) {
            call->in[k] = linked(p, n->views[TARN__VIEW_IN + k]);
            call->din[k] = linked(p, n->views[TARN__VIEW_DIN + k]);
        }
        call->out = linked(p, n->views[TARN__VIEW_OUT]);
        call->aux = linked(p, n->views[TARN__VIEW_AUX]);
        call->scratch = linked(p, n->views[TARN__VIEW_SCRATCH]);
        call->dout = linked(p, n->views[TARN__VIEW_DOUT]);
        call->attr = &n->attr;
        if (n->key < 0) continue;
        n->users = tarn__instruction_at(p, n->key)->users;
        tarn__instruction_at(p, n->key)->users = i;
    }
}
