# The target redismutex::hiredis: hiredis, 1.1 or newer, with its TLS part. Used by our own build and, installed beside
# redismutexConfig.cmake, by the builds of our users.

# Takes the build that scripts/setup made, if it made one, else the system's. Sets REDISMUTEX_HIREDIS_BUNDLED to the
# directory of the static libraries in the first case, which installation then has to carry along; empty in the second.
function(redismutex_find_hiredis)
  set(root "${PROJECT_SOURCE_DIR}/.deps/hiredis")
  if(EXISTS "${root}")
    redismutex_use_bundled_hiredis("${root}/lib")
    target_include_directories(redismutex::hiredis INTERFACE "${root}/include")
    set(REDISMUTEX_HIREDIS_BUNDLED "${root}/lib" PARENT_SCOPE)
  else()
    redismutex_use_system_hiredis()
    set(REDISMUTEX_HIREDIS_BUNDLED "" PARENT_SCOPE)
  endif()
endfunction()

function(redismutex_use_bundled_hiredis library_dir)
  add_library(redismutex::hiredis INTERFACE IMPORTED GLOBAL)
  target_link_libraries(redismutex::hiredis INTERFACE "${library_dir}/libhiredis_ssl.a" "${library_dir}/libhiredis.a"
                                                      OpenSSL::SSL)
endfunction()

function(redismutex_use_system_hiredis)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(redismutex_hiredis IMPORTED_TARGET GLOBAL "hiredis >= 1.1" "hiredis_ssl >= 1.1")
  if(NOT redismutex_hiredis_FOUND)
    message(FATAL_ERROR "redismutex needs hiredis 1.1 or newer with its TLS part (pkg-config: hiredis, hiredis_ssl). "
                        "In redismutex's own source tree, scripts/setup gets it.")
  endif()
  add_library(redismutex::hiredis INTERFACE IMPORTED GLOBAL)
  target_link_libraries(redismutex::hiredis INTERFACE PkgConfig::redismutex_hiredis OpenSSL::SSL)
endfunction()
