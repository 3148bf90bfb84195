# The rules for servers that take each other's place, for those of a cluster, and for those of a quorum, each with a mistake: the unit
# tests of these rules, linked with one mutated source file, which the linker takes in place of the library's own, have to fail. As part of
# redismutex_unit_tests they pass.
include(Mutants)

# add_mutant_tests(TARGET SOURCE...): the tests that mutants have to fail. A mutant ends at the first one that fails: those that take long
# are last.
function(add_mutant_tests target)
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${target} PUBLIC redismutex::redismutex redismutex::test_support GTest::gmock GTest::gtest_main)
  redismutex_warnings(${target})
  redismutex_compile_as(${target} tests)
endfunction()

add_mutant_tests(
  redismutex_unit_topology_tests
  ../integration/fake_server.cpp
  ../support/allocations.cpp
  engine/redirection_test.cpp
  net/sentinel_answers_test.cpp
  net/sentinels_test.cpp
  protocol/key_test.cpp
  protocol/slot_map_test.cpp
  protocol/slot_test.cpp
  protocol/verdict_test.cpp
  route/pushes_test.cpp
  route/cluster_test.cpp
  engine/another_server_test.cpp)
add_mutant_tests(
  redismutex_unit_lease_tests
  engine/lease_test.cpp
  engine/line_test.cpp
  engine/renewal_limits_test.cpp
  protocol/acquire_line_test.cpp)
add_mutant_tests(redismutex_unit_quorum_tests engine/extension_tally_test.cpp engine/roll_test.cpp protocol/acquire_yield_test.cpp protocol/council_test.cpp protocol/probation_test.cpp)

# add_mutant_of(TESTS NAME FILE FROM TO): FILE, a source file of the library, says TO where it should say FROM.
function(add_mutant_of tests name file from to)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cpp")
  mutate("${PROJECT_SOURCE_DIR}/src/${file}" "${from}" "${to}" "${output}")
  set(target redismutex_unit_${name})
  add_executable(${target} "${output}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/mutants" OUTPUT_NAME ${name})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE ${tests})
  redismutex_link_mutant(${target})
  redismutex_compile_as(${target} support)
  add_test(NAME mutants.${name} COMMAND ${target} --gtest_brief=1 --gtest_fail_fast)
  set_tests_properties(mutants.${name} PROPERTIES LABELS mutants WILL_FAIL TRUE TIMEOUT 60)
endfunction()

# add_header_mutant(TEST NAME FILE FROM TO): the same of a header whose rule is compiled into its test.
function(add_header_mutant test name file from to)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.headers")
  mutate("${PROJECT_SOURCE_DIR}/src/${file}" "${from}" "${to}" "${folder}/${file}")
  set(target redismutex_unit_${name})
  add_executable(${target} ${test} "${folder}/${file}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/mutants" OUTPUT_NAME ${name})
  target_include_directories(${target} BEFORE PRIVATE "${folder}")
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE redismutex::redismutex GTest::gmock GTest::gtest_main)
  redismutex_link_mutant(${target})
  redismutex_compile_as(${target} support)
  add_test(NAME mutants.${name} COMMAND ${target} --gtest_brief=1 --gtest_fail_fast)
  set_tests_properties(mutants.${name} PROPERTIES LABELS mutants WILL_FAIL TRUE TIMEOUT 60)
endfunction()

function(add_unit_mutant name file from to)
  add_mutant_of(redismutex_unit_topology_tests ${name} ${file} "${from}" "${to}")
endfunction()

# What a lease is worth: a lease that another server has confirmed, or one that was reached by another connection, counts as valid.
add_unit_mutant(
  ignores_era engine/lease.cpp
  "return confirmed_by_ == &server && (router.cluster() != nullptr || confirmed_link_ >= server.first_link());" "return true;")
add_unit_mutant(
  ignores_links engine/lease.cpp
  "(router.cluster() != nullptr || confirmed_link_ >= server.first_link())" "true")
add_unit_mutant(ignores_servers engine/lease.cpp "confirmed_by_ == &server && " "")
add_unit_mutant(
  looks_without_extending engine/lease_visits.cpp
  "const bool moves = !is_confirmed_here();" "const bool moves = false;")
add_unit_mutant(
  passes_on_what_another_server_knows engine/lease_passing.cpp
  "(heard_lately || is_tracked()) && is_confirmed_here()" "(heard_lately || is_tracked())")
add_unit_mutant(
  confirms_when_asked_only engine/renewer.cpp
  "seat.watched_ || !seat.lease_.is_confirmed_here()" "seat.watched_")

# Sentinels.
add_unit_mutant(never_verifies engine/vigil.cpp "session_.background().verify_server();" "")
add_unit_mutant(
  verifies_for_ever engine/vigil.cpp
  "const bool is_idle = session_.renewer().is_idle();" "const bool is_idle = false;")
add_unit_mutant(believes_any_epoch net/sentinel_answers.cpp "answer.epoch > best->epoch || " "")
add_unit_mutant(forgets_the_epoch net/sentinels.cpp "if (epoch >= epoch_) return true;" "if (epoch >= -1) return true;")
add_unit_mutant(counts_no_votes net/sentinel_answers.cpp "votes(answer) > votes(*best)" "false")
add_unit_mutant(leaves_by_the_word_of_one net/sentinels.cpp "known_.size() / 2 + 1" "1")
add_unit_mutant(counts_time_without_questions net/sentinels.cpp "if (was_asked) asked_for_" "if (last_lower_at_) asked_for_")
add_unit_mutant(leaves_for_what_few_say net/sentinels.cpp "if (are_too_few || " "if (")
add_unit_mutant(reads_without_end net/sentinels.cpp "reads == most_reads" "false")
add_unit_mutant(takes_a_refusal_for_an_unknown_name net/sentinel_answers.cpp "address.type() == ReplyType::null" "true")
add_unit_mutant(
  stays_at_replicas protocol/verdict.cpp
  "Known{\"READONLY\", Verdict::leave}" "Known{\"READONLY\", Verdict::tell}")

# Clusters.
add_unit_mutant(learns_no_move route/cluster.cpp "redirected(from, refusal, true)" "redirected(from, refusal, false)")
add_unit_mutant(
  learns_to_ask_elsewhere route/cluster.cpp
  "redirected(from, refusal, false)" "redirected(from, refusal, true)")
add_unit_mutant(doubts_no_map route/cluster.cpp "if (server != nullptr) doubt(from);" "")
add_unit_mutant(
  asks_the_doubtful route/cluster.cpp
  "if (known.server == doubtful_) merit.rank = Rank::doubtful;" "")
add_unit_mutant(
  asks_none_but_those_with_slots route/cluster.cpp
  "all ? Rank::has_turn : Rank::without_slots" "Rank::without_slots")
add_unit_mutant(asks_no_replicas route/cluster.cpp "if (all) add_replica();" "")
add_unit_mutant(asks_one_server_again_and_again route/cluster.cpp ".unasked = -known.asked" ".unasked = 0")
add_unit_mutant(tells_of_no_move route/cluster.cpp "!= &server) moved_ = true;" "!= &server) moved_ = false;")
add_unit_mutant(loses_patience_with_long_maps engine/map_reader.cpp "patience * std::min(1 + failures_, most_patience)" "patience")
add_unit_mutant(breaks_links_for_a_map engine/map_reader.cpp "if (read.broke_the_link)" "if (false)")
add_unit_mutant(looks_at_no_map engine/vigil.cpp "session_.map_reader().look(now);" "")
add_unit_mutant(stays_with_who_has_moved engine/renewer.cpp "!seat.under_way_ && !seat.lease_.is_confirmed_here()" "false")
add_unit_mutant(retires_nobody route/cluster.cpp "known.server->note_retired(std::find" "(void)(std::find")
add_unit_mutant(forgets_asking engine/conversation.cpp "if (asks_once_) add(asking);" "")
add_unit_mutant(
  tracks_what_it_asks_once engine/conversation.cpp
  "request_.wants_invalidation && !asks_once_ &&" "request_.wants_invalidation &&")
add_unit_mutant(
  never_asks_for_one_key engine/conversation.cpp
  "if (const auto step = machine_.split(now)) return go_on(*step);" "")
add_unit_mutant(follows_for_ever engine/conversation.cpp "++redirections_ > most_redirections" "false")
add_unit_mutant(
  waits_for_the_dead engine/conversation.cpp
  "may_be_replaced() ? std::min<Instant>" "false ? std::min<Instant>")
add_unit_mutant(tries_one_seed engine/conversation.cpp "cluster.try_next_seed(*server_)" "false")
add_unit_mutant(guesses_once engine/conversation.cpp "if (answered_link_ == 0) guesses_mailbox_ = true;" "")
add_unit_mutant(knows_no_host protocol/slot_map.cpp "told.empty() || told == \"?\"" "told == \"?\"")
add_unit_mutant(reads_no_replicas protocol/slot_map.cpp "if (auto replica = read_server(at_replica, asked))" "if (const auto replica = std::optional<ServerAddress>{})")
add_unit_mutant(splits_at_the_first_colon protocol/slot_map.cpp "endpoint.rfind(':')" "endpoint.find(':')")
add_unit_mutant(
  channels_in_no_slot route/pushes.cpp
  "name.append(\"{\").append(protocol::word_of(slot)).append(\"}:\")" "name.append(\"\")")
add_unit_mutant(stays_without_a_channel_that_moved route/pushes.cpp "moved.state = State::unasked;" "")
add_unit_mutant(
  gives_up_channels_at_once route/pushes.cpp
  "channel.unused_since + until_given_up <= now" "channel.unused_since <= now")
add_unit_mutant(
  gives_up_channels_that_moved route/pushes.cpp
  "sharded_ && wanted.slot == protocol::no_slot && error" "sharded_ && error")
add_unit_mutant(ignores_tags protocol/slot.cpp "return key.substr(opening + 1, closing - opening - 1);" "return key;")
add_unit_mutant(takes_an_empty_tag protocol/slot.cpp " || closing == opening + 1" "")
add_unit_mutant(ends_tags_too_soon protocol/key.cpp "key.find('}') == std::string_view::npos" "true")

# Quorums: which votes count, from when, and of how many.
function(add_quorum_mutant name file from to)
  add_mutant_of(redismutex_unit_quorum_tests ${name} ${file} "${from}" "${to}")
endfunction()

add_quorum_mutant(counts_votes_that_are_offered protocol/council.cpp "if (is_held(i)) asked(i);" "")
add_quorum_mutant(takes_grants_from_before_it_yielded protocol/acquire.cpp " || grant.arrived <= placed_anew_at_" "")
add_quorum_mutant(
  counts_votes_of_broken_links protocol/council.cpp
  "void Council::asked(std::size_t server) { note(server, Standing::asked); }"
  "void Council::asked(std::size_t /*server*/) { static_cast<void>(Standing::asked); }")
add_quorum_mutant(counts_votes_that_others_have protocol/council.cpp "other.standing == Standing::held && " "")
add_quorum_mutant(
  lasts_as_long_as_the_last_vote protocol/council.cpp
  "static_cast<std::size_t>(as_long) >= majority();" "static_cast<std::size_t>(as_long) >= 1 && count(Standing::held) >= majority();")
add_quorum_mutant(leases_last_as_long_as_the_last protocol/council.cpp "static_cast<std::size_t>(as_late) >= count" "static_cast<std::size_t>(as_late) >= std::min<std::size_t>(count, 1)")
add_quorum_mutant(
  needs_a_majority_of_those_that_answer protocol/council.cpp
  "static_cast<std::size_t>(as_long) >= majority();"
  "static_cast<std::size_t>(as_long) >= majority_of(seats_.size() - count(Standing::away));")
add_quorum_mutant(uses_any_token protocol/council.cpp "highest = std::max(highest, seat.vote.token);" "highest = seat.vote.token;")
add_quorum_mutant(hopes_for_the_absent protocol/council.cpp "count(Standing::asked) + count(Standing::waits);" "count(Standing::asked) + count(Standing::waits) + count(Standing::away);")
add_quorum_mutant(lets_one_vote_twice engine/quorum/roll.cpp "!id.empty() && id == entries_[other].run_id" "false")
add_quorum_mutant(takes_the_silent_for_one engine/quorum/roll.cpp "!id.empty() && " "")
add_quorum_mutant(trusts_seconds engine/quorum/roll.cpp "(*runs_for - inexactness)" "*runs_for")
add_quorum_mutant(extends_for_ever engine/quorum/quorum_extending.cpp "still_open > 0 && " "")
add_quorum_mutant(grows_older_by_old_news engine/quorum/roll.cpp "if (link >= entries_[server].link) " "")
function(add_probation_mutant name from to)
  add_header_mutant(protocol/probation_test.cpp ${name} protocol/probation.hpp "${from}" "${to}")
endfunction()
add_probation_mutant(believes_what_was_asked_before "older.confirmed() >= vote->added" "older.confirmed() > decltype(older.confirmed()){}")
add_probation_mutant(lets_those_on_probation_vouch "older.counts && " "")
add_probation_mutant(needs_no_majority_to_vouch "static_cast<std::size_t>(stood) >= majority" "static_cast<std::size_t>(stood) + 1 >= majority")
add_probation_mutant(ends_no_probation "vote->counts = static_cast<std::size_t>(stood) >= majority" "static_cast<void>(stood), static_cast<void>(majority)")
add_quorum_mutant(counts_extensions_that_were_lost engine/quorum/quorum_extending.cpp "extended >= majority && lasts)" "extended >= majority)")
add_quorum_mutant(hopes_for_a_lost_majority engine/quorum/quorum_extending.cpp "if (asked - gone < majority) return Verdict::lost;" "")

# Which lease is asked for, believed in and passed on, where those in a line want different ones, or their holders extend them.
function(add_lease_mutant name file from to)
  add_mutant_of(redismutex_unit_lease_tests ${name} ${file} "${from}" "${to}")
endfunction()

add_lease_mutant(asks_for_the_lease_of_before protocol/acquire.cpp "set_ = {\"SET\", key_.text()" "if (set_[0].empty()) set_ = {\"SET\", key_.text()")
add_lease_mutant(takes_a_lease_that_is_too_short protocol/acquire.cpp "lacks_token(token) || is_too_short()" "lacks_token(token)")
add_lease_mutant(forgets_what_was_asked_for engine/lease.cpp "std::max(terms_.expiry, held.asked)" "terms_.expiry")
add_lease_mutant(passes_what_was_made_longer engine/line.cpp "standing.stands_until - now > longest + 2 * protocol::drift(longest)" "false")
add_lease_mutant(asks_for_more_than_may_be_held engine/approach.cpp "std::min(wishes.expiry, terms.longest_expiry)" "wishes.expiry")
add_lease_mutant(holds_beyond_its_limit engine/lease.cpp "std::min({held.valid_until, confirmed_until, limit()})" "std::min(held.valid_until, confirmed_until)")
add_lease_mutant(revives_what_is_over engine/lease_visits.cpp "if (extended && validity_.until() <= now)" "if (false)")
add_lease_mutant(never_renews_what_was_shortened_late engine/lease_visits.cpp " || (extend_at_ == never && !may_be_renewed())" " || extend_at_ == never")
