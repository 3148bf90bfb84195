# mutate(INPUT FROM TO OUTPUT): OUTPUT is the source file INPUT with a mistake: it says TO where it should say FROM.
function(mutate input from to output)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${REDISMUTEX_PYTHON}" -I -S "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/mutate.py" "${input}" "${output}" "${from}" "${to}"
    DEPENDS "${input}" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/mutate.py"
    VERBATIM)
endfunction()

# redismutex_link_mutant(TARGET): a program with a mutated source file of its own. The library has the right one too, in one object with
# others (see RedismutexCompileAs.cmake): what is defined twice is the program's.
function(redismutex_link_mutant target)
  target_link_options(${target} PRIVATE LINKER:-z,muldefs)
endfunction()
