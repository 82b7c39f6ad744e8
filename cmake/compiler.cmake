# How everything here is compiled. tarn_options carries it, privately: nothing of it reaches those who link tarn.

add_library(tarn_options INTERFACE)

target_compile_options(
  tarn_options
  INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef
    -Wmissing-prototypes -Wstrict-prototypes
    $<$<BOOL:${TARN_WERROR}>:-Werror>
    # Compilers contract a*b + c differently; a fused multiply-add is written where it is meant. errno is not read
    # after mathematics, and no trap is set for exceptions; without both, sqrt is one instruction and choices between
    # numbers become vectors, with the same results.
    -ffp-contract=off -fno-math-errno -fno-trapping-math)

if(TARN_VALGRIND)
  target_compile_definitions(tarn_options INTERFACE TARN_VALGRIND=1)
endif()

set(TARN_SANITIZE_FLAGS "")
if(TARN_SANITIZE)
  set(TARN_SANITIZE_FLAGS -fsanitize=${TARN_SANITIZE} -fno-sanitize-recover=all)
  target_compile_options(tarn_options INTERFACE ${TARN_SANITIZE_FLAGS})
  target_link_options(tarn_options INTERFACE ${TARN_SANITIZE_FLAGS})
endif()
