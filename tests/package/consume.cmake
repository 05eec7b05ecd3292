# Builds and runs the project tests/package/<WAY> the way a user would, in a scratch folder of the build.
# cmake -DWAY=find_package|add_subdirectory -DSOURCE=... -DBUILD=... -DCOMPILER=... -DGENERATOR=... -P consume.cmake
set(scratch "${BUILD}/package/${WAY}")
file(REMOVE_RECURSE "${scratch}")

function(must)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " line)
    message(FATAL_ERROR "${line}\n${said}")
  endif()
endfunction()

set(where "-DKVSIFT_SOURCE=${SOURCE}")
if(WAY STREQUAL "find_package")
  must("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${scratch}/prefix")
  set(where "-DCMAKE_PREFIX_PATH=${scratch}/prefix")
endif()
# No nvcc to be found: not in the path, not by variable.
unset(ENV{CUDACXX})
unset(ENV{CUDA_PATH})
set(ENV{PATH} "/usr/bin:/bin")
must("${CMAKE_COMMAND}" -S "${SOURCE}/tests/package/${WAY}" -B "${scratch}/build" -G "${GENERATOR}"
  "-DCMAKE_CXX_COMPILER=${COMPILER}" -DCMAKE_BUILD_TYPE=Debug ${where})
must("${CMAKE_COMMAND}" --build "${scratch}/build")
must("${scratch}/build/consumer")
