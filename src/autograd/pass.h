/* SPDX-License-Identifier: MIT
 * pass.h - one pass over the tape, from outputs towards what they were computed from.
 *
 * First the nodes that lead to the outputs are marked (pass.c), and everything that could go wrong
 * is checked. Then they are walked, newest first: backward.c runs the kernels of gradients, graph.c
 * computes gradients by operations, which are recorded in turn.
 *
 * A pass gives gradients either to all leaves (tarn_backward), or to the tensors it was asked for,
 * its targets, leaves or not (tarn_grad). */
#ifndef TARN_AUTOGRAD_PASS_H
#define TARN_AUTOGRAD_PASS_H

#include <tarn/autograd.h>

#include "autograd/tape.h"

typedef struct tarn__pass {
    tarn_manager *tm;
    tarn__tape *tape;
    const char *name;  /* of the public function, for messages */
    tarn__node *last;  /* the newest that leads to an output; NULL: the outputs are leaves */
    tarn__node *first; /* the oldest */
    uint64_t id;
    uint64_t after; /* nodes up to this position are another pass's, inside which this one runs */
    bool keep_graph;
    bool unused_is_null;  /* nothing stands where no gradient arrived */
    bool independent;     /* what targets were computed from is left alone */
    bool leaf_hooks;      /* a leaf that it reached has hooks */
    bool reads_gradients; /* what it reads are gradients of leaves, too */

    const tarn_list *targets; /* NULL: all leaves; else their `target` counts from 1 */
    tarn_tensor **gradients;  /* (targets->n): owned references, NULL until something arrives */
} tarn__pass;

/* The `target` of a leaf that gets its gradient itself in every pass: what stands for an input of a
 * function that is run again. */
#define TARN__TARGET_ITSELF UINT32_MAX

/* Whether the gradient of a leaf is kept by the leaf, not by the pass. */
static inline bool tarn__keeps_gradient(const tarn__pass *p, const tarn_tensor *leaf)
{
    return p->targets == NULL || leaf->target == TARN__TARGET_ITSELF;
}

/* Whether the pass computes gradients of the node's operands. */
static inline bool tarn__pass_runs(const tarn__pass *p, const tarn__node *node)
{
    return node->pass == p->id && node->runs;
}

/* Whether operand i gets a gradient. One that came to require it after the operation was recorded
 * does not: nothing was saved for it. */
static inline bool tarn__gets_gradient(const tarn__pass *p, const tarn__node *node, int i)
{
    const tarn_tensor *t = node->in[i];
    if ((node->wanted >> i & 1) == 0 || !t->requires_grad) return false;
    if (p->targets == NULL || t->target != 0) return true;
    return t->node != NULL && tarn__pass_runs(p, t->node);
}

/* The node before, as far as the pass reaches. */
static inline tarn__node *tarn__pass_before(const tarn__pass *p, const tarn__node *node)
{
    return node == p->first ? NULL : node->prev;
}

/* Marks what leads to the outputs, and checks that nothing it reads has changed and nothing it
 * needs is gone. Begins a new pass: sets tape, id, first and last. */
tarn_status tarn__pass_mark(tarn__pass *p, const tarn_list *outputs);

/* Notes, of leaves with hooks, the oldest node from this one on that uses them: after it the
 * gradient is complete. */
void tarn__pass_note_hooks(const tarn__pass *p, const tarn__node *from);

/* Whether operand i (or the result) is what it was when the node was recorded; the error is held
 * otherwise. */
tarn_status tarn__pass_check_version(const tarn__pass *p, const tarn__node *node, int i);

/* Whether t's operations are still on the tape, if it had any; the error is held otherwise. */
TARN__COLD tarn_status tarn__pass_fail_freed(const tarn__pass *p, const tarn_tensor *t);
static inline tarn_status tarn__pass_check_freed(const tarn__pass *p, const tarn_tensor *t)
{
    const bool freed = t->node == NULL && t->graph_freed;
    return freed ? tarn__pass_fail_freed(p, t) : TARN_OK;
}

/* Checks one output and the seed given for it, or none: then it must have one element. */
tarn_status tarn__pass_check_seed(const tarn__pass *p, const tarn_tensor *output,
                                  const tarn_tensor *seed);

/* A contiguous copy of the given seed, or ones, that nobody owns. NULL with the error held. */
tarn_tensor *tarn__pass_make_seed(const tarn_tensor *output, tarn_tensor *seed);

/* Calls the hooks of t for a gradient that is complete. They may change its elements, unless it is
 * recorded, and so what they compute. Any error they leave held. */
tarn_status tarn__pass_call_hooks(tarn_tensor *t, tarn_tensor *gradient, bool recorded);

/* The same for a leaf, if node is the last that adds to its gradient. */
tarn_status tarn__pass_call_leaf_hooks(tarn_tensor *leaf, const tarn__node *node,
                                       tarn_tensor *gradient, bool recorded);

/* Runs the kernels of all marked nodes whose outputs have their seeds, and lets go of what was used
 * unless the graph is kept. On failure what it touched is emptied and its part of the tape gone. */
tarn_status tarn__pass_run(const tarn__pass *p);

/* The same by operations, which are recorded; the graph is kept. */
tarn_status tarn__pass_run_graph(const tarn__pass *p);

/* Lets go of gradients of intermediates, and of the nodes unless they are kept. */
void tarn__pass_finish(const tarn__pass *p, bool keep);

#endif
