# The simulator with a mistake in the engine: each is the program linked with one mutated source file, which the linker takes in place of
# the library's own. mutants_test.cpp knows them by name.
include(Mutants)

set(engine_mutants "")

# add_engine_mutant(NAME FILE FROM TO): FILE, a source file of the library, says TO where it should say FROM.
function(add_engine_mutant name file from to)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cpp")
  mutate("${PROJECT_SOURCE_DIR}/src/${file}" "${from}" "${to}" "${output}")
  set(target redismutex_sim_${name})
  add_executable(${target} "${output}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/mutants" OUTPUT_NAME ${name})
  target_link_libraries(${target} PRIVATE redismutex_sim_main)
  add_dependencies(redismutex_sim_tests ${target})
endfunction()
target_compile_definitions(redismutex_sim_tests PRIVATE REDISMUTEX_SIM_MUTANTS="${CMAKE_CURRENT_BINARY_DIR}/mutants")

add_engine_mutant(lease_from_reply engine/conversation.cpp "answer.sent_at = sent_at_;" "answer.sent_at = now;")
add_engine_mutant(
  grant_from_arrival protocol/acquire.cpp
  "std::min(asked_at_ + later - std::chrono::abs(later) / 100, grant.arrived)" "now + 0 * later")
add_engine_mutant(
  no_refresh protocol/acquire.cpp "Pause{.until = std::min(until, next_refresh_), .at_latest = until}"
  "Pause{.until = until, .at_latest = until}")
# On each connection the first request that wants pushes leaves before they are asked for.
add_engine_mutant(
  subscribes_late route/pushes.cpp "if (link_id != link_id_) return {};"
  "static thread_local std::uint64_t asked = 0; if (std::exchange(asked, link_id) != link_id) return {};")
add_engine_mutant(never_watches protocol/acquire.cpp ".wants_invalidation = true" ".wants_invalidation = false")
add_engine_mutant(
  repeats_as_another protocol/acquire.cpp "Step Acquire::unanswered() {"
  "Step Acquire::unanswered() { auto* const other = new std::string(id_); other->back() ^= 1; line_up_[6] = *other;"
)
add_engine_mutant(takes_no_floor protocol/acquire.cpp "answer.texts[1].value_or(\"0\")" "\"0\"")
add_engine_mutant(
  never_extends_claim engine/lease.cpp "extend_at_ = now + protocol::confirm_after(held.valid_until - now);" "extend_at_ = never;")
add_engine_mutant(never_cleans_up engine/clean_ups.cpp "fresh_.splice(fresh_.end(), task);" "task.clear();")
add_engine_mutant(counts_tokens_ahead engine/lease.cpp "token_is_ahead_ = held.token_is_ahead;" "token_is_ahead_ = false;")
