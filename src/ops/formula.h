/* SPDX-License-Identifier: MIT
 * formula.h - how a formula of one element becomes loops where it needs exp, log or their like.
 *
 * A formula is an expression in the elements that a loop provides, such as x and dy:
 *
 *     dy * (1 - y * y)
 *
 * or one that goes by way of a function of vmath.h. This reads "with e = exp(-|x|)":
 *
 *     VIA(e, exp, -fabs(x), (x < 0 ? e : 1) / (1 + e))
 *
 * The last part may be another VIA, which knows e, too. OF(tanh, x) is the function of x and
 * nothing else. RAISED(x, s, a) is a x^s, where s is one number for all elements; the exponents 1,
 * 2, -1 and 1/2 need no call, and give the nearest number.
 *
 * FORMULA writes the loops: one for a plain expression, else several that take turns with calls for
 * whole pieces, which stay in the first-level cache. It is told the macro that writes a loop,
 * loop(about, first, n, statements): the statements for elements first + i, 0 <= i < n, with
 * `about` handed on; and the one that stores, put(i, value). For OF, xs is the array of x and `to`
 * where its results go. */
#ifndef TARN_OPS_FORMULA_H
#define TARN_OPS_FORMULA_H

#include "ops/vmath.h"

enum { FORMULA_PIECE = 256 };

#define VIA(e, f, argument, ...) e, f, argument, __VA_ARGS__
#define OF(f, x) f, x
#define RAISED(x, s, a) x, s, a

#define FORMULA(loop, about, put, n, ...)                                                   \
    FORMULA_PICK(__VA_ARGS__, FORMULA_VIA_TWO, , , FORMULA_VIA, FORMULA_RAISED, FORMULA_OF, \
                 FORMULA_PLAIN, )                                                           \
    (loop, about, put, n, __VA_ARGS__)

/* The kind of a formula, by the number of its parts: 1, 2, 3, 4 or 7. */
#define FORMULA_PICK(p1, p2, p3, p4, p5, p6, p7, kind, ...) kind

#define FORMULA_PLAIN(loop, about, put, n, value) loop(about, 0, n, put(i, value);)

#define FORMULA_OF(loop, about, put, n, f, x) NAME(tarn__##f)(n, to, x##s);

/* The root of -0 is -0 and of -infinity NaN, the powers are 0 and infinity. */
#define FORMULA_RAISED(loop, about, put, n, base, exponent, factor)                        \
    if ((exponent) == 1)                                                                   \
        loop(about, 0, n, put(i, (factor) * (base));) else if ((exponent) == 2)            \
            loop(about, 0, n, const REAL b = (base);                                       \
                 put(i, (factor) * (b * b));) else if ((exponent) == -1)                   \
                loop(about, 0, n,                                                          \
                     put(i, (factor) * (1 / (base)));) else if ((exponent) == REAL_C(0.5)) \
                    loop(about, 0, n, const REAL b = (base);                               \
                         put(i, (factor) * (b == -(REAL)INFINITY                           \
                                                ? (REAL)INFINITY                           \
                                                : sqrt(b + 0)));) else FORMULA_PIECES(n)   \
        {                                                                                  \
            REAL room[FORMULA_PIECE], raise[FORMULA_PIECE];                                \
            const int64_t in_piece = FORMULA_IN_PIECE(n);                                  \
            loop(about, first, in_piece, room[i] = (base); raise[i] = (exponent);)         \
                NAME(tarn__pow)(in_piece, room, room, raise);                              \
            loop(about, first, in_piece, put(first + i, (factor)*room[i]);)                \
        }

#define FORMULA_VIA(loop, about, put, n, e, f, argument, value)                                    \
    FORMULA_PIECES(n)                                                                              \
    {                                                                                              \
        REAL room[FORMULA_PIECE];                                                                  \
        const int64_t in_piece = FORMULA_IN_PIECE(n);                                              \
        loop(about, first, in_piece, room[i] = (argument);) NAME(tarn__##f)(in_piece, room, room); \
        loop(about, first, in_piece, const REAL e = room[i]; put(first + i, value);)               \
    }

#define FORMULA_VIA_TWO(loop, about, put, n, e1, f1, argument1, e2, f2, argument2, value)          \
    FORMULA_PIECES(n)                                                                              \
    {                                                                                              \
        REAL room1[FORMULA_PIECE], room2[FORMULA_PIECE];                                           \
        const int64_t in_piece = FORMULA_IN_PIECE(n);                                              \
        loop(about, first, in_piece, room1[i] = (argument1);)                                      \
            NAME(tarn__##f1)(in_piece, room1, room1);                                              \
        loop(about, first, in_piece, const REAL e1 = room1[i]; (void)e1; room2[i] = (argument2);)  \
            NAME(tarn__##f2)(in_piece, room2, room2);                                              \
        loop(about, first, in_piece, const REAL e1 = room1[i]; (void)e1; const REAL e2 = room2[i]; \
             put(first + i, value);)                                                               \
    }

#define FORMULA_PIECES(n) for (int64_t first = 0; first < (n); first += FORMULA_PIECE)
#define FORMULA_IN_PIECE(n) ((n)-first < FORMULA_PIECE ? (n)-first : FORMULA_PIECE)

#endif
