/* consumer.cpp - the same from C++. */
#include <cstdio>

#include <tarn/tarn.h>

int main()
{
    tarn_manager_options options = {};
    options.seed = 1;
    tarn_manager *tm = tarn_manager_create(&options);
    if (!tarn_ok(tm)) return 1;
    std::printf("tarn %s\n", TARN_VERSION);
    return tarn_manager_destroy(tm) == 0 ? 0 : 1;
}
