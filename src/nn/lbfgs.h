/* SPDX-License-Identifier: MIT
 * lbfgs.h - the vectors of L-BFGS: as long as all parameters together, in one piece for each of
 * them and of its type. */
#ifndef TARN_NN_LBFGS_H
#define TARN_NN_LBFGS_H

#include "nn/line_search.h"
#include "nn/optimizer.h"

/* Vectors by number. Behind them are the pairs of the history: displacement s and change of the
 * gradient y. */
enum {
    TARN__VECTOR_POINT,     /* the parameters where a line search begins */
    TARN__VECTOR_DIRECTION, /* where it goes */
    TARN__VECTOR_GRADIENT,  /* and three more: see line_search.h */
    TARN__VECTOR_PAIRS = TARN__VECTOR_GRADIENT + TARN__LINE_GRADIENTS
};

static inline size_t tarn__vector_s(size_t pair) { return TARN__VECTOR_PAIRS + 2 * pair; }
static inline size_t tarn__vector_y(size_t pair) { return TARN__VECTOR_PAIRS + 2 * pair + 1; }
static inline size_t tarn__vector_g(int place) { return TARN__VECTOR_GRADIENT + (size_t)place; }

/* The piece of one parameter. */
typedef struct tarn__piece {
    tarn_tensor *vectors; /* owned: (vectors, elements); NULL if the parameter is frozen for good */
    bool active;          /* the parameter takes part */
} tarn__piece;

typedef struct tarn__lbfgs {
    size_t bytes; /* of this record */
    uint64_t max_iter, max_eval;
    size_t history;
    bool searches;

    /* What was learnt. There is room for one pair more than are used: the newest is written before
     * it is known to be of use. Pair i, from the oldest on, is in place (first + i) % n_places. */
    bool begun;   /* the direction and the step before are known */
    double t;     /* how far along the direction the last step went */
    int gradient; /* the place of the gradient where that step began */
    double scale; /* of the first guess of the inverse Hessian: s y / y y of the newest pair */
    size_t first, n_pairs, n_places;
    double *rho;   /* (n_places): 1 / s y */
    double *alpha; /* (n_places) */

    tarn__piece pieces[]; /* (n) as the slots */
} tarn__lbfgs;

/* Sums and extremes of a gradient. */
typedef struct tarn__gradient_sums {
    double magnitude; /* sum of all |g|: not finite if one of them is not */
    double largest;   /* |g| */
} tarn__gradient_sums;

/* All vector functions leave out the pieces that are not active.
 *
 * Copies the gradients that have arrived to vector `to`, zeros where none has. */
tarn__gradient_sums tarn__vectors_collect(const tarn_optimizer *o, size_t to);

/* Copies the parameters to the point. */
void tarn__vectors_mark(const tarn_optimizer *o);

/* Parameters = point + t direction; for t = 0 the point itself, whatever the direction. */
void tarn__vectors_move(const tarn_optimizer *o, double t);

/* x y. */
double tarn__vectors_dot(const tarn_optimizer *o, size_t x, size_t y);

/* The largest |x|. */
double tarn__vectors_largest(const tarn_optimizer *o, size_t x);

/* x = -y; returns x z. */
double tarn__vectors_negate(const tarn_optimizer *o, size_t x, size_t y, size_t z);

/* x = f (x + a y); returns x z. */
double tarn__vectors_advance(const tarn_optimizer *o, size_t x, double a, size_t y, double f,
                             size_t z);

/* s = t direction, y = g - before, of a pair. *sy = s y, *yy = y y. */
void tarn__vectors_pair(const tarn_optimizer *o, size_t pair, size_t g, size_t before, double t,
                        double *sy, double *yy);

#endif
