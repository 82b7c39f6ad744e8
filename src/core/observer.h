/* SPDX-License-Identifier: MIT
 * observer.h - whoever follows what a program's function does to memory, so that the same can be
 * done again without the function. There is one at a time, and none but while a plan records.
 *
 * It is told of every kernel that ran; of elements that come from nowhere (constants, zeros); of
 * what happens to the gradients of leaves; of modes that were asked for; of everything else that a
 * step changes, as an action; and of all that cannot be done again. Whatever writes into tensors
 * goes through tarn__touch, of which the observer is told as well: a write that nothing explains is
 * found. */
#ifndef TARN_CORE_OBSERVER_H
#define TARN_CORE_OBSERVER_H

#include "core/manager.h"

/* Something that a step does besides running kernels. */
typedef struct tarn__action {
    /* Does it again. One that draws random numbers stores the key that operations get. */
    tarn_status (*run)(void *object, double number, uint64_t *key);
    void *object;
    double number;
    const tarn__object *owner; /* whose end makes it impossible */
    const char *name;          /* what it is called in a table: a constant text */
    void *state;               /* what it changes besides tensors: state_bytes bytes */
    size_t state_bytes;
    bool draws;
    uint64_t key; /* of an action that draws: what operations get now */
} tarn__action;

typedef tarn_status (*tarn__call_function)(const struct tarn__call *call);

typedef struct tarn__observer {
    /* The kernel has run. */
    void (*call)(tarn_manager *tm, tarn__call_function kernel, const struct tarn__call *call);
    /* All elements of the new tensor t were given values that depend on no memory. */
    void (*constant)(tarn_manager *tm, tarn_tensor *t);
    /* Pending zeros of t's storage are written. */
    void (*zero)(tarn_manager *tm, const tarn_tensor *t);
    /* The storage of t reads as zeros from now on. */
    void (*empty)(tarn_manager *tm, const tarn_tensor *t);
    /* The storage of t changes, or has just changed. */
    void (*touch)(tarn_manager *tm, tarn_tensor *t);
    /* A view of t is made. */
    void (*view)(tarn_manager *tm, tarn_tensor *t);
    /* The gradient of a leaf is complete in memory (or empty) from now on. */
    void (*leaf)(tarn_manager *tm, tarn_tensor *t, bool arrived);
    /* A backward pass begins or ends. */
    void (*pass)(tarn_manager *tm, bool begins);
    /* A mode was asked for; it lives as long as the owner. */
    void (*mode)(tarn_manager *tm, const bool *mode, const tarn__object *owner);
    /* An action begins; all until its end belongs to it. */
    void (*action)(tarn_manager *tm, const tarn__action *action);
    void (*action_end)(tarn_manager *tm);
    /* What happens now cannot be done again without the program: `what` is a constant text. */
    void (*refuse)(tarn_manager *tm, const char *what);
    /* The same, if t was there before the recording began. */
    void (*refuse_outside)(tarn_manager *tm, const tarn_tensor *t, const char *what);
} tarn__observer;

static inline void tarn__observe_refusal(tarn_manager *tm, const char *what)
{
    if (tm->observer != NULL) tm->observer->refuse(tm, what);
}

static inline void tarn__observe_constant(tarn_tensor *t)
{
    if (t->manager->observer != NULL) t->manager->observer->constant(t->manager, t);
}

static inline void tarn__observe_mode(tarn_manager *tm, const bool *mode, const tarn__object *owner)
{
    if (tm->observer != NULL) tm->observer->mode(tm, mode, owner);
}

static inline void tarn__observe_action(tarn_manager *tm, const tarn__action *action)
{
    if (tm->observer != NULL) tm->observer->action(tm, action);
}

static inline void tarn__observe_action_end(tarn_manager *tm)
{
    if (tm->observer != NULL) tm->observer->action_end(tm);
}

#endif
