/* SPDX-License-Identifier: MIT
 * scope.c - scopes: who owns a handle, and when it ends.
 *
 * The open scopes are frames on a stack of the manager. A frame links the handles it owns, so that
 * each can leave early in constant time. */
#include "core/assert.h"
#include "core/manager.h"
#include "core/size.h"

/* ---- lists of handles */

static void list_push(tarn_tensor **list, tarn_tensor *t)
{
    t->prev = NULL;
    t->next = *list;
    if (*list != NULL) (*list)->prev = t;
    *list = t;
}

static void list_remove(tarn_tensor **list, tarn_tensor *t)
{
    if (t->prev != NULL) t->prev->next = t->next;
    else *list = t->next;
    if (t->next != NULL) t->next->prev = t->prev;
    t->prev = t->next = NULL;
}

/* ---- owners */

/* A hook may have retained what nobody owned. */
static void leave_retained(tarn_tensor *t)
{
    if (t->retains > 0) list_remove(&t->manager->retained, t);
}

tarn_tensor *tarn__adopt(tarn_tensor *t)
{
    if (t == NULL) return NULL;
    tarn_manager *tm = t->manager;
    leave_retained(t);
    t->owner = TARN__OWNER_SCOPE;
    t->scope = tm->scopes_own ? tm->depth : 0;
    list_push(&tm->frames[t->scope].first, t);
    return t;
}

tarn_tensor *tarn__own(tarn_tensor *t)
{
    if (t == NULL) return NULL;
    leave_retained(t);
    t->owner = TARN__OWNER_OBJECT;
    return t;
}

void tarn__tensor_end(tarn_tensor *t, tarn__ended_by by)
{
    tarn_manager *tm = t->manager;
    if (t->owner == TARN__OWNER_SCOPE) list_remove(&tm->frames[t->scope].first, t);
    t->owner = TARN__OWNER_NONE;
    if (t->retains > 0) {
        if (t->graph_freed) t->requires_grad = false; /* goes on as a constant */
        list_push(&tm->retained, t);
    } else {
        t->ended_by = (uint8_t)by;
        if (t->refs > 1) tarn__tensor_spend(t); /* else it goes as a whole */
    }
    tarn__unref(t);
}

/* ---- lives, for users */

tarn_tensor *tarn_retain(tarn_tensor *t)
{
    if (t == NULL || !tarn__readable(t, "tarn_retain")) return t;
    if (t->retains == UINT32_MAX / 2) {
        (void)tarn__fail(t->manager, TARN_ELIMIT, "tarn_retain: one tensor retained too often");
        return t;
    }
    if (t->retains++ == 0) t->manager->stats.retained++;
    tarn__ref(t);
    return t;
}

static void release_retained(tarn_tensor *t)
{
    tarn_manager *tm = t->manager;
    if (--t->retains == 0) {
        tm->stats.retained--;
        if (t->owner == TARN__OWNER_NONE) {
            list_remove(&tm->retained, t);
            tarn__tensor_spend(t);
            t->ended_by = TARN__ENDED_BY_RELEASE;
        }
    }
    tarn__unref(t);
}

void tarn_release(tarn_tensor *t)
{
    if (t == NULL) return;
    if (t->retains > 0) {
        release_retained(t);
    } else if (t->owner == TARN__OWNER_SCOPE) {
        tarn__tensor_end(t, TARN__ENDED_BY_RELEASE);
    } else if (t->owner == TARN__OWNER_OBJECT) {
        char text[TARN__DESCRIPTION_BYTES];
        (void)tarn__fail(
            t->manager, TARN_ESTATE,
            "tarn_release: %s belongs to its module, loader or leaf and was not retained",
            tarn__describe(t, text));
    } else {
        (void)tarn__readable(t, "tarn_release");
    }
}

tarn_tensor *tarn_escape(tarn_tensor *t)
{
    if (t == NULL || !tarn__readable(t, "tarn_escape")) return t;
    tarn_manager *tm = t->manager;
    if (t->owner != TARN__OWNER_SCOPE || t->scope != tm->depth || tm->depth == 0) return t;
    list_remove(&tm->frames[t->scope].first, t);
    t->scope--;
    list_push(&tm->frames[t->scope].first, t);
    return t;
}

tarn_tensor *tarn_keep(tarn_tensor *t)
{
    if (t != NULL && tarn__readable(t, "tarn_keep")) t->kept = true;
    return t;
}

/* ---- scopes */

static bool grow_frames(tarn_manager *tm)
{
    if (tm->depth + 1 < tm->n_frames) return true;
    size_t bytes;
    if (tm->n_frames > UINT32_MAX / 2 ||
        !tarn__size_mul(tm->n_frames * (size_t)2, sizeof(tarn__frame), &bytes))
        return false;
    tarn__frame *frames = tarn__records_alloc(tm->pool, bytes);
    if (frames == NULL) return false;
    for (uint32_t i = 0; i < tm->n_frames; i++) frames[i] = tm->frames[i];
    tarn__records_free(tm->pool, tm->frames, tm->n_frames * sizeof(*frames));
    tm->frames = frames;
    tm->n_frames *= 2;
    return true;
}

static tarn_scope begin(tarn_manager *tm, bool no_grad)
{
    if (tm == NULL) return (tarn_scope){ 0 };
    if (!grow_frames(tm)) {
        (void)tarn__fail_memory(tm, "scope", tm->n_frames * sizeof(tarn__frame));
        return (tarn_scope){ 0 };
    }
    const bool inherited = tm->frames[tm->depth].no_grad;
    tarn__frame *frame = &tm->frames[++tm->depth];
    *frame = (tarn__frame){
        .tape_mark = tm->recorder != NULL ? tm->recorder->mark(tm) : 0,
        .serial = ++tm->serial,
        .no_grad = no_grad || inherited,
    };
    return (tarn_scope){ tm, tm->depth, frame->serial };
}

tarn_scope tarn_scope_begin(tarn_manager *tm) { return begin(tm, false); }
tarn_scope tarn_no_grad_begin(tarn_manager *tm) { return begin(tm, true); }

static void end_innermost(tarn_manager *tm)
{
    tarn__frame *frame = &tm->frames[tm->depth];
    if (tm->recorder != NULL) tm->recorder->truncate(tm, frame->tape_mark, tm->depth);
    while (frame->first != NULL) tarn__tensor_end(frame->first, TARN__ENDED_BY_SCOPE);
    tm->depth--;
}

void tarn_scope_end(tarn_scope scope)
{
    tarn_manager *tm = scope.manager;
    if (tm == NULL || scope.depth == 0 || scope.depth > tm->depth) return;
    if (tm->frames[scope.depth].serial != scope.serial) return;
    if (scope.depth <= tm->held) {
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_scope_end: called in a hook, or in a function of tarn_checkpoint, "
                         "for a scope that was opened outside");
        return;
    }
    while (tm->depth >= scope.depth) end_innermost(tm);
}

void tarn_scope_cleanup(tarn_scope *scope)
{
    if (scope != NULL) tarn_scope_end(*scope);
}
