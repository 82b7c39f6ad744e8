/* SPDX-License-Identifier: MIT
 * program.h - what a step does to memory, as a flat list of instructions that can run without it.
 *
 * A *value* is the memory of one storage. Those made in the step live in the plan's arena; those
 * from outside (parameters, gradients, buffers) stay where they are; inputs are bound anew in each
 * run. A *view* is a layout at an offset of a value, as a tensor that kernels read.
 *
 *   value inside:  lives from instruction `first` to `last`; at `offset` of the arena
 *   value outside: guarded by a handle, or an action's own */
#ifndef TARN_AUTOGRAD_PROGRAM_H
#define TARN_AUTOGRAD_PROGRAM_H

#include "core/observer.h"
#include "ops/op.h"

typedef enum tarn__value_place {
    TARN__VALUE_INSIDE,
    TARN__VALUE_OUTSIDE,
    TARN__VALUE_INPUT,
    TARN__VALUE_RESULT, /* the tensor that tarn_plan_run returns */
    TARN__VALUE_CONSTANT
} tarn__value_place;

typedef struct tarn__value {
    tarn__storage *storage; /* when it was recorded */
    unsigned char *data;    /* of a constant: owned */
    size_t bytes;
    size_t offset;       /* inside: in the arena */
    int32_t first, last; /* instructions; -1: none */
    int32_t views;       /* the newest of its views; -1: none */
    int32_t home;        /* inside: the value whose memory it has, itself unless in place */
    uint8_t place;
    bool written; /* by an instruction */
    bool stored;  /* the first instruction writes it */
    bool touched; /* changed outside actions */
    bool acted;   /* changed by an action */
    bool guarded; /* outside: a handle or an action answers for it */
    bool is_gradient;
} tarn__value;

typedef struct tarn__view {
    int32_t value; /* -1: only its layout counts */
    int32_t next;  /* of the same value; -1 */
    size_t offset;
    tarn_tensor tensor;
} tarn__view;

typedef enum tarn__instruction_kind {
    TARN__RUN_CALL,
    TARN__RUN_ZERO,  /* writes zeros into a value inside */
    TARN__RUN_EMPTY, /* lets a value outside read as zeros */
    TARN__RUN_FILL,  /* writes such zeros, if they are pending */
    TARN__RUN_LEAF,
    TARN__RUN_ACTION
} tarn__instruction_kind;

/* The views of a call, in this order. */
enum {
    TARN__VIEW_IN,
    TARN__VIEW_OUT = TARN__MAX_OPERANDS,
    TARN__VIEW_AUX,
    TARN__VIEW_SCRATCH,
    TARN__VIEW_DOUT,
    TARN__VIEW_DIN,
    TARN__VIEWS = TARN__VIEW_DIN + TARN__MAX_OPERANDS
};

typedef struct tarn__instruction {
    uint8_t kind;
    bool arrived;   /* leaf */
    int32_t key;    /* the action that draws the call's key; -1 */
    int32_t users;  /* of an action that draws: the first call with its key; of those: the next */
    int32_t label;  /* in whose name it runs; -1 */
    int32_t handle; /* leaf */
    uint32_t pass;  /* the backward pass that it belongs to; 0 */
    tarn__kernel kernel;
    tarn__call call;
    tarn__attr attr;
    int32_t views[TARN__VIEWS]; /* -1: none. Zero, empty and fill: [0] is the whole value */
    tarn__action action;
    uint64_t owner; /* the action's owner's serial */
} tarn__instruction;

/* A tensor from outside, and how it was. Nothing holds it: a handle that was used again has another
 * sequence. */
typedef struct tarn__handle {
    tarn_tensor *tensor;
    tarn__storage *storage;
    void *data;
    tarn_tensor *grad;
    uint64_t sequence;
    bool requires_grad, frozen;
    bool is_leaf; /* its gradient matters: how it was is in grad, and whether it had arrived here */
    bool arrived;
} tarn__handle;

typedef struct tarn__mode {
    const bool *mode;
    const tarn__object *owner;
    uint64_t serial;
    bool value;
} tarn__mode;

typedef struct tarn__input {
    tarn_tensor *tensor; /* while recording */
    tarn__layout layout;
    int32_t value;
    size_t offset; /* in its storage */
    const tarn__storage
        *apart; /* one that is none of those the program changes: it has been seen */
} tarn__input;

typedef struct tarn__label {
    char text[128];
} tarn__label;

typedef struct tarn__owner_of_op {
    const tarn__object *object;
    uint64_t serial;
} tarn__owner_of_op;

/* n records of `bytes` bytes. */
typedef struct tarn__array {
    void *items; /* owned: (room) */
    int32_t n, room;
    size_t bytes;
} tarn__array;

typedef struct tarn__program {
    tarn_manager *tm;
    tarn__array values, views, instructions, handles, modes, inputs, labels, owners;
    uint64_t mark;  /* what storages made in the step are marked with */
    uint64_t begin; /* the last handle made before the step */
    uint64_t objects_made, objects_ended;
    uint64_t storages, tensors; /* there were before the step */
    uint32_t passes, pass, depth;
    bool no_grad, has_result;
    const char *refused; /* why it cannot be run; NULL: it can */
    bool for_good;       /* and never will be */
    size_t arena_bytes, lower_bound;
    int32_t n_in_place;
} tarn__program;

#define TARN__AT(type, name, list)                                           \
    static inline type *tarn__##name##_at(const tarn__program *p, int32_t i) \
    {                                                                        \
        return (type *)p->list.items + i;                                    \
    }
TARN__AT(tarn__value, value, values)
TARN__AT(tarn__view, view, views)
TARN__AT(tarn__instruction, instruction, instructions)
TARN__AT(tarn__handle, handle, handles)
TARN__AT(tarn__mode, mode, modes)
TARN__AT(tarn__input, input, inputs)
TARN__AT(tarn__label, label, labels)
TARN__AT(tarn__owner_of_op, owner, owners)
#undef TARN__AT

/* ---- the record itself (program.c) */

/* An empty program; NULL without memory, and nothing held. */
tarn__program *tarn__program_new(tarn_manager *tm);

void tarn__program_free(tarn__program *p);

/* Why it cannot be run, unless a reason stands already. */
void tarn__program_refuse(tarn__program *p, const char *why, bool for_good);

/* A new record of one of the arrays, zeroed; NULL without memory, which the program then says. */
void *tarn__program_push(tarn__program *p, tarn__array *array);

/* Whether two recordings did the same; if not, what differs is in `what`. */
bool tarn__program_equal(const tarn__program *a, const tarn__program *b, char *what, size_t size);

/* Whether they agree in type, shape and strides. */
bool tarn__same_layout(const tarn__layout *a, const tarn__layout *b);

/* ---- recording (program_record.c) */

/* A program of which the recording has begun, with these inputs; NULL without memory, and nothing
 * held. */
tarn__program *tarn__program_begin(tarn_manager *tm, tarn_list inputs);

/* Copies the step's result to this tensor, which the plan owns, and may have made just now. */
void tarn__program_result(tarn__program *p, tarn_tensor *result, tarn_tensor *from, bool is_new);

/* Ends the recording, after everything made in the step has ended. */
void tarn__program_end(tarn__program *p);

/* ---- memory (program_layout.c) */

enum { TARN__PLAN_QUANTUM = 64 };

/* What the value takes in the arena. */
static inline size_t tarn__planned_bytes(const tarn__value *v)
{
    return (v->bytes + TARN__PLAN_QUANTUM - 1) / TARN__PLAN_QUANTUM * TARN__PLAN_QUANTUM;
}

/* Whether the value has memory of its own in the arena. */
static inline bool tarn__has_home(const tarn__program *p, int32_t i)
{
    const tarn__value *v = tarn__value_at(p, i);
    return v->place == TARN__VALUE_INSIDE && v->home == i && v->first >= 0 && v->bytes > 0;
}

static inline bool tarn__live_together(const tarn__value *a, const tarn__value *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Finds the offsets of all values that have a home, and the size of the arena (program_offsets.c).
 */
void tarn__program_place(tarn__program *p);

/* Finds what can be computed in place, and the place of every value in the arena. */
void tarn__program_lay_out(tarn__program *p);

/* Whether no two values that live at one time overlap: an independent check. */
bool tarn__program_check(const tarn__program *p);

/* Points every view to its memory, with the arena here. */
void tarn__program_link(tarn__program *p, unsigned char *arena);

/* ---- guards (program_guards.c) */

typedef enum tarn__guard {
    TARN__GUARD_HOLDS,
    TARN__GUARD_INPUTS,
    TARN__GUARD_MODES,
    TARN__GUARD_TENSORS,
    TARN__GUARD_GRADIENTS,
    TARN__GUARD_ENDED /* for good: something it needs has ended */
} tarn__guard;

/* Whether everything is as when the program was recorded; if not, what differs is in `what`. */
tarn__guard tarn__program_guard(tarn__program *p, tarn_list inputs, char *what, size_t size);

/* ---- running (program_run.c) */

/* Runs it on these inputs, for which its guards hold. */
tarn_status tarn__program_run(tarn__program *p, tarn_list inputs);

#endif
