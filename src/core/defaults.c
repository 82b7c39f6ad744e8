/* SPDX-License-Identifier: MIT
 * defaults.c - the default pool and the default manager: the only mutable globals there are. */
#include <pthread.h>

#include "core/manager.h"
#include "core/pool.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tarn_pool *default_pool;
static tarn_manager *default_manager;

tarn_pool *tarn_pool_default(void)
{
    (void)pthread_mutex_lock(&lock);
    if (default_pool == NULL) default_pool = tarn_pool_create(NULL, NULL);
    tarn_pool *pool = default_pool;
    (void)pthread_mutex_unlock(&lock);
    return pool;
}

tarn_manager *tarn_manager_default(void)
{
    tarn_pool *pool = tarn_pool_default();
    (void)pthread_mutex_lock(&lock);
    if (default_manager == NULL && pool != NULL)
        default_manager = tarn_manager_create(&(tarn_manager_options){ .pool = pool });
    tarn_manager *tm = default_manager;
    (void)pthread_mutex_unlock(&lock);
    return tm;
}

void tarn__default_pool_ends(const tarn_pool *pool)
{
    (void)pthread_mutex_lock(&lock);
    if (pool == default_pool) default_pool = NULL;
    (void)pthread_mutex_unlock(&lock);
}

void tarn__default_manager_ends(const tarn_manager *tm)
{
    (void)pthread_mutex_lock(&lock);
    if (tm == default_manager) default_manager = NULL;
    (void)pthread_mutex_unlock(&lock);
}
