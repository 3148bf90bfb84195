# mutate(INPUT FROM TO OUTPUT): OUTPUT is the source file INPUT with a mistake: it says TO where it should say FROM.
function(mutate input from to output)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DINPUT=${input}" "-DOUTPUT=${output}" "-DFROM=${from}" "-DTO=${to}" -P
            "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/mutate.cmake"
    DEPENDS "${input}" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/mutate.cmake"
    VERBATIM)
endfunction()
