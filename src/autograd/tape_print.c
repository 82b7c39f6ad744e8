/* SPDX-License-Identifier: MIT
 * tape_print.c - the tape as text and as a graph for Graphviz: what was recorded, and what each
 * operation keeps for backward. */
#include <inttypes.h>
#include <stdio.h>

#include <tarn/autograd.h>

#include "autograd/tape.h"
#include "core/report.h"

/* ---- what is kept */

static const char *operand_name(const tarn__node *node, int i)
{
    return i < TARN__MAX_OPERANDS ? node->op->operands[i] : "result";
}

/* Whether what is saved lives for backward's sake: leaves and constants are held by others. */
static bool is_intermediate(const tarn_tensor *t)
{
    return t->node != NULL || t->ended_by != TARN__ALIVE;
}

/* The intermediates that a node keeps and for which no node before it in this walk (number `walk`)
 * was counted. */
static size_t kept_bytes(const tarn__node *node, uint64_t walk)
{
    size_t bytes = node->aux != NULL ? tarn__bytes(node->aux) : 0;
    for (int i = 0; i <= TARN__MAX_OPERANDS; i++) {
        if ((node->saved >> i & 1) == 0) continue;
        const tarn_tensor *t = tarn__node_tensor(node, i);
        if (!is_intermediate(t) || t->storage->saved_in == walk) continue;
        t->storage->saved_in = walk;
        bytes += t->storage->bytes;
    }
    return bytes;
}

/* "x 98.0 KiB, w 5.0 KiB (leaf)": what it reads in backward. */
static void describe_kept(const tarn__node *node, char *text, size_t room)
{
    char size[24];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i <= TARN__MAX_OPERANDS && n < room; i++) {
        if ((node->saved >> i & 1) == 0) continue;
        const tarn_tensor *t = tarn__node_tensor(node, i);
        n += (size_t)snprintf(text + n, room - n, "%s%s %s%s", n == 0 ? "" : ", ",
                              operand_name(node, i),
                              tarn__bytes_text(size, (double)t->storage->bytes),
                              is_intermediate(t) ? ""
                              : t->requires_grad ? " (leaf)"
                                                 : " (constant)");
    }
    if (node->aux != NULL && n < room)
        (void)snprintf(text + n, room - n, "%sits own %s", n == 0 ? "" : ", ",
                       tarn__bytes_text(size, (double)tarn__bytes(node->aux)));
}

/* Begins a walk that counts each storage once. */
static uint64_t begin_walk(tarn__tape *tape) { return ++tape->pass; }

static tarn_status check(const tarn_manager *tm, const FILE *stream)
{
    return tm == NULL || stream == NULL ? TARN_EARG : TARN_OK;
}

/* ---- text */

static void print_node(const tarn__node *node, uint64_t walk, size_t *total, FILE *stream)
{
    char text[TARN__DESCRIPTION_BYTES], kept[512], size[24];
    const size_t bytes = kept_bytes(node, walk);
    *total += bytes;
    fprintf(stream, "%6" PRIu64 "  %-18s %-24s %10s  ", node->position, node->op->name,
            tarn__describe(node->out, text), tarn__bytes_text(size, (double)bytes));
    describe_kept(node, kept, sizeof(kept));
    fprintf(stream, "%s\n%8s", kept[0] != '\0' ? kept : "-", "");
    for (int i = 0; i < node->op->arity; i++) {
        const tarn_tensor *t = node->in[i];
        if (t == NULL) continue;
        fprintf(stream, "%s%s %s", i == 0 ? "of " : ", ", node->op->operands[i],
                tarn__describe(t, text));
        if (t->node != NULL) fprintf(stream, " #%" PRIu64, t->node->position);
        else if (!t->requires_grad) fputs(" (constant)", stream);
    }
    fputc('\n', stream);
}

tarn_status tarn_tape_print(const tarn_manager *tm, FILE *stream)
{
    char size[24];
    size_t total = 0;
    if (check(tm, stream) != TARN_OK) return TARN_EARG;
    tarn__tape *tape = tm->tape;
    const uint64_t walk = tape != NULL ? begin_walk(tape) : 0;
    fprintf(stream, "%6s  %-18s %-24s %10s  %s\n", "#", "operation", "result", "keeps",
            "for backward");
    for (const tarn__node *n = tape != NULL ? tape->first : NULL; n != NULL; n = n->next)
        print_node(n, walk, &total, stream);
    fprintf(stream, "%" PRIu64 " operations keep %s of intermediates for backward\n",
            tape != NULL ? tape->length : 0, tarn__bytes_text(size, (double)total));
    return ferror(stream) ? TARN_EIO : TARN_OK;
}

/* ---- Graphviz */

/* A text inside a quoted label. */
static void print_quoted(const char *text, FILE *stream)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', stream);
        fputc(*text, stream);
    }
}

static void print_leaf(const tarn_tensor *t, FILE *stream)
{
    char text[TARN__DESCRIPTION_BYTES];
    fprintf(stream, "  t%" PRIu64 " [shape=ellipse,style=filled,fillcolor=\"%s\",label=\"",
            t->sequence, t->requires_grad ? "#cfe8cf" : "#e8e8e8");
    print_quoted(tarn__describe(t, text), stream);
    fputs("\"];\n", stream);
}

static void print_graph_node(const tarn__node *node, uint64_t walk, FILE *stream)
{
    char text[TARN__DESCRIPTION_BYTES], kept[512], size[24];
    const size_t bytes = kept_bytes(node, walk);
    describe_kept(node, kept, sizeof(kept));
    fprintf(stream, "  n%" PRIu64 " [label=\"%s\\n", node->position, node->op->name);
    print_quoted(tarn__describe(node->out, text), stream);
    if (kept[0] != '\0')
        fprintf(stream, "\\nkeeps %s: %s", tarn__bytes_text(size, (double)bytes), kept);
    fputs("\"];\n", stream);
    for (int i = 0; i < node->op->arity; i++) {
        const tarn_tensor *t = node->in[i];
        if (t == NULL) continue;
        if (t->node == NULL) print_leaf(t, stream);
        if (t->node != NULL) fprintf(stream, "  n%" PRIu64, t->node->position);
        else fprintf(stream, "  t%" PRIu64, t->sequence);
        fprintf(stream, " -> n%" PRIu64 " [label=\"%s\"];\n", node->position,
                node->op->operands[i]);
    }
}

tarn_status tarn_tape_dot(const tarn_manager *tm, FILE *stream)
{
    if (check(tm, stream) != TARN_OK) return TARN_EARG;
    tarn__tape *tape = tm->tape;
    const uint64_t walk = tape != NULL ? begin_walk(tape) : 0;
    fputs("digraph tape {\n  rankdir=TB;\n  node [shape=box,fontname=\"Helvetica\",fontsize=10];\n"
          "  edge [fontname=\"Helvetica\",fontsize=8];\n",
          stream);
    for (const tarn__node *n = tape != NULL ? tape->first : NULL; n != NULL; n = n->next)
        print_graph_node(n, walk, stream);
    fputs("}\n", stream);
    return ferror(stream) ? TARN_EIO : TARN_OK;
}
