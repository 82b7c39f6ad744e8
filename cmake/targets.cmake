# Tests, examples and benchmarks: one call each, in the CMakeLists.txt of their folder.

# What a test is started with: nothing, or Valgrind.
set(TARN_TEST_LAUNCHER "")
set(TARN_TIMEOUT_FACTOR 1)
if(TARN_VALGRIND)
  find_program(TARN_VALGRIND_PROGRAM valgrind REQUIRED)
  set(TARN_TEST_LAUNCHER
      ${TARN_VALGRIND_PROGRAM} --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite
      --errors-for-leak-kinds=definite "--suppressions=${PROJECT_SOURCE_DIR}/tests/valgrind.supp")
  set(TARN_TIMEOUT_FACTOR 20)
elseif(TARN_SANITIZE)
  set(TARN_TIMEOUT_FACTOR 5)
endif()

# Registers a command as a test with its labels and its time limit in seconds.
function(tarn_add_ctest name labels timeout)
  math(EXPR limit "${timeout} * ${TARN_TIMEOUT_FACTOR}")
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${limit})
endfunction()

# tarn_test(NAME [LABELS quick|slow ...] [TIMEOUT seconds] [SOURCES file ...])
#
# Builds tests/test_NAME.c with cmocka and registers it as NAME. Tests link the static library and see src/ as well as
# include/, because they test what is hidden too. The default label is quick: it means the test also runs under Valgrind.
function(tarn_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS;SOURCES")
  if(NOT arg_LABELS)
    set(arg_LABELS quick)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  set(target test_${name})
  add_executable(${target} ${target}.c ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE tarn_options tarn_test_support)
  tarn_add_ctest(${name} "${arg_LABELS}" ${arg_TIMEOUT} ${TARN_TEST_LAUNCHER} $<TARGET_FILE:${target}>)
endfunction()

# A program that sees what users see. It links the shared library, so that whatever an example calls is proven to be
# exported; CMake writes the RPATH with which it runs from the build tree.
function(tarn_program name)
  add_executable(${name} ${name}.c ${ARGN})
  target_link_libraries(${name} PRIVATE tarn_options tarn::tarn m)
endfunction()

# tarn_example(NAME [TEST] [TEST_ARGS argument ...] [TIMEOUT seconds] [SOURCES file ...])
#
# Builds examples/NAME.c. With TEST or TEST_ARGS it is also run as the test example_NAME.
function(tarn_example name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TEST" "TIMEOUT" "TEST_ARGS;SOURCES")
  tarn_program(${name} ${arg_SOURCES})
  if(TARN_BUILD_TESTS AND (arg_TEST OR arg_TEST_ARGS))
    if(NOT arg_TIMEOUT)
      set(arg_TIMEOUT 120)
    endif()
    tarn_add_ctest(example_${name} example ${arg_TIMEOUT} $<TARGET_FILE:${name}> ${arg_TEST_ARGS})
  endif()
endfunction()

# tarn_bench(NAME [TEST_ARGS argument ...] [SOURCES file ...])
#
# Builds bench/NAME.c. With TEST_ARGS a short run of it is the test NAME, so that benchmarks keep working.
function(tarn_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "TEST_ARGS;SOURCES")
  tarn_program(${name} ${arg_SOURCES})
  if(TARN_BUILD_TESTS AND arg_TEST_ARGS)
    tarn_add_ctest(${name} bench 120 $<TARGET_FILE:${name}> ${arg_TEST_ARGS})
  endif()
endfunction()
