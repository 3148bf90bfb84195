#pragma once

#include <type_traits>

/// The exit status of a snippet's main function, which returns nothing where main would have returned 0 by itself.
template <class Main>
int status_of(Main snippet_main) {
  if constexpr (std::is_void_v<std::invoke_result_t<Main>>) {
    snippet_main();
    return 0;
  } else {
    return snippet_main();
  }
}
