/* SPDX-License-Identifier: MIT
 * plan_print.c - a plan as a table. */
#include <stdio.h>

#include "autograd/plan.h"

/* " %3" for a value inside, and what else it may be. */
static void name_value(const tarn__program *p, int32_t view, char text[32])
{
    text[0] = '\0';
    if (view < 0 || tarn__view_at(p, view)->value < 0) return;
    const int32_t i = tarn__view_at(p, view)->value;
    static const char *const prefixes[] = { "%", "outside ", "input ", "result ", "constant " };
    (void)snprintf(text, 32, " %s%d", prefixes[tarn__value_at(p, i)->place], (int)i);
}

static const char *name_of(const tarn__instruction *n)
{
    switch ((tarn__instruction_kind)n->kind) {
    case TARN__RUN_CALL: return n->call.op->name;
    case TARN__RUN_ZERO: return "zero";
    case TARN__RUN_EMPTY: return "empty";
    case TARN__RUN_FILL: return "fill with zeros";
    case TARN__RUN_LEAF: return n->arrived ? "gradient of" : "no gradient of";
    case TARN__RUN_ACTION: return n->action.name;
    }
    return "";
}

/* The views that the instruction reads (or writes, of which there are those of its results). */
static bool print_views(const tarn__program *p, const tarn__instruction *n, bool results,
                        FILE *stream)
{
    const bool backward = n->views[TARN__VIEW_DOUT] >= 0;
    bool written = true;
    for (int k = 0; k < TARN__VIEWS && written; k++) {
        const bool is_result = k >= TARN__VIEW_DIN || k == TARN__VIEW_SCRATCH ||
                               (!backward && (k == TARN__VIEW_OUT || k == TARN__VIEW_AUX));
        char text[32];
        name_value(p, n->views[k], text);
        if (is_result == results) written = fputs(text, stream) >= 0;
    }
    return written;
}

static bool print_instruction(const tarn__program *p, int32_t i, FILE *stream)
{
    const tarn__instruction *n = tarn__instruction_at(p, i);
    const bool backward = n->views[TARN__VIEW_DOUT] >= 0;
    char text[TARN__DESCRIPTION_BYTES];
    if (fprintf(stream, "%5d  %s%s", (int)i, name_of(n), backward ? " backward" : "") < 0)
        return false;
    if (n->kind == TARN__RUN_LEAF)
        return fprintf(stream, " %s\n",
                       tarn__describe(tarn__handle_at(p, n->handle)->tensor, text)) > 0;
    if (n->kind != TARN__RUN_CALL) {
        name_value(p, n->views[0], text);
        return fprintf(stream, "%s\n", text) > 0;
    }
    return print_views(p, n, false, stream) && fputs(" ->", stream) >= 0 &&
           print_views(p, n, true, stream) && fputs("\n", stream) >= 0;
}

static bool print_value(const tarn__program *p, int32_t i, FILE *stream)
{
    const tarn__value *v = tarn__value_at(p, i);
    const char *in_place = v->home != i ? ", in place" : "";
    if (v->place != TARN__VALUE_INSIDE || v->first < 0) return true;
    return fprintf(stream, "  %%%-5d %10zu bytes at %10zu, from %d to %d%s\n", (int)i, v->bytes,
                   tarn__value_at(p, v->home)->offset, (int)v->first, (int)v->last, in_place) > 0;
}

tarn_status tarn_plan_print(const tarn_plan *plan, FILE *stream)
{
    if (plan == NULL || stream == NULL) return TARN_EARG;
    const tarn__program *p = plan->ready[0];
    if (p == NULL) return fputs("nothing is planned\n", stream) >= 0 ? TARN_OK : TARN_EIO;
    const tarn_plan_stats s = tarn_plan_get_stats(plan);
    bool written = fprintf(stream,
                           "%zu instructions, %zu values in %zu bytes (%zu live at most), %zu in "
                           "place\n",
                           s.instructions, s.values, s.bytes, s.lower_bound, s.in_place) > 0;
    for (int32_t i = 0; i < p->instructions.n && written; i++)
        written = print_instruction(p, i, stream);
    for (int32_t i = 0; i < p->values.n && written; i++) written = print_value(p, i, stream);
    return written ? TARN_OK : TARN_EIO;
}
