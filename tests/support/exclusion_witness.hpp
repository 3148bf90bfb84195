#pragma once

namespace redismutex::testing {

/// Watches a section that only one may be inside, from threads and from processes forked after it was made:
///
///     ExclusionWitness witness;
///     ChildProcess child{[&] { auto lock = mutex.acquire_lock("k"); witness.enter(); ...; witness.leave(); ... }};
///     EXPECT_EQ(witness.most_inside(), 1);
///
/// The counts live in shared memory. Who is killed inside stays inside: leave() for it once it is dead.
class ExclusionWitness {
 public:
  ExclusionWitness();
  ExclusionWitness(const ExclusionWitness&) = delete;
  ExclusionWitness& operator=(const ExclusionWitness&) = delete;
  ~ExclusionWitness();

  void enter() noexcept;
  void leave() noexcept;

  /// How many are inside now.
  int inside() const noexcept;

  /// The largest number that was ever inside together.
  int most_inside() const noexcept;

  /// How many times someone came in.
  long entries() const noexcept;

 private:
  struct Counts;

  Counts* counts_;
};

}  // namespace redismutex::testing
