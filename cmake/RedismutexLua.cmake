# The target redismutex::lua51: Lua 5.1, which runs the scripts in a server's place. Sets redismutex_lua51_FOUND. Installed with the package,
# whose users link it, too.
if(NOT TARGET redismutex::lua51)
  find_path(REDISMUTEX_LUA_INCLUDE lua.h PATH_SUFFIXES lua5.1 lua51 lua-5.1)
  find_library(REDISMUTEX_LUA_LIBRARY NAMES lua5.1 lua51 lua-5.1)
  mark_as_advanced(REDISMUTEX_LUA_INCLUDE REDISMUTEX_LUA_LIBRARY)
  set(redismutex_lua51_FOUND FALSE)
  if(REDISMUTEX_LUA_INCLUDE AND REDISMUTEX_LUA_LIBRARY)
    set(redismutex_lua51_FOUND TRUE)
    add_library(redismutex::lua51 UNKNOWN IMPORTED)
    set_target_properties(redismutex::lua51 PROPERTIES IMPORTED_LOCATION "${REDISMUTEX_LUA_LIBRARY}"
                                                       INTERFACE_INCLUDE_DIRECTORIES "${REDISMUTEX_LUA_INCLUDE}")
  endif()
endif()
