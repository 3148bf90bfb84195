# The simulator with a mistake in the engine: each is the program linked with one mutated source file, which the linker takes in place of
# the library's own. mutants_test.cpp knows them by name.
include(Mutants)

set(engine_mutants "")

# add_engine_mutant(NAME FILE FROM TO [INCLUDED_BY SOURCE]): FILE, a source file of the library, or a header that only SOURCE includes, says
# TO where it should say FROM.
function(add_engine_mutant name file from to)
  cmake_parse_arguments(PARSE_ARGV 4 arg "" "INCLUDED_BY" "")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.sources")
  set(output "${folder}/${file}")
  mutate("${PROJECT_SOURCE_DIR}/src/${file}" "${from}" "${to}" "${output}")
  set(target redismutex_sim_${name})
  add_executable(${target} "${output}")
  if(arg_INCLUDED_BY)
    target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src/${arg_INCLUDED_BY}")
    target_include_directories(${target} BEFORE PRIVATE "${folder}")
  endif()
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/mutants" OUTPUT_NAME ${name})
  target_link_libraries(${target} PRIVATE redismutex_sim_main)
  redismutex_link_mutant(${target})
  redismutex_compile_as(${target} support)
  add_dependencies(redismutex_sim_tests ${target})
endfunction()
target_compile_definitions(redismutex_sim_tests PRIVATE REDISMUTEX_SIM_MUTANTS="${CMAKE_CURRENT_BINARY_DIR}/mutants")

add_engine_mutant(lease_from_reply engine/conversation.cpp "answer.sent_at = sent_at_;" "answer.sent_at = now;")
add_engine_mutant(
  grant_from_arrival protocol/acquire.cpp
  "std::min(told - std::chrono::abs(later) / 100, grant.arrived)" "now + 0 * later")
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
  "Step Acquire::unanswered() { auto* const other = new std::string(id_); other->back() ^= 1; const_cast<std::string_view&>(id_) = *other;"
)
add_engine_mutant(takes_no_floor protocol/acquire.cpp "answer.texts[1].value_or(\"0\")" "\"0\"")
add_engine_mutant(
  never_extends_claim engine/lease.cpp "extend_at_ = now + protocol::confirm_after(until - now);" "extend_at_ = never;")
add_engine_mutant(never_cleans_up engine/clean_ups.cpp "fresh_.splice(fresh_.end(), task);" "task.clear();")
add_engine_mutant(counts_tokens_ahead engine/lease.cpp "token_is_ahead_ = held.token_is_ahead;" "token_is_ahead_ = false;")

# The line of a process, and what goes from one to the next in it.
add_engine_mutant(
  gives_up_the_place engine/line.cpp "go_on(shard.lines.find(first.key_), approach)"
  "go_on(shard.lines.find(first.key_), *std::make_unique<std::unique_ptr<Approach>>())")
add_engine_mutant(passes_for_too_long engine/line.cpp "now - line.row_began > longest_row" "false")
add_engine_mutant(passes_too_often engine/line.cpp "line.passes >= wishes.local_handoffs" "false")
add_engine_mutant(
  row_begins_anew engine/line.cpp "shard.take_out(*member.line_, member);"
  "shard.take_out(*member.line_, member), member.line_->passes = 0, member.line_->row_began = session_.now();")
add_engine_mutant(passes_what_is_unknown engine/line.cpp "!standing.is_known || " "")
add_engine_mutant(passes_next_to_nothing engine/line.cpp "standing.until - now >= expiry / 2" "true")
add_engine_mutant(
  drops_late_passes engine/acquisition.cpp "give_back(session_, lease, member_.turn, "
  "[](const std::shared_ptr<Lease>&, const Lines::Ticket&) {}(lease, ")

# Renewals and extensions.
add_engine_mutant(renews_one_after_another engine/renewer.cpp "most_flights = 32" "most_flights = 1")
add_engine_mutant(
  hurries_with_the_weakest engine/renewer_flight.hpp "landing->setting.terms(), items("
  "[&] { auto terms = landing->setting.terms(); terms.deadline = std::min_element(batch->parts.begin(), batch->parts.end(), [](const Batch::Part& a, const Batch::Part& b) { return a.visit.until < b.visit.until; })->visit.until; return terms; }(), items("
  INCLUDED_BY engine/renewer.cpp)
add_engine_mutant(takes_unsent_for_unknown engine/extending.cpp "Lease::Went::never_left" "Lease::Went::unknown")

# Quorums. Those of the rules which votes count are beside the unit tests.
add_engine_mutant(
  reuses_dead_ids engine/quorum/quorum_acquisition.cpp ".id = route::new_owner_id(first.environment(), tag)"
  ".id = candidacy_ ? candidacy_->id : route::new_owner_id(first.environment(), tag)")
add_engine_mutant(raises_no_floors engine/quorum/quorum_acquisition.cpp "token_ != 0 ? raise_floors(now) : grant(now)" "grant(now)")
add_engine_mutant(trusts_the_newly_started engine/quorum/delegate.cpp "from <= now" "from <= protocol::Instant::max()")
add_engine_mutant(counts_a_minority engine/quorum/quorum_lease.cpp "protocol::lasts_until(ends, panel_->majority())" "protocol::lasts_until(ends, panel_->majority() - 1)")
add_engine_mutant(keeps_votes_for_ever engine/quorum/ballot.cpp "seats_[i].yields = true;" "")

# What coroutines want.
add_engine_mutant(wakes_nobody route/driven.cpp "if (waker_ != nullptr) waker_->wake();" "")
