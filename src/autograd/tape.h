/* SPDX-License-Identifier: MIT
 * tape.h - the operations recorded since the tape was last emptied.
 *
 * A node refers to the handles of its operands and its output (their layouts are needed in
 * backward) and saves the elements of those that the wanted gradients read, as the operation's
 * `uses` declares. The order of recording is a topological order, so that backward is a walk from
 * the loss towards the first node. */
#ifndef TARN_AUTOGRAD_TAPE_H
#define TARN_AUTOGRAD_TAPE_H

#include "ops/op.h"

typedef struct tarn__node {
    struct tarn__node *prev, *next;
    const tarn__op *op;
    tarn_tensor *in[TARN__MAX_OPERANDS]; /* referenced */
    tarn_tensor *out;                    /* referenced */
    tarn_tensor *aux;                    /* owned, until it was read; may be NULL */
    struct tarn__node *next_orphan;
    tarn_tensor *dout; /* owned, during backward: what has arrived of the output's gradient */
    uint64_t position; /* counts the nodes ever recorded */
    uint64_t pass;     /* the last backward pass that reached it */
    uint32_t tag;      /* of gradients of the output */
    uint32_t versions[TARN__MAX_OPERANDS + 1]; /* of operands; the last is the output's */
    uint8_t saved;                             /* TARN__USES_* bits */
    bool runs;                     /* in that pass: gradients of operands are computed */
    struct tarn__segment *segment; /* owned: what runs again in backward; or NULL */
    uint8_t wanted;                /* bit i: operand i required a gradient when this was recorded */
    tarn__attr attr;
} tarn__node;

/* A leaf to whose gradient the running pass adds. */
typedef struct tarn__addition {
    struct tarn__addition *next;
    tarn_tensor *leaf; /* referenced */
} tarn__addition;

typedef struct tarn__tape {
    tarn__slab nodes, additions;
    tarn__node *first, *last;
    uint64_t position; /* of the last node recorded */
    uint64_t length;
    uint64_t pass;
    tarn__node *orphans;   /* nodes to be freed, linked through next_orphan */
    bool draining;         /* they are being freed */
    uint64_t finishing;    /* the pass that is freeing what it ran; 0: none */
    bool running;          /* a pass asked for from outside is at work */
    tarn__addition *added; /* by it, and by those inside it; newest first */
} tarn__tape;

/* The manager's tape, made and installed at the first call; NULL with TARN_ENOMEM held. */
tarn__tape *tarn__tape_of(tarn_manager *tm);

/* Begins a pass asked for from outside, of which there is one at a time: TARN_ESTATE, for a hook
 * that asks for another. */
tarn_status tarn__tape_enter(tarn_manager *tm, const char *caller);
/* Ends it. After a failure the gradients that it added to are empty. */
void tarn__tape_leave(tarn_manager *tm, tarn_status status);

/* Notes that the running pass is about to add to the gradient of a leaf. */
tarn_status tarn__tape_note_addition(tarn_tensor *leaf);

/* What node saved for bit i (operand i; TARN__MAX_OPERANDS: the output). */
static inline tarn_tensor *tarn__node_tensor(const tarn__node *node, int i)
{
    return i < TARN__MAX_OPERANDS ? node->in[i] : node->out;
}

/* The number of the first bit of a set that is not empty: `rest &= rest - 1` takes it out. */
static inline int tarn__first_bit(unsigned rest) { return __builtin_ctz(rest); }

/* Saves what stands for bit i, which the node has noted. */
void tarn__node_save(tarn__node *node, int i);

/* Lets the saved elements go. The layouts stay. */
void tarn__node_unsave(tarn__node *node);

/* Frees the nodes that nothing refers to any more. */
void tarn__tape_drain(tarn__tape *tape);

/* Takes a node off the tape and lets go of all it refers to. */
void tarn__node_free(tarn__tape *tape, tarn__node *node);

#endif
