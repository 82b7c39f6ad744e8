/* SPDX-License-Identifier: MIT
 * snapshot.c - copies of what a module holds, to go back to. */
#include "nn/snapshot.h"

#include <string.h>

#include "core/size.h"

static bool is_wanted(const tarn__member *m, bool parameters)
{
    return (parameters || m->is_buffer) && !m->tensor->frozen;
}

static tarn_tensor *new_copy(tarn_tensor *member)
{
    const uint32_t tag = tarn__tag_like(member, TARN_KIND_OPTIMIZER);
    return tarn__own(
        tarn__tensor_new_tagged(member->manager, &member->layout, TARN_UNINITIALIZED, tag));
}

tarn_status tarn__snapshot_begin(tarn__snapshot *s, tarn_module *module, bool parameters)
{
    tarn_manager *tm = module->object.manager;
    size_t n = 0, bytes = SIZE_MAX;
    *s = (tarn__snapshot){ .tm = tm };
    for (tarn__member *m = NULL; (m = tarn__next_member(module, m)) != NULL;)
        n += is_wanted(m, parameters);
    if (n == 0) return TARN_OK;
    if (tarn__size_mul(n, sizeof *s->copies, &bytes))
        s->copies = tarn__records_alloc(tm->pool, bytes);
    if (s->copies == NULL) return tarn__fail_memory(tm, "tarn_fit", bytes);
    s->n = n;
    size_t i = 0;
    for (tarn__member *m = NULL; (m = tarn__next_member(module, m)) != NULL;) {
        if (!is_wanted(m, parameters)) continue;
        s->copies[i] = (struct tarn__copy){ m->tensor, new_copy(m->tensor) };
        if (s->copies[i++].copy == NULL) {
            tarn__snapshot_end(s);
            return TARN_ENOMEM;
        }
    }
    return TARN_OK;
}

void tarn__snapshot_end(tarn__snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->copies[i].copy != NULL) tarn__tensor_end(s->copies[i].copy, TARN__ENDED_BY_OWNER);
    if (s->copies != NULL) tarn__records_free(s->tm->pool, s->copies, s->n * sizeof *s->copies);
    *s = (tarn__snapshot){ .tm = NULL };
}

static void copy(tarn_tensor *to, tarn_tensor *from)
{
    tarn__materialize(from);
    tarn__touch(to, true);
    const size_t bytes = tarn__bytes(from);
    if (!from->manager->dry && bytes > 0) memcpy(to->data, from->data, bytes);
}

void tarn__snapshot_take(const tarn__snapshot *s)
{
    for (size_t i = 0; i < s->n; i++) copy(s->copies[i].copy, s->copies[i].member);
}

tarn_status tarn__snapshot_restore(const tarn__snapshot *s)
{
    char text[TARN__DESCRIPTION_BYTES];
    for (size_t i = 0; i < s->n; i++)
        if (s->copies[i].member->storage->read_only)
            return tarn__fail(s->tm, TARN_ESTATE, "tarn_fit: %s was frozen and cannot be restored",
                              tarn__describe(s->copies[i].member, text));
    for (size_t i = 0; i < s->n; i++) copy(s->copies[i].member, s->copies[i].copy);
    return TARN_OK;
}
