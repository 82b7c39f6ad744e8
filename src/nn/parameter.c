/* SPDX-License-Identifier: MIT
 * parameter.c - parameters and buffers of modules. */
#include <string.h>

#include <tarn/autograd.h>

#include "core/observer.h"
#include "core/pool.h"
#include "core/random.h"
#include "nn/init.h"
#include "nn/module.h"

/* ---- making and ending */

/* A member without its tensor, not in the list yet; NULL with the error held. */
static tarn__member *member_new(tarn_module *module, const char *name, bool is_buffer)
{
    if (tarn__module_check_name(module, name) != TARN_OK) return NULL;
    tarn_manager *tm = module->object.manager;
    tarn__member *member = tarn__records_alloc(tm->pool, sizeof *member);
    if (member == NULL) {
        (void)tarn__fail_memory(tm, module->label, sizeof *member);
        return NULL;
    }
    member->module = module;
    member->is_buffer = is_buffer;
    memcpy(member->name, name, strlen(name) + 1);
    return member;
}

static void member_end(tarn__member *member)
{
    tarn_pool *pool = member->module->object.manager->pool;
    if (member->tensor != NULL) tarn__tensor_end(member->tensor, TARN__ENDED_BY_OWNER);
    tarn__records_free(pool, member, sizeof *member);
}

/* Names the tensor by its path, as far as names go. False with TARN_ENOMEM held. */
static bool set_path(const tarn__member *member, tarn_tensor *t)
{
    char path[TARN__NAME_BYTES];
    const size_t room = sizeof path - 1;
    size_t n = 0;
    for (const char *c = member->module->path; *c != '\0' && n < room; c++) path[n++] = *c;
    if (n > 0 && n < room) path[n++] = '.';
    for (const char *c = member->name; *c != '\0' && n < room; c++) path[n++] = *c;
    path[n] = '\0';
    return tarn_set_name(t, path)->name != NULL;
}

/* Gives the tensor to the member and the member to the tree. */
static tarn_tensor *member_add(tarn__member *member, tarn_tensor *t)
{
    tarn_module *root = member->module->root;
    member->tensor = t;
    if (root->last_member == NULL) root->first_member = member;
    else root->last_member->next = member;
    root->last_member = member;
    return t;
}

void tarn__module_end_members(tarn_module *module)
{
    tarn_module *root = module->root;
    tarn__member **at = &root->first_member;
    root->last_member = NULL;
    while (*at != NULL) {
        tarn__member *member = *at;
        if (tarn__module_contains(module, member->module)) {
            *at = member->next;
            member_end(member);
        } else {
            root->last_member = member;
            at = &member->next;
        }
    }
}

/* The key of a parameter's first values: seed, tree and path. */
static uint64_t value_key(const tarn__member *member)
{
    const uint64_t seed = member->module->object.manager->seed;
    const uint64_t purpose = tarn__random_key(seed, TARN__RANDOM_INIT);
    const uint64_t place = tarn__random_key(purpose, member->module->key);
    return tarn__random_key(place,
                            tarn__hash_bytes(TARN__HASH_START, member->name, strlen(member->name)));
}

/* Holds the error for a layout that cannot be. */
static tarn_status make_layout(const tarn_module *module, const char *name, tarn_dtype dtype,
                               tarn_shape shape, tarn__layout *layout)
{
    const tarn_status status = tarn__layout_make(layout, dtype, &shape);
    if (status != TARN_OK)
        (void)tarn__fail(module->object.manager, status, "%s: \"%s\": %s", module->label, name,
                         tarn_status_text(status));
    return status;
}

/* A tensor that is counted as the module's. The tag is found by text: names end with their
 * callers. */
static tarn_tensor *new_tensor(const tarn_module *module, const char *name,
                               const tarn__layout *layout, tarn_fill fill)
{
    tarn_manager *tm = module->object.manager;
    const uint32_t tag =
        tm->tags ? tarn__tag_intern(tm->pool, module->path, name, TARN_KIND_PARAMETER) : 0;
    return tarn__tensor_new_tagged(tm, layout, fill, tag);
}

tarn_tensor *tarn_module_add_parameter(tarn_module *module, const char *name, tarn_dtype dtype,
                                       tarn_shape shape, const tarn_init *init)
{
    if (module == NULL) return NULL;
    tarn_manager *tm = module->object.manager;
    tarn__layout layout;
    tarn_init resolved;
    tarn__member *member = member_new(module, name, false);
    if (member == NULL) return NULL;

    tarn_tensor *t = NULL;
    if (dtype != TARN_F32 && dtype != TARN_F64) {
        (void)tarn__fail(tm, TARN_EDTYPE, "%s: parameter \"%s\" of type %s", module->label, name,
                         tarn_dtype_name(dtype));
    } else if (make_layout(module, name, dtype, shape, &layout) == TARN_OK &&
               tarn__init_resolve(tm, module->label, name, init, &layout, &resolved) == TARN_OK) {
        t = new_tensor(module, name, &layout, TARN_UNINITIALIZED);
    }
    if (t != NULL) {
        tarn__own(t);
        if (set_path(member, t) && tarn__init_fill(t, &resolved, value_key(member)) == TARN_OK &&
            tarn_require_grad(t) != NULL)
            return member_add(member, t);
        tarn__tensor_end(t, TARN__ENDED_BY_OWNER);
    }
    member_end(member);
    return NULL;
}

tarn_tensor *tarn_module_add_buffer(tarn_module *module, const char *name, tarn_dtype dtype,
                                    tarn_shape shape)
{
    if (module == NULL) return NULL;
    tarn__layout layout;
    tarn__member *member = member_new(module, name, true);
    if (member == NULL) return NULL;
    tarn_tensor *t = NULL;
    if (make_layout(module, name, dtype, shape, &layout) == TARN_OK)
        t = new_tensor(module, name, &layout, TARN_ZEROED);
    if (t != NULL) {
        tarn__own(t);
        if (set_path(member, t)) return member_add(member, t);
        tarn__tensor_end(t, TARN__ENDED_BY_OWNER);
    }
    member_end(member);
    return NULL;
}

/* ---- looking */

tarn__member *tarn__next_member(const tarn_module *module, const tarn__member *member)
{
    if (module == NULL) return NULL;
    tarn__member *m = member == NULL ? module->root->first_member : member->next;
    while (m != NULL && !tarn__module_contains(module, m->module)) m = m->next;
    return m;
}

tarn__member *tarn__next_parameter(const tarn_module *module, const tarn__member *member)
{
    tarn__member *m = tarn__next_member(module, member);
    while (m != NULL && m->is_buffer) m = tarn__next_member(module, m);
    return m;
}

int tarn_module_parameter_count(const tarn_module *module)
{
    int n = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) n++;
    return n;
}

tarn_tensor *tarn_module_parameter(const tarn_module *module, int i)
{
    tarn__member *p = i < 0 ? NULL : tarn__next_parameter(module, NULL);
    while (p != NULL && i-- > 0) p = tarn__next_parameter(module, p);
    return p == NULL ? NULL : p->tensor;
}

/* The buffer after `member`; the first for NULL; NULL after the last. */
static tarn__member *next_buffer(const tarn_module *module, const tarn__member *member)
{
    tarn__member *m = tarn__next_member(module, member);
    while (m != NULL && !m->is_buffer) m = tarn__next_member(module, m);
    return m;
}

int tarn_module_buffer_count(const tarn_module *module)
{
    int n = 0;
    tarn__member *b = NULL;
    while ((b = next_buffer(module, b)) != NULL) n++;
    return n;
}

tarn_tensor *tarn_module_buffer(const tarn_module *module, int i)
{
    tarn__member *b = i < 0 ? NULL : next_buffer(module, NULL);
    while (b != NULL && i-- > 0) b = next_buffer(module, b);
    return b == NULL ? NULL : b->tensor;
}

/* True if the n bytes of `part` are the whole of `name`. */
static bool is_name(const char *name, const char *part, size_t n)
{
    return strncmp(name, part, n) == 0 && name[n] == '\0';
}

tarn_tensor *tarn_module_find(const tarn_module *module, const char *path)
{
    if (path == NULL) return NULL;
    const tarn_module *at = module;
    const char *dot;
    for (; at != NULL && (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        at = at->first_child;
        while (at != NULL && !is_name(at->name, path, (size_t)(dot - path))) at = at->next_sibling;
    }
    if (at == NULL) return NULL;
    for (const tarn__member *m = at->root->first_member; m != NULL; m = m->next)
        if (m->module == at && strcmp(m->name, path) == 0) return m->tensor;
    return NULL;
}

int64_t tarn_module_numel(const tarn_module *module)
{
    int64_t n = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) n += p->tensor->layout.numel;
    return n;
}

uint64_t tarn_module_digest(const tarn_module *module)
{
    if (module == NULL) return 0;
    tarn__observe_refusal(module->object.manager, "it reads parameters with tarn_module_digest");
    uint64_t hash = TARN__HASH_START;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        tarn__materialize(p->tensor);
        if (p->tensor->manager->dry) continue;
        hash = tarn__hash_bytes(hash, p->tensor->data, tarn__bytes(p->tensor));
    }
    return hash;
}
