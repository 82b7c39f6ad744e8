/* SPDX-License-Identifier: MIT
 * tarns.c - how tarns come to be and what becomes of them. */
#include "tarns.h"

const char tarns[] =
    "A tarn is a small lake high in the mountains. It lies where a glacier once began: the ice, "
    "as it turned and slid, scooped a bowl out of the rock, and when it was gone the bowl kept the "
    "rain.\n"
    "The water of a tarn is cold and clear. No river brings it mud, and few plants can live so far "
    "up. In the morning the peaks stand on their heads in it; at noon the wind comes over the "
    "ridge, and the peaks are gone.\n"
    "Every tarn has a way in and a way out. The snow above gives it water all summer, drop by "
    "drop, and over the lowest stone of its rim the water leaves again, as much as came. So the "
    "tarn is never the same water and always the same tarn.\n"
    "What falls into it goes down slowly. Dust, needles of pine, the wings of a moth: each winter "
    "lays one thin sheet on the ground, and who can read them counts back ten thousand years.\n"
    "In winter the tarn is a white floor among white walls. Under the ice it is dark, and quiet, "
    "and the water at the bottom is the warmest of all.\n"
    "A tarn does not last. The stream cuts its rim deeper, the stones roll in from the slopes, and "
    "moss grows out from the banks. First it is a lake, then a marsh, then a meadow in which "
    "nobody would look for a lake. But ice may come again, and begin a new bowl.\n";
