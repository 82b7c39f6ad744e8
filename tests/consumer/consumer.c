/* consumer.c - a program of somebody else. */
#include <stdio.h>

#include <tarn/tarn.h>

int main(void)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 1 });
    if (!tarn_ok(tm)) return 1;
    printf("tarn %s\n", TARN_VERSION);
    return tarn_manager_destroy(tm) == 0 ? 0 : 1;
}
