/* SPDX-License-Identifier: MIT
 * program_record.h - how a program is written while its step runs: program_record.c listens, and
 * has what it hears noted as values, guards and instructions. Each of these functions may refuse
 * the program; -1 is what nothing is to be noted of, or cannot. */
#ifndef TARN_AUTOGRAD_PROGRAM_RECORD_H
#define TARN_AUTOGRAD_PROGRAM_RECORD_H

#include "autograd/program.h"

/* ---- values and views (program_values.c) */

int32_t tarn__program_add_value(tarn__program *p, tarn__value_place place, tarn__storage *storage,
                                void *data, size_t bytes);

/* The value of a storage; a storage from outside is met here for the first time, too. */
int32_t tarn__program_value_of(tarn__program *p, tarn__storage *storage);

/* The view of a value with the layout of t; value -1: only that layout counts. */
int32_t tarn__program_add_view(tarn__program *p, int32_t value, size_t offset,
                               const tarn_tensor *t);

/* t as a view, of which only the layout matters unless its elements are used. */
int32_t tarn__program_view_of(tarn__program *p, tarn_tensor *t, bool used);

/* All bytes of a value. */
int32_t tarn__program_whole_of(tarn__program *p, int32_t value);

/* ---- guards (program_guards.c) */

void tarn__program_note_input(tarn__program *p, tarn_tensor *t);

/* The handle of a tensor from outside, to be guarded; -1: it is from inside, an input, or the
 * result, which the plan keeps. */
int32_t tarn__program_note_handle(tarn__program *p, tarn_tensor *t);

/* The same for a leaf of which the gradient is complete in memory, or empty. */
int32_t tarn__program_note_leaf(tarn__program *p, tarn_tensor *t);

void tarn__program_note_mode(tarn__program *p, const bool *mode, const tarn__object *owner);

/* An operation of the program's own ends with its object. */
void tarn__program_note_op(tarn__program *p, const tarn__op *op);

/* ---- instructions (program_instructions.c) */

/* A new instruction, of the pass that runs; NULL without memory. */
tarn__instruction *tarn__program_add_instruction(tarn__program *p, tarn__instruction_kind kind);

/* A kernel that has run. */
void tarn__program_note_call(tarn__program *p, tarn__kernel kernel, const tarn__call *call);

/* The elements of t, which come from no memory: they are copied. */
void tarn__program_note_constant(tarn__program *p, tarn_tensor *t);

/* Pending zeros of t's storage that are written. */
void tarn__program_note_zero(tarn__program *p, const tarn_tensor *t);

/* The storage of t, which reads as zeros from now on. */
void tarn__program_note_empty(tarn__program *p, const tarn_tensor *t);

#endif
