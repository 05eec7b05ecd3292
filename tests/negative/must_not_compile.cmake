# cmake -DCOMPILER=... -DSOURCE=... -DROOT=... -P must_not_compile.cmake
file(STRINGS "${SOURCE}" expect REGEX "^// expect: ")
list(LENGTH expect count)
if(NOT count EQUAL 1)
  message(FATAL_ERROR "${SOURCE}: ${count} lines '// expect: <regular expression>', there has to be one")
endif()
string(REGEX REPLACE "^// expect: *" "" expect "${expect}")

set(command "${COMPILER}" -std=c++20 -fsyntax-only -fno-diagnostics-color "-I${ROOT}/include" "-I${ROOT}" "-I${ROOT}/tests")
if(SOURCE MATCHES "\\.cu$")  # COMPILER is nvcc
  set(command "${COMPILER}" -std=c++20 -arch=sm_90 -ptx -o /dev/null "-I${ROOT}/include" "-I${ROOT}/kernels")
endif()
set(ENV{LC_ALL} C)
execute_process(COMMAND ${command} "${SOURCE}" RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles; it has to be refused with: ${expect}")
endif()
if(NOT said MATCHES "(error|note): [^\n]*(${expect})")  # a concept that fails stands in a note
  message(FATAL_ERROR "${SOURCE} is refused without the sentence: ${expect}\n${said}")
endif()

file(STRINGS "${SOURCE}" switch REGEX "MUST_COMPILE")
if(switch)
  execute_process(COMMAND ${command} -DMUST_COMPILE "${SOURCE}" RESULT_VARIABLE status ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${SOURCE} has to compile with MUST_COMPILE defined:\n${said}")
  endif()
endif()
