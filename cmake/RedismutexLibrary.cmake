# What all of our libraries have in common.

# redismutex_sections(TARGET): a program that is linked with --gc-sections gets only the functions that it uses.
function(redismutex_sections target)
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
endfunction()

# redismutex_library(TARGET)
function(redismutex_library target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON  # users link the static library into shared ones
    CXX_VISIBILITY_PRESET hidden  # only what REDISMUTEX_EXPORT marks is seen from outside
    VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target}
    PUBLIC
      "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
      "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>"
      "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
    PRIVATE
      "${PROJECT_SOURCE_DIR}/src")
  redismutex_sections(${target})
  redismutex_warnings(${target})
endfunction()

# redismutex_limit_exports(TARGET): of a shared library.
function(redismutex_limit_exports target)
  set(exports "${PROJECT_SOURCE_DIR}/cmake/exports.map")
  target_link_options(${target} PRIVATE "LINKER:--version-script=${exports}")
  set_target_properties(${target} PROPERTIES LINK_DEPENDS "${exports}")
endfunction()
