# Workers with a mistake built into the library: each is linked with one mutated source file, which the linker takes in place of the
# library's own. Their names are those of the simulator's mutants, see tests/sim/mutant.hpp.
include(EmbedLua)
include(Mutants)
set(sources "${PROJECT_SOURCE_DIR}/src")
set(scripts "${sources}/protocol/lua")

function(add_mutant_worker name source)
  set(target redismutex_faults_worker_${name})
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES OUTPUT_NAME faults_worker_${name})
  target_include_directories(${target} PRIVATE "${sources}")
  target_link_libraries(${target} PRIVATE redismutex_faults_worker_parts)
  redismutex_link_mutant(${target})
  redismutex_compile_as(${target} support)
  add_dependencies(redismutex_faults_tests ${target})
endfunction()

# add_mutant(NAME FILE FROM TO): FILE, a source file of the library, says TO where it should say FROM.
function(add_mutant name file from to)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${name}/mutant.cpp")
  mutate("${sources}/${file}" "${from}" "${to}" "${output}")
  add_mutant_worker(${name} "${output}")
endfunction()

# add_script_mutant(NAME SCRIPT FROM TO): the same of a Lua script.
function(add_script_mutant name script from to)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  set(copies)
  foreach(each IN ITEMS acquire extend inspect line raise refresh release witness)
    if(each STREQUAL script)
      mutate("${scripts}/${each}.lua" "${from}" "${to}" "${folder}/${each}.lua")
    else()
      mutate("${scripts}/${each}.lua" "--" "--" "${folder}/${each}.lua")
    endif()
    list(APPEND copies "${folder}/${each}.lua")
  endforeach()
  set(embedded ${copies})
  list(FILTER embedded EXCLUDE REGEX "line\\.lua$")
  add_custom_command(
    OUTPUT "${folder}/scripts.cpp"
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${folder}/scripts.cpp" "-DSCRIPTS=${embedded}" -P "${REDISMUTEX_EMBED_LUA}"
    DEPENDS ${copies} "${REDISMUTEX_EMBED_LUA}"
    VERBATIM)
  add_mutant_worker(${name} "${folder}/scripts.cpp")
endfunction()

add_mutant(lease_from_reply engine/conversation.cpp "answer.sent_at = sent_at_" "answer.sent_at = now")
add_mutant(ends_untold api/lock.cpp "observer->hold_ended(" "if (outcome != HoldEnded::Outcome::gone) observer->hold_ended(")
add_script_mutant(release_without_comparing release "owner == ARGV[1]" "true")
add_script_mutant(tokens_by_increment line "local token = time[1] .. string.sub('00000' .. time[2], -6)" "local token = '1'")
add_script_mutant(tokens_by_clock line "floor and floor >= tonumber(token) and floor < LARGEST" "false")
