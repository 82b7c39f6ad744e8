/* SPDX-License-Identifier: MIT
 * tensor.h - the tensor handle and its storage, as the library sees them.
 *
 *   storage->refs  == handles that share it
 *   tensor->refs   == 1 for its scope or owner + retains + references by the tape
 *   tensor->saves  == operations on the tape that will read its elements in backward
 *
 * A handle lets go of its storage when its life has ended (ended_by) and saves == 0; the handle
 * itself is freed when refs == 0. */
#ifndef TARN_CORE_TENSOR_H
#define TARN_CORE_TENSOR_H

#include <tarn/tensor.h>

#include "core/assert.h"

/* Where the elements are: sizes and strides in elements. */
typedef struct tarn__layout {
    int64_t numel;
    uint8_t ndim;
    uint8_t dtype;   /* a tarn_dtype */
    bool contiguous; /* no gaps, last axis fastest (true of every empty tensor) */
    int64_t dims[TARN_MAX_DIMS];
    int64_t strides[TARN_MAX_DIMS];
} tarn__layout;

typedef struct tarn__storage {
    struct tarn__block *block; /* NULL: memory that is not the pool's */
    void *data;
    size_t bytes;
    uint32_t refs;
    uint32_t version; /* counts the writes after creation */
    uint64_t
        saved_in; /* the last backward pass that reads this gradient, or walk that counted it */
    uint64_t recorded; /* by an observer: which recording, and the number of the storage in it */
    bool zero_pending; /* reads as zeros, but the zeros are not written yet */
    bool borrowed;     /* the memory of a frozen tensor, which outlives this */
    bool read_only;    /* frozen, through whatever handle */
    bool is_gradient;  /* of a leaf */
    void (*free_memory)(void *context, void *data); /* of adopted memory; may be NULL */
    void *context;
} tarn__storage;

typedef enum tarn__owner {
    TARN__OWNER_NONE,  /* an internal temporary, or kept by tarn_retain alone */
    TARN__OWNER_SCOPE, /* the scope number `scope` */
    TARN__OWNER_OBJECT /* a module, optimiser, loader or leaf */
} tarn__owner;

typedef enum tarn__ended_by {
    TARN__ALIVE,
    TARN__ENDED_BY_BACKWARD,
    TARN__ENDED_BY_RELEASE,
    TARN__ENDED_BY_SCOPE,
    TARN__ENDED_BY_OWNER
} tarn__ended_by;

typedef enum tarn__grad_state {
    TARN__GRAD_EMPTY,   /* reads as zeros; the next write stores */
    TARN__GRAD_ARRIVED, /* the next write adds */
    TARN__GRAD_CONSUMED /* used by a step: still readable, the next write stores */
} tarn__grad_state;

enum { TARN__TENSOR_NAME_BYTES = 64 }; /* with the final NUL */

struct tarn__node;

/* Something to be called when the gradient of a tensor is complete. The first of a tensor's holds
 * last_use for all. */
typedef struct tarn__hook {
    struct tarn__hook *next;
    void (*call)(void *context, tarn_tensor *t, tarn_tensor *gradient);
    void *context;
    const struct tarn__node *last_use; /* of a leaf: the last node of the running pass that adds */
} tarn__hook;

/* What every operation touches comes first, in as few lines of 64 bytes as can be; what is zero at
 * first lies together. */
struct tarn_tensor {
    void *data;             /* first element; NULL once the storage was let go */
    tarn__storage *storage; /* shared; NULL once let go */
    tarn_manager *manager;

    uint32_t refs, retains, saves;
    uint32_t scope;   /* depth of the owning scope, while owner is TARN__OWNER_SCOPE */
    uint32_t target;  /* in a pass that is asked for this tensor's gradient: its number from 1 */
    uint8_t owner;    /* a tarn__owner */
    uint8_t ended_by; /* a tarn__ended_by */
    bool is_view;
    bool kept; /* tarn_keep: backward leaves it readable */
    bool requires_grad;
    bool graph_freed;   /* the operation that made it has left the tape */
    uint8_t grad_state; /* a tarn__grad_state, of a leaf */
    bool frozen;        /* may be read from every thread: nothing here changes any more */

    struct tarn__node
        *node;         /* the recorded operation that made it; NULL for leaves and constants */
    tarn_tensor *grad; /* of a leaf: owned, or NULL until the first backward */
    tarn__hook *hooks; /* owned */
    char *name;        /* owned: a record of 64 bytes, or NULL */
    tarn_tensor *prev, *next; /* in the list of its scope, or of retained handles */
    uint64_t sequence;        /* the manager's handles made up to this one */
    tarn__layout layout;
};

/* Completes a layout whose dtype, ndim and dims are set: contiguous strides, element count.
 * TARN_ESHAPE for a negative size, TARN_EOVERFLOW when elements or bytes do not fit. */
tarn_status tarn__layout_pack(tarn__layout *layout);

/* Recomputes numel and contiguous from dims and strides. */
void tarn__layout_refresh(tarn__layout *layout);

/* A layout from public arguments; checks dtype, rank and sizes. */
tarn_status tarn__layout_make(tarn__layout *layout, tarn_dtype dtype, const tarn_shape *shape);

bool tarn__same_shape(const tarn__layout *a, const tarn__layout *b);

/* The place of an axis that may be negative, or -1 if it is out of range. */
int tarn__axis(const tarn__layout *layout, int axis);

/* tarn_dtype_size of a type that exists. */
static inline size_t tarn__dtype_size(uint8_t dtype)
{
    static const uint8_t sizes[] = {
#define TARN__DTYPE_SIZE(code, type, name) sizeof(type),
        TARN_DTYPE_LIST(TARN__DTYPE_SIZE)
#undef TARN__DTYPE_SIZE
    };
    return sizes[dtype];
}

static inline size_t tarn__elements(const tarn_tensor *t) { return (size_t)t->layout.numel; }
static inline size_t tarn__bytes(const tarn_tensor *t)
{
    return (size_t)t->layout.numel * tarn__dtype_size(t->layout.dtype);
}

/* Counts memory that is not the pool's. */
void tarn__storage_adopted(tarn_manager *tm, size_t bytes);

/* A handle is made in two steps: its layout is written where it stays (copies of what was just
 * written in pieces are slow), and then it gets its memory. First is tarn__tensor_begin, of
 * manager.h. Second: gives it fresh storage for its layout, which is complete. On failure the
 * handle has ended: NULL with TARN_ENOMEM held. Otherwise as tarn__tensor_new. */
tarn_tensor *tarn__tensor_complete(tarn_tensor *t, tarn_fill fill, uint32_t tag);
/* Or: storage of another tensor, `offset` elements after its first. Cannot fail. */
tarn_tensor *tarn__tensor_complete_view(tarn_tensor *t, tarn_tensor *base, int64_t offset);
/* Or: lets it go. */
void tarn__tensor_cancel(tarn_tensor *t);

/* A handle with fresh storage, or NULL with TARN_ENOMEM held. Nobody owns it: the caller holds its
 * one reference and hands it to a scope (tarn__adopt), an object, or tarn__unref. TARN_ZEROED
 * storage is marked zero_pending, not written. */
tarn_tensor *tarn__tensor_new(tarn_manager *tm, const tarn__layout *layout, tarn_fill fill);
/* The same of indeterminate contents, where memory may be short: NULL, and no error held. */
tarn_tensor *tarn__tensor_try(tarn_manager *tm, const tarn__layout *layout, uint32_t tag);
/* The same with a tag of the caller's. */
tarn_tensor *tarn__tensor_new_tagged(tarn_manager *tm, const tarn__layout *layout, tarn_fill fill,
                                     uint32_t tag);

/* A handle on memory that is not the pool's. On failure (NULL, TARN_ENOMEM held) free_memory is not
 * called. */
tarn_tensor *tarn__tensor_adopt(tarn_manager *tm, const tarn__layout *layout, void *data,
                                size_t bytes, void (*free_memory)(void *context, void *data),
                                void *context);

/* A handle of tm on the memory of a frozen tensor of any manager. */
tarn_tensor *tarn__tensor_borrow(tarn_manager *tm, const tarn_tensor *frozen);

/* A handle on the storage of base, `offset` elements after its first. As above otherwise. */
tarn_tensor *tarn__tensor_view(tarn_tensor *base, const tarn__layout *layout, int64_t offset);

/* Gives the caller's reference to the open scope; returns t. NULL passes. */
tarn_tensor *tarn__adopt(tarn_tensor *t);

/* Gives the caller's reference to an object (module, loader ...), which ends it with
 * tarn__tensor_end. */
tarn_tensor *tarn__own(tarn_tensor *t);

static inline void tarn__ref(tarn_tensor *t) { t->refs++; }
/* Drops a reference. To whoever drops the last but one of a recorded result, or the last, more
 * happens. */
void tarn__unref_last(tarn_tensor *t);
static inline void tarn__unref(tarn_tensor *t)
{
    TARN_ASSERT(t->refs > 0);
    const uint32_t refs = --t->refs;
    if (refs == 0 || (refs == 1 && t->node != NULL)) tarn__unref_last(t);
}

/* Ends the life of a handle for its users: removes it from its scope, lets the storage go once
 * nothing saved it, and drops the owner's reference. */
void tarn__tensor_end(tarn_tensor *t, tarn__ended_by by);

/* Marks the handle as ended but leaves it in its scope, so that a later read is an error that can
 * say why. */
void tarn__tensor_spend(tarn_tensor *t);

/* Forgets the hooks of a tensor. */
void tarn__hooks_end(tarn_tensor *t);

/* One operation that had saved the elements no longer needs them. */
void tarn__unsave(tarn_tensor *t);

/* Writes pending zeros. Every access to elements goes through here first. */
void tarn__materialize_zeros(tarn_tensor *t);
static inline void tarn__materialize(tarn_tensor *t)
{
    if (t->storage->zero_pending) tarn__materialize_zeros(t);
}

/* Lets the storage read as zeros from now on, without writing them yet. */
void tarn__make_zero(tarn_tensor *t);

/* True if t may be read; else the error is held (TARN_ESTALE, naming `reader`). */
bool tarn__readable(const tarn_tensor *t, const char *reader);

/* "name" [2,3], or [2,3] without a name: what messages show of a tensor. Returns text. */
enum { TARN__DESCRIPTION_BYTES = 256 };
const char *tarn__describe(const tarn_tensor *t, char text[TARN__DESCRIPTION_BYTES]);
const char *tarn__describe_layout(const tarn__layout *layout, char text[TARN__DESCRIPTION_BYTES]);

#endif
