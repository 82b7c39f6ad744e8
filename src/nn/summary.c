/* SPDX-License-Identifier: MIT
 * summary.c - a model as a table. */
#include <inttypes.h>
#include <string.h>

#include <tarn/debug.h>

#include "core/report.h"
#include "core/size.h"
#include "nn/module.h"
#include "ops/watch.h"

/* ---- what comes out of each layer */

typedef struct output {
    const tarn_module *module;
    bool known;
    tarn__layout layout;
} output;

typedef struct outputs {
    tarn_manager *tm;
    output *rows; /* owned: (n) */
    size_t n;
    tarn_operation_hook next; /* whoever watched before */
    void *next_context;
} outputs;

static output *output_of(const outputs *o, const tarn_module *module)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->rows[i].module == module) return &o->rows[i];
    return NULL;
}

/* What an operation gives is, until the next, what its layer gives and every module around it. */
static void note_output(void *context, const tarn_operation_event *event)
{
    outputs *o = context;
    const tarn_module *module = NULL;
    if (o->next != NULL) o->next(o->next_context, event);
    for (size_t i = 0; i < o->n && module == NULL; i++)
        if (o->rows[i].module->path == o->tm->place.path) module = o->rows[i].module;
    for (; module != NULL; module = module->parent) {
        output *row = output_of(o, module);
        if (row == NULL) return;
        row->known = true;
        row->layout = event->result->layout;
    }
}

static tarn_status take_rows(outputs *o, const tarn_module *top)
{
    size_t n = 0;
    for (const tarn_module *m = top; m != NULL; m = tarn__next_module(top, m)) n++;
    o->rows = tarn__records_alloc(o->tm->pool, n * sizeof(*o->rows));
    if (o->rows == NULL)
        return tarn__fail_memory(o->tm, "tarn_model_summary", n * sizeof(*o->rows));
    for (const tarn_module *m = top; m != NULL; m = tarn__next_module(top, m))
        o->rows[o->n++] = (output){ .module = m };
    return TARN_OK;
}

/* Runs the forward pass and notes what comes out of each layer. Statistics and counts stay. */
static tarn_status watch_forward(outputs *o, const tarn_module *top, const tarn_model_pass *pass)
{
    tarn_manager *tm = o->tm;
    TARN_NO_GRAD(tm);
    if (take_rows(o, top) != TARN_OK) return TARN_ENOMEM;
    const unsigned watch = tm->watch;
    const bool replaying = tm->replaying;
    o->next = (watch & TARN__WATCH_OPERATIONS) != 0 ? tm->on_operation : NULL;
    o->next_context = tm->operation_context;
    (void)tarn_on_operation(tm, note_output, o);
    tm->replaying = true;
    const tarn_tensor *y = pass->forward(pass->inputs.items, pass->inputs.n, pass->context);
    if (y == NULL && tarn_ok(tm))
        (void)tarn__fail(tm, TARN_EARG, "tarn_model_summary: the forward pass returned NULL");
    (void)tarn_on_operation(tm, o->next, o->next_context);
    tm->watch = watch;
    tm->replaying = replaying;
    return tarn_error_code(tm);
}

/* ---- sums */

typedef struct sums {
    int64_t parameters, frozen, buffers; /* numbers */
    size_t bytes, buffer_bytes;
} sums;

/* Of the module itself, or of all below it, too. */
static sums sum_members(const tarn_module *module, bool below)
{
    sums s = { 0 };
    for (const tarn__member *m = module->root->first_member; m != NULL; m = m->next) {
        if (m->module != module && !(below && tarn__module_contains(module, m->module))) continue;
        const int64_t n = m->tensor->layout.numel;
        if (m->is_buffer) {
            s.buffers += n;
            s.buffer_bytes += tarn__bytes(m->tensor);
            continue;
        }
        s.parameters += n;
        s.bytes += tarn__bytes(m->tensor);
        if (!m->tensor->requires_grad) s.frozen += n;
    }
    return s;
}

/* ---- the table */

/* "100,480": digits in groups. */
static const char *grouped(char text[32], int64_t n)
{
    char digits[24];
    int at = 0;
    const int length = snprintf(digits, sizeof(digits), "%" PRId64, n);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

/* The kind of a module is what its label begins with: linear "l1". */
static void print_row(const tarn_module *module, const tarn_module *top, const outputs *o,
                      FILE *stream)
{
    int depth = 0;
    char shape[TARN__DESCRIPTION_BYTES] = "", count[32], size[24], name[48];
    const output *out = output_of(o, module);
    const sums own = sum_members(module, false);
    const size_t kind = strcspn(module->label, " ");
    for (const tarn_module *m = module; m != top; m = m->parent) depth++;
    if (out != NULL && out->known) (void)tarn__describe_layout(&out->layout, shape);
    (void)snprintf(name, sizeof(name), "%*s%s", 2 * (depth < 8 ? depth : 8), "",
                   module->parent == NULL ? "(root)" : module->name);
    fprintf(stream, "%-28s %-18.*s %-18s %14s %12s%s\n", name, (int)kind, module->label, shape,
            own.parameters > 0 ? grouped(count, own.parameters) : "-",
            own.parameters > 0 ? tarn__bytes_text(size, (double)own.bytes) : "-",
            own.frozen > 0 && own.frozen == own.parameters ? "  frozen"
            : own.frozen > 0                               ? "  partly frozen"
                                                           : "");
}

static void print_sums(const tarn_module *module, FILE *stream)
{
    char count[32], other[32], size[24];
    const sums s = sum_members(module, true);
    fprintf(stream, "%s parameters in %s", grouped(count, s.parameters),
            tarn__bytes_text(size, (double)s.bytes));
    if (s.frozen > 0)
        fprintf(stream, ", of which %s are frozen and %s learn", grouped(count, s.frozen),
                grouped(other, s.parameters - s.frozen));
    if (s.buffers > 0)
        fprintf(stream, "; %s numbers in buffers, %s", grouped(count, s.buffers),
                tarn__bytes_text(size, (double)s.buffer_bytes));
    fputc('\n', stream);
}

tarn_status tarn_model_summary(tarn_module *module, FILE *stream, const tarn_model_pass *pass)
{
    if (module == NULL || stream == NULL) return TARN_EARG;
    outputs o = { .tm = module->object.manager };
    tarn_status status = TARN_OK;
    if (pass != NULL && pass->forward != NULL) status = watch_forward(&o, module, pass);
    if (status == TARN_OK) {
        fprintf(stream, "%-28s %-18s %-18s %14s %12s\n", "layer", "kind", "output", "parameters",
                "memory");
        for (const tarn_module *m = module; m != NULL; m = tarn__next_module(module, m))
            print_row(m, module, &o, stream);
        print_sums(module, stream);
        if (ferror(stream)) status = TARN_EIO;
    }
    if (o.rows != NULL) tarn__records_free(o.tm->pool, o.rows, o.n * sizeof(*o.rows));
    return status;
}
