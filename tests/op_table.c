/* SPDX-License-Identifier: MIT
 * op_table.c - prints what the structures of operations say, for scripts/operations-table: name,
 * what is kept for backward, whether there is a second derivative, types; tabs between. */
#include <stdio.h>
#include <string.h>

#include "ops/op_list.h"

static const char *name_of(const tarn__op *op, int kept)
{
    return kept < op->arity ? op->operands[kept] : "the result";
}

static void print_list(const char *const *names, int n)
{
    for (int i = 0; i < n; i++) printf("%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", names[i]);
}

/* Whose gradients read operand k, or, for k = TARN__MAX_OPERANDS, the result. */
static int readers_of(const tarn__op *op, int k, const char **names)
{
    int n = 0;
    for (int i = 0; i < op->arity; i++)
        if ((op->uses[i] >> k & 1) != 0) names[n++] = op->operands[i];
    return n;
}

/* "a for b, b for a": what is kept, and for the gradient of which operand if there are several. */
static void print_kept(const tarn__op *op)
{
    bool some = false;
    for (int k = 0; k <= TARN__MAX_OPERANDS; k++) {
        const char *names[TARN__MAX_OPERANDS];
        const int n = readers_of(op, k, names);
        if (n == 0) continue;
        printf("%s%s", some ? "; " : "", name_of(op, k));
        if (op->arity > 1) printf(" for ");
        if (op->arity > 1) print_list(names, n);
        some = true;
    }
    if (op->aux != NULL) printf("%s", some ? "; notes of its own" : "notes of its own");
    else if (!some) printf("nothing");
}

static void print_types(const tarn__op *op)
{
    const unsigned all = (1U << op->arity) - 1;
    if ((op->any_dtype & all) == all) printf("any");
    else printf("floats");
    for (int i = 0; i < op->arity && (op->any_dtype & all) != all; i++)
        if ((op->any_dtype >> i & 1) != 0) printf(", %s integers", op->operands[i]);
}

int main(void)
{
    for (int i = 0; tarn__ops[i] != NULL; i++) {
        const tarn__op *op = tarn__ops[i];
        const bool has_gradient =
            !op->stops_gradient && (op->is_view || op->backward[0][0] != NULL);
        printf("%s\t", op->name);
        if (!has_gradient) printf("no gradient");
        else print_kept(op);
        printf("\t%s\t", !has_gradient                              ? "-"
                         : op->graph != NULL || op->compose != NULL ? "yes"
                                                                    : "no");
        print_types(op);
        printf("\n");
    }
    return 0;
}
